"""How fingers bend: anatomical limits, free gestures, and closing on an object until they touch it.

A finger pose is a vector of 21 numbers per hand, radians: bend (5, 3) of knuckle, middle and end joint, spread (5,), and how
far the thumb opposes. Fingers in MANO's order: index, middle, pinky, ring, thumb. Hand frame: SMPL-X's rest frame, wrist at 0.
"""
from dataclasses import dataclass

import numpy as np

from hmradapter.body_models.open_model.skeleton import HAND_JOINTS
from hmradapter.synthetic.curves import num_keys, smooth_curve, turns, unit
from hmradapter.synthetic.people import SIDES, Person

_DEG = np.pi / 180
# Ranges of motion after standard goniometry tables (MCP 0-90, PIP 0-100, DIP 0-70; thumb CMC, MCP 0-50, IP 0-80).
BEND_LOW = np.array([(-18, 0, -4)] * 4 + [(-12, -5, -15)]) * _DEG
BEND_HIGH = np.array([(88, 104, 68)] * 4 + [(25, 50, 70)]) * _DEG
SPREAD = 11 * _DEG
OPPOSE = (0.0, 55 * _DEG)
_FULL = np.array([(80, 95, 55)] * 4 + [(20, 42, 45)]) * _DEG  # of a closing hand
_FLESH = 0.0075  # metres from a finger's bone to its skin
_STEPS = 16


@dataclass
class FingerKit:
    """Bones of one hand. chain (5, 4, 3): knuckle, middle, end joint, tip, from the wrist, metres; axes (5, 3) that bends turn
    about; palm (3,) the point of the palm that meets what is held; out (3,) fingers' direction, down (3,) out of the palm."""
    chain: np.ndarray
    axes: np.ndarray
    palm: np.ndarray
    out: np.ndarray
    down: np.ndarray


def finger_kit(person: Person, side: str) -> FingerKit:
    """The bones of a person's hand."""
    sign = 1.0 if side == 'left' else -1.0
    ids = list(HAND_JOINTS[side])
    wrist = person.joints[ids[0]]
    chain = np.concatenate([person.joints[ids[1:]].reshape(5, 3, 3), person.tips[side][:, None]], axis=1) - wrist
    down = np.array([0.0, -1.0, 0.0])
    close = np.array([down] * 4 + [(0.4 * sign, -0.6, -1.0)])  # the thumb closes across the palm
    axes = unit(np.cross(chain[:, 1] - chain[:, 0], close))
    palm = 0.8 * chain[[0, 1, 3], 0].mean(axis=0)
    mesh = person.template[person.hand_weight[side] > 0.5] - wrist
    near = mesh[np.hypot(mesh[:, 0] - palm[0], mesh[:, 2] - palm[2]) < 0.02]
    palm[1] = near[:, 1].min()
    return FingerKit(chain, axes, palm, np.array([sign, 0.0, 0.0]), down)


def pack(bend, spread, oppose) -> np.ndarray:
    """bend (..., 5, 3), spread (..., 5), oppose (...) -> pose (..., 21)."""
    bend = np.asarray(bend)
    return np.concatenate([bend.reshape(*bend.shape[:-2], 15), spread, np.asarray(oppose)[..., None]], axis=-1)


def limited(pose: np.ndarray) -> np.ndarray:
    """Poses (..., 21) inside the anatomical limits; bent fingers cannot spread."""
    bend = np.clip(pose[..., :15].reshape(*pose.shape[:-1], 5, 3), BEND_LOW, BEND_HIGH)
    room = SPREAD * np.clip(1 - bend[..., 0] / BEND_HIGH[:, 0], 0.1, 1)
    return pack(bend, np.clip(pose[..., 15:20], -room, room), np.clip(pose[..., 20], *OPPOSE))


def finger_turns(kit: FingerKit, pose: np.ndarray) -> np.ndarray:
    """Poses (..., 21) -> parent-relative rotations (..., 15, 3, 3) in MANO's order."""
    bend = pose[..., :15].reshape(*pose.shape[:-1], 5, 3)
    local = turns(bend[..., None] * kit.axes[:, None])
    side_ways = np.zeros((*pose.shape[:-1], 5, 3))
    side_ways[..., 1] = pose[..., 15:20] * -kit.out[0]
    side_ways[..., 4, 0] = pose[..., 20]
    local[..., 0, :, :] = turns(side_ways) @ local[..., 0, :, :]
    return local.reshape(*pose.shape[:-1], 15, 3, 3)


def finger_points(kit: FingerKit, pose: np.ndarray) -> np.ndarray:
    """Points of bones (N, 5, 6, 3) from the wrist, poses (N, 21): middle of bone 1, joint 2, middle, joint 3, middle, tip."""
    local = finger_turns(kit, pose).reshape(-1, 5, 3, 3, 3)
    turn, at, out = np.eye(3), kit.chain[:, 0], []
    for k in range(3):
        turn = turn @ local[:, :, k]
        bone = np.einsum('nfij,fj->nfi', turn, kit.chain[:, k + 1] - kit.chain[:, k])
        reach = 1.0 if k < 2 else 1 - 0.6 * _FLESH / np.linalg.norm(kit.chain[:, 3] - kit.chain[:, 2], axis=-1)[:, None]
        out += [at + 0.5 * bone, at + reach * bone]
        at = at + bone
    return np.stack(out, axis=2)


def close_fingers(kit: FingerKit, distance, rng: np.random.Generator) -> np.ndarray:
    """Pose (21,) of a hand that closes until each finger touches. distance: points (..., 3) of the hand frame -> metres.
    First all joints of a finger bend together, then the outer two alone, then the last: a finger wraps round what it meets."""
    spread = rng.uniform(-0.6, 1, 5) * SPREAD * (0.6, 0.1, -0.8, -0.4, 0)
    oppose = rng.uniform(0.35, 1.0) * OPPOSE[1]
    end = _FULL * rng.uniform(0.75, 1.0, (5, 1))
    bend = -0.12 * end
    oppose = _free_thumb(kit, distance, bend, spread, oppose)
    for first in range(3):
        steps = np.linspace(0, 1, _STEPS)[:, None, None]
        tried = bend + steps * (np.arange(3) >= first) * (end - bend)
        gap = distance(finger_points(kit, pack(tried, np.tile(spread, (_STEPS, 1)), np.full(_STEPS, oppose))))
        touching = (gap[:, :, 2 * first:] < _FLESH).any(axis=2)  # (steps, fingers)
        last_free = np.where(touching.any(axis=0), np.maximum(touching.argmax(axis=0) - 1, 0), _STEPS - 1)
        bend = tried[last_free, np.arange(5)]
    return limited(pack(bend, spread, oppose))


def _free_thumb(kit: FingerKit, distance, bend: np.ndarray, spread: np.ndarray, oppose: float) -> float:
    """How far the thumb may oppose, up to `oppose`, before it closes: else it would start inside what is held."""
    tried = np.linspace(oppose, OPPOSE[0], _STEPS)
    poses = pack(np.tile(bend, (_STEPS, 1, 1)), np.tile(spread, (_STEPS, 1)), tried)
    gap = distance(finger_points(kit, poses))[:, 4].min(axis=1)
    return tried[(gap >= _FLESH).argmax() if (gap >= _FLESH).any() else gap.argmax()]


def open_hand(rng: np.random.Generator) -> np.ndarray:
    """Pose (21,) of a hand about to grasp."""
    return limited(pack(_FULL * rng.uniform(0.0, 0.3, (5, 1)), rng.uniform(-0.3, 1, 5) * SPREAD * (1, 0.2, -1, -0.5, 0),
                        rng.uniform(0.1, 0.8) * OPPOSE[1]))


def random_gesture(rng: np.random.Generator) -> np.ndarray:
    """Pose (21,): a fist, an open hand, pointing, or every finger on its own."""
    kind = rng.integers(4)
    together = rng.uniform(0, 1)
    each = np.clip(together + rng.normal(0, (0.1, 0.1, 0.15, 0.35)[kind], 5), 0, 1)
    if kind == 2:  # some fingers out, the others in
        each = np.where(rng.uniform(size=5) < 0.4, rng.uniform(0, 0.15, 5), rng.uniform(0.6, 1, 5))
    if kind == 1:
        each *= 0.35
    middle = np.clip(each + rng.normal(0, 0.15, 5), 0, 1)  # bends of one finger's joints go together, not quite
    end = np.clip(middle + rng.normal(0, 0.12, 5), 0, 1)
    bend = BEND_LOW + np.stack([each, middle, end], axis=1) * (BEND_HIGH - BEND_LOW)
    spread = rng.uniform(-1, 1, 5) * SPREAD * 0.4 + rng.uniform(-0.2, 1) * SPREAD * np.array((0.8, 0.1, -1, -0.5, 0))
    return limited(pack(bend, spread, rng.uniform(*OPPOSE)))


def gesture_curve(rng: np.random.Generator, num_frames: int, frames_per_key: int = 4) -> np.ndarray:
    """Poses (T, 21) that go from gesture to gesture."""
    keys = np.stack([random_gesture(rng) for _ in range(num_keys(num_frames, frames_per_key))])
    return limited(smooth_curve(keys, num_frames))


def both_kits(person: Person) -> dict[str, FingerKit]:
    """Kits of both hands by side."""
    return {side: finger_kit(person, side) for side in SIDES}
