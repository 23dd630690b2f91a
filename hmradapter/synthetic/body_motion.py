"""Whole bodies: postures with arms that keep clear of the body, hands free or flat, faces alive; feet on the floor.

Stage frame: metres, y up, the person faces +z when its yaw is 0; the floor is where the world's z is 0. T frames.
"""
from dataclasses import dataclass

import numpy as np
import torch

from hmradapter.body_models.open_model.skeleton import JOINT_NAMES
from hmradapter.body_models.smplx_layer import POSE_PARTS
from hmradapter.synthetic.arms import bend_wrist, reach
from hmradapter.synthetic.body_pose import BodyPose
from hmradapter.synthetic.clearance import Obstacles, arm_depth, trunk_and_legs
from hmradapter.synthetic.curves import random_curve, turns
from hmradapter.synthetic.fingers import both_kits, finger_turns, gesture_curve, random_gesture
from hmradapter.synthetic.motion import Motion
from hmradapter.synthetic.people import SIDES, Person
from hmradapter.synthetic.postures import draw_face, draw_kinds, head_curve, posture_curve, separate_postures, set_posture
from hmradapter.synthetic.scene import WORLD_ORIGIN

_DEG = np.pi / 180
_TRIES = 14          # arm movements drawn, of which the one that is least in the way is kept
_COLLAR = (2, 8, 10)  # degrees to either side
# A wrist's direction from its shoulder: azimuth from straight ahead outwards, elevation; and its distance in arm lengths.
_REGIONS = {'hang': ((20, 100), (-88, -66), (0.86, 0.98)), 'front': ((-30, 45), (-60, 10), (0.45, 0.9)),
            'side': ((45, 110), (-65, 20), (0.6, 0.98)), 'up': ((-10, 95), (15, 80), (0.6, 0.98)),
            'near': ((-45, 30), (-75, -10), (0.32, 0.6))}
_REGION_SHARES = (0.26, 0.28, 0.18, 0.14, 0.14)
_HAND = 0.15         # metres from the wrist to the middle of the fingers


@dataclass
class WholeMotion:
    """The motion, and kinds (T,) of its postures."""
    motion: Motion
    kinds: list[str]


def separate_poses(person: Person, num_frames: int, rng: np.random.Generator, yaw: float = 0.0) -> WholeMotion:
    """Every frame a pose of its own, with fingers and face. yaw: radians to either side of facing +z."""
    kinds = draw_kinds(num_frames, rng)
    body = BodyPose(person, num_frames)
    set_posture(body, separate_postures(kinds, rng), rng.uniform(-yaw, yaw, num_frames), head_curve(num_frames, rng, 1))
    _set_arms(body, rng, separate=True)
    for side, kit in both_kits(person).items():
        body.set_fingers(side, finger_turns(kit, np.stack([random_gesture(rng) for _ in range(num_frames)])))
    return WholeMotion(_standing(body, draw_face(body, rng, separate=True)), kinds)


def continuous_motion(person: Person, kind: str, num_frames: int, rng: np.random.Generator, yaw: float,
                      flat_hands: bool = False) -> WholeMotion:
    """One kind of posture in motion, facing about `yaw`; a walk goes where it faces. flat_hands: fingers and face at rest,
    which is all that SMPL can say."""
    body = BodyPose(person, num_frames)
    facing = yaw + random_curve(rng, num_frames, -0.15, 0.15, 8)
    set_posture(body, posture_curve(kind, num_frames, rng), facing, head_curve(num_frames, rng, 6))
    _set_arms(body, rng, separate=False)
    expression = None
    if not flat_hands:
        for side, kit in both_kits(person).items():
            body.set_fingers(side, finger_turns(kit, gesture_curve(rng, num_frames)))
        expression = draw_face(body, rng, separate=False)
    motion = _standing(body, expression)
    if kind == 'walk':
        gone = rng.uniform(0.10, 0.16) * (np.arange(num_frames) - (num_frames - 1) / 2)
        motion.transl += gone[:, None] * np.array([np.sin(yaw), 0, np.cos(yaw)])
    return WholeMotion(motion, [kind] * num_frames)


def with_legs(person: Person, motion: Motion, rng: np.random.Generator) -> Motion:
    """A motion of the upper body, perhaps with an object, on legs that stand, stride or lunge; with a face, on the floor."""
    frames = len(motion.transl)
    kind = ('stand', 'stride', 'lunge', 'walk')[rng.integers(4)]
    body, legs = BodyPose(person, frames), BodyPose(person, frames)
    posture = posture_curve(kind, frames, rng)
    posture[:, 8:] = 0  # trunk and pelvis stay as they are
    set_posture(legs, posture, np.zeros(frames), np.zeros((frames, 3)))
    body.local = motion.rotations.copy()
    for joint in ('hip', 'knee', 'ankle', 'foot'):
        for side in SIDES:
            body.set(f'{side}_{joint}', legs.local[:, JOINT_NAMES.index(f'{side}_{joint}')])
    body.transl = motion.transl
    expression = draw_face(body, rng, separate=False)
    stood = _standing(body, expression)
    moved = stood.transl - motion.transl
    translation = None if motion.object_translation is None else motion.object_translation + moved
    return Motion(stood.rotations, stood.transl, motion.object_rotation, translation, motion.articulation, expression)


def _set_arms(body: BodyPose, rng: np.random.Generator, separate: bool) -> None:
    """Draw both arms, the right one clear of the left."""
    for side in SIDES:
        limit = np.array(_COLLAR) * _DEG
        body.set(f'{side}_collar', turns(random_curve(rng, body.num_frames, -limit, limit, 1 if separate else 8)))
    obstacles = trunk_and_legs(body)
    for side in SIDES:
        obstacles = _set_arm(body, side, obstacles, rng, separate)


@dataclass
class _Arm:
    """What set_arm asks for, and joints (T, 3), of one try."""
    upper: np.ndarray
    fore: np.ndarray
    twist: np.ndarray
    hand: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    tip: np.ndarray


def _set_arm(body: BodyPose, side: str, obstacles: Obstacles, rng: np.random.Generator, separate: bool) -> Obstacles:
    """Keep the try that is least in the way, frame by frame where frames are separate; the obstacles with this arm."""
    frames = np.arange(body.num_frames)
    chest, shoulder = body.world('spine3'), body.place(f'{side}_shoulder')
    tries = [_draw_arm(body, side, chest, shoulder, rng, separate) for _ in range(_TRIES)]
    depth = np.stack([arm_depth(obstacles, arm.elbow, arm.wrist, arm.tip) for arm in tries])  # (tries, T)
    deepest = 0.005 * np.round(depth / 0.005)  # below 5 mm the first draw is as good as any
    best = deepest.argmin(axis=0) if separate else np.full(len(frames), deepest.sum(axis=1).argmin())
    chosen = _Arm(**{name: np.stack([getattr(arm, name) for arm in tries])[best, frames] for name in _Arm.__dataclass_fields__})
    body.set_arm(side, chosen.upper, chosen.fore, chosen.twist, chosen.hand)
    return obstacles.joined(chosen.elbow, chosen.wrist, 0.05).joined(chosen.wrist, chosen.tip, 0.04)


def _draw_arm(body: BodyPose, side: str, chest: np.ndarray, shoulder: np.ndarray, rng: np.random.Generator,
              separate: bool) -> _Arm:
    kit, frames, keys = body.arms[side], body.num_frames, 1 if separate else 6
    regions = [list(_REGIONS)[k] for k in rng.choice(len(_REGIONS), frames if separate else 1, p=_REGION_SHARES)]
    low, high = np.array([[list(pair) for pair in _REGIONS[region]] for region in regions]).transpose(2, 0, 1)  # (T or 1, 3)
    share = rng.uniform(size=(frames, 3)) if separate else random_curve(rng, frames, np.zeros(3), 1, keys)
    azimuth, elevation, distance = (low + share * (high - low)).T
    azimuth, elevation = azimuth * _DEG * kit.sign, elevation * _DEG
    way = np.stack([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)], axis=-1)
    length = np.linalg.norm(kit.upper) + np.linalg.norm(kit.fore)
    wrist = shoulder + np.einsum('tij,tj->ti', chest, way) * (distance * length)[:, None]
    swivel = random_curve(rng, frames, -10 * _DEG, 60 * _DEG, keys)
    upper, fore, wrist = reach(kit, shoulder, wrist, chest, swivel)
    low, high = np.array((-60, -45, -15)) * _DEG, np.array((60, 45, 15)) * _DEG
    twist, flex, deviate = random_curve(rng, frames, low, high, keys).T
    hand = bend_wrist(kit, fore, twist, flex, deviate)
    tip = wrist + kit.sign * _HAND * hand[:, :, 0]
    return _Arm(upper, fore, twist, hand, shoulder + upper @ kit.upper, wrist, tip)


def _standing(body: BodyPose, expression: np.ndarray | None) -> Motion:
    """The motion with its lowest point on the floor and the middle of its outline over the stage's origin."""
    person, local = body.person, body.local.astype(np.float32)
    parts = torch.from_numpy(local).split(tuple(POSE_PARTS.values()), dim=1)
    with torch.no_grad():
        vertices = person.layer(**dict(zip(POSE_PARTS, parts, strict=True))).vertices.numpy()
    low, high = vertices.min(axis=1), vertices.max(axis=1)
    transl = -(low + high) / 2.0
    transl[:, 1] = -WORLD_ORIGIN[2] - low[:, 1]
    return Motion(body.local, transl.astype(np.float64), expression=expression)
