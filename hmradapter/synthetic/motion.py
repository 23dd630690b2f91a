"""What the people do: one hand leads and holds an object, the other joins in; or both hands gesture in the air.

Stage frame: metres, y up, the person at the origin faces +z; `arctic` turns it into the world. T frames.
"""
from dataclasses import dataclass

import numpy as np

from hmradapter.synthetic.arms import bend_wrist, limit_hand, reach
from hmradapter.synthetic.body_pose import BodyPose
from hmradapter.synthetic.curves import random_curve, turns
from hmradapter.synthetic.fingers import both_kits, close_fingers, finger_turns, gesture_curve, limited, open_hand
from hmradapter.synthetic.grasps import Grasps, draw_grasps, hand_distance
from hmradapter.synthetic.objects import HandheldObject
from hmradapter.synthetic.people import SIDES, Person

_DEG = np.pi / 180
_LEADING = 24     # grasps drawn for the hand that leads
_FOLLOWING = 160  # and for the other, of which the best reachable ones are kept
_KEPT = 3
_TRUNK = {'spine1': (8, 12, 5), 'spine2': (6, 8, 4), 'spine3': (6, 8, 4), 'neck': (12, 15, 6), 'left_collar': (2, 5, 6),
          'right_collar': (2, 5, 6)}  # degrees to either side about x (forward), y (turn), z (sideways)
# Where a hand works, in the chest's frame from the middle of the shoulders: outwards, up, forwards; metres.
_ROOM = ((-0.06, -0.34, 0.20), (0.24, 0.10, 0.44))


@dataclass
class Motion:
    """rotations (T, 55, 3, 3) parent-relative, the pelvis's in the stage frame; transl (T, 3); the object's rotation (T, 3, 3),
    translation (T, 3) and articulation (T,), or None where there is none."""
    rotations: np.ndarray
    transl: np.ndarray
    object_rotation: np.ndarray | None = None
    object_translation: np.ndarray | None = None
    articulation: np.ndarray | None = None
    expression: np.ndarray | None = None  # (T, 10) coefficients of the face, or None for a face at rest


def handle(person: Person, thing: HandheldObject, num_frames: int, rng: np.random.Generator) -> Motion:
    """Both hands at an object."""
    body = _Body(person, num_frames, rng)
    kits = both_kits(person)
    lead, other = rng.permutation(SIDES)
    articulation = random_curve(rng, num_frames, *_hinge_range(thing, rng))
    start = float(articulation[0])
    held = draw_grasps(kits[lead], thing, start, _LEADING, rng)[rng.integers(_LEADING)]
    hand, wrist = body.free_arm(lead, rng)
    wobble = turns(random_curve(rng, num_frames, [-6 * _DEG] * 3, 6 * _DEG))
    object_rotation = hand @ held.rotation.T @ wobble
    object_translation = wrist - np.einsum('tij,j->ti', object_rotation, held.wrist)
    fingers = {lead: _lively(close_fingers(kits[lead], hand_distance(thing, held, start), rng), num_frames, rng)}

    if rng.uniform() < 0.15:
        body.free_arm(other, rng)
        fingers[other] = gesture_curve(rng, num_frames)
    else:
        grasps = draw_grasps(kits[other], thing, start, _FOLLOWING, rng)
        grasp = body.pick_grasp(other, grasps, object_rotation, object_translation, wrist, rng)
        gap = _withdrawals(num_frames, rng)
        body.follow(other, grasp, object_rotation, object_translation, gap)
        closed = close_fingers(kits[other], hand_distance(thing, grasp, start), rng)
        loose = np.clip(gap / 0.06, 0, 1)[:, None]
        fingers[other] = limited(_lively(closed, num_frames, rng) * (1 - loose) + loose * open_hand(rng))
    for side in SIDES:
        body.set_fingers(side, finger_turns(kits[side], fingers[side]))
    return Motion(body.local, body.transl, object_rotation, object_translation, articulation)


def gesture(person: Person, num_frames: int, rng: np.random.Generator) -> Motion:
    """Both hands on their own, nothing held."""
    body = _Body(person, num_frames, rng)
    kits = both_kits(person)
    for side in SIDES:
        body.free_arm(side, rng, apart=0.07)
        body.set_fingers(side, finger_turns(kits[side], gesture_curve(rng, num_frames)))
    return Motion(body.local, body.transl)


def _hinge_range(thing: HandheldObject, rng) -> tuple[float, float]:
    low, high = thing.hinge
    middle = rng.uniform(low, high)
    return middle, min(high, middle + 0.1 * (high - low))


def _lively(pose: np.ndarray, num_frames: int, rng) -> np.ndarray:
    """A held pose (21,) with small movements of every joint: (T, 21)."""
    return limited(pose + random_curve(rng, num_frames, np.full(21, -4 * _DEG), 4 * _DEG))


def _withdrawals(num_frames: int, rng) -> np.ndarray:
    """(T,) metres between the second hand and its place: mostly 0, now and then it lets go."""
    if rng.uniform() < 0.45:
        return np.zeros(num_frames)
    return np.clip(random_curve(rng, num_frames, -0.10, 0.12), 0, None)


class _Body(BodyPose):
    """The trunk first, then arms that reach from it."""

    def __init__(self, person: Person, num_frames: int, rng: np.random.Generator):
        super().__init__(person, num_frames)
        for joint, degrees in _TRUNK.items():
            self.set(joint, turns(random_curve(rng, num_frames, -_DEG * np.array(degrees), _DEG * np.array(degrees), 8)))
        nod = random_curve(rng, num_frames, np.array((0, -15, -5)) * _DEG, np.array((30, 15, 5)) * _DEG, 6)
        self.set('head', turns(nod))
        sway = random_curve(rng, num_frames, np.array((-3, -20, -3)) * _DEG, np.array((8, 20, 3)) * _DEG, 10)
        self.set('pelvis', turns(sway))
        for side, sign in (('left', 1), ('right', -1)):
            self.set(f'{side}_hip', turns(np.array([-0.05, 0, 0.06 * sign]) * rng.uniform(0, 2)))
            self.set(f'{side}_knee', turns(np.array([rng.uniform(0, 0.2), 0, 0])))
        self.transl = random_curve(rng, num_frames, -0.04, np.full(3, 0.04), 10) - person.at('pelvis')
        self.chest = self.world('spine3')

    def free_arm(self, side: str, rng, apart: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Let an arm wander in front of the chest; its hand's rotation (T, 3, 3) and wrist (T, 3) in the stage frame.
        `apart` keeps it that far, metres, on its own side."""
        arm, frames = self.arms[side], self.num_frames
        low, high = np.array(_ROOM)
        place = random_curve(rng, frames, np.maximum(low, (apart, -9, -9)), high) * (arm.sign, 1, 1)
        wrist = self.chest_centre() + np.einsum('tij,tj->ti', self.chest, place)
        swivel = random_curve(rng, frames, -10 * _DEG, 55 * _DEG, 6)
        upper, fore, wrist = reach(arm, self.place(f'{side}_shoulder'), wrist, self.chest, swivel)
        twist, flex, deviate = random_curve(rng, frames, np.array((-80, -55, -18)) * _DEG, np.array((80, 55, 18)) * _DEG).T
        hand = bend_wrist(arm, fore, twist, flex, deviate)
        self.set_arm(side, upper, fore, twist, hand)
        return hand, wrist

    def pick_grasp(self, side: str, grasps: Grasps, rotation, translation, lead_wrist, rng) -> Grasps:
        """One of the grasps that this arm reaches best over a few frames, away from the leading hand."""
        lead = SIDES[1 - SIDES.index(side)]
        frames = np.linspace(0, self.num_frames - 1, 4).astype(int)
        cost = np.zeros(len(grasps))
        for t in frames:
            hand = rotation[t] @ grasps.rotation
            wrist = translation[t] + grasps.wrist @ rotation[t].T
            _, moved, missed = self._best_reach(side, t, hand, wrist)
            palm = wrist + 0.07 * hand[:, :, 0] * self.arms[side].sign
            lead_palm = lead_wrist[t] - 0.07 * self.world(f'{lead}_wrist')[t, :, 0] * self.arms[side].sign
            crowd = np.clip(0.11 - np.linalg.norm(palm - lead_palm, axis=-1), 0, None)
            cost += moved + 12 * missed + 12 * crowd
        return grasps[np.argsort(cost, kind='stable')[rng.integers(_KEPT)]]

    def follow(self, side: str, grasp: Grasps, rotation, translation, gap: np.ndarray) -> None:
        """Bring an arm to a grasp of the moving object, `gap` (T,) metres off it."""
        hand = rotation @ grasp.rotation
        wrist = translation + np.einsum('tij,tj->ti', rotation, grasp.wrist + gap[:, None] * grasp.away)
        swivels = np.stack([self._best_reach(side, t, hand[t:t + 1], wrist[t:t + 1])[0][0] for t in range(self.num_frames)])
        smooth = np.convolve(np.pad(swivels, 2, mode='edge'), np.ones(5) / 5, mode='valid')
        arm = self.arms[side]
        upper, fore, _ = reach(arm, self.place(f'{side}_shoulder'), wrist, self.chest, smooth)
        hand, twist, _ = limit_hand(arm, fore, hand)
        self.set_arm(side, upper, fore, twist, hand)

    def _best_reach(self, side: str, t: int, hand: np.ndarray, wrist: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For N hands at frame t: the elbow swivel (N,) that bends the wrist least beyond its limits, how far beyond (N,)
        radians, and how far the arm falls short (N,) metres."""
        arm, count = self.arms[side], len(wrist)
        shoulder = np.broadcast_to(self.place(f'{side}_shoulder')[t], wrist.shape)
        chest = np.broadcast_to(self.chest[t], (count, 3, 3))
        options = np.array([-10, 10, 30, 50, 70]) * _DEG
        tried = []
        for swivel in options:
            _, fore, reached = reach(arm, shoulder, wrist, chest, np.full(count, swivel))
            tried.append(limit_hand(arm, fore, hand)[2] + 0.05 * abs(swivel))
        best = np.argmin(tried, axis=0)
        return options[best], np.min(tried, axis=0), np.linalg.norm(reached - wrist, axis=-1)
