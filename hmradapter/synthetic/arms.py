"""Arms by two-bone inverse kinematics, with limits on forearm twist and wrist.

Frames: 'world' is any frame in which shoulder, wrist and rotations are given together; rest is SMPL-X's T-pose, arms along x.
N frames; angles in radians, lengths in metres.
"""
from dataclasses import dataclass

import numpy as np

from hmradapter.synthetic.curves import axis_turns, frame_of, rotvecs, turns, unit
from hmradapter.synthetic.people import Person

_DEG = np.pi / 180
TWIST = 85 * _DEG              # pronation and supination of the forearm
WRIST = (65 * _DEG, 25 * _DEG)  # flexion and extension, deviation to either side
_STRETCH = 0.985               # of the arm's length: a straight elbow would lose the plane it bends in


@dataclass
class ArmKit:
    """upper, fore (3,) rest bones from shoulder to elbow to wrist; hinge (3,) rest axis of the elbow; sign 1 left, -1 right."""
    upper: np.ndarray
    fore: np.ndarray
    hinge: np.ndarray
    sign: float


def arm_kit(person: Person, side: str) -> ArmKit:
    """A person's arm."""
    shoulder, elbow, wrist = (person.at(f'{side}_{joint}') for joint in ('shoulder', 'elbow', 'wrist'))
    sign = 1.0 if side == 'left' else -1.0
    return ArmKit(elbow - shoulder, wrist - elbow, np.array([0.0, -sign, 0.0]), sign)


def reach(kit: ArmKit, shoulder: np.ndarray, wrist: np.ndarray, chest: np.ndarray,
          swivel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations of upper arm and untwisted forearm (N, 3, 3), world, and the wrist that is reached (N, 3).
    shoulder, wrist (N, 3); chest (N, 3, 3) rotation that says where down and outside are; swivel (N,) lifts the elbow."""
    a, b = np.linalg.norm(kit.upper), np.linalg.norm(kit.fore)
    way = wrist - shoulder
    length = np.clip(np.linalg.norm(way, axis=-1, keepdims=True), abs(a - b) + 0.06, _STRETCH * (a + b))
    towards = unit(way)
    pole = np.einsum('nij,j->ni', chest, unit(np.array([0.5 * kit.sign, -0.8, -0.3])))
    pole = unit(pole - (pole * towards).sum(-1, keepdims=True) * towards)
    pole = np.einsum('nij,nj->ni', turns(-kit.sign * swivel[:, None] * towards), pole)
    along = (a * a - b * b + length ** 2) / (2 * length)
    elbow = along * towards + np.sqrt(np.maximum(a * a - along ** 2, 1e-9)) * pole
    fold = np.cross(pole, towards)  # axis of the bend: from upper arm to forearm
    upper = frame_of(elbow, fold) @ frame_of(kit.upper, kit.hinge).T
    fore = frame_of(length * towards - elbow, fold) @ frame_of(kit.fore, kit.hinge).T
    return upper, fore, shoulder + length * towards


def bend_wrist(kit: ArmKit, fore: np.ndarray, twist: np.ndarray, flex: np.ndarray, deviate: np.ndarray) -> np.ndarray:
    """World rotations of the hand (N, 3, 3): forearm turned by `twist` about itself, then wrist angles (N,)."""
    return fore @ axis_turns(unit(kit.fore), twist) @ turns(np.stack([np.zeros_like(flex), deviate, flex], axis=-1))


def limit_hand(kit: ArmKit, fore: np.ndarray, hand: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest rotations (N, 3, 3) that twist and wrist allow, the twist (N,), and how far each was moved (N,), radians."""
    axis = unit(kit.fore)
    wanted = fore.swapaxes(-1, -2) @ hand
    half = rotvecs(wanted)
    angle = np.linalg.norm(half, axis=-1)
    twist = 2 * np.arctan2((half @ axis) * np.sinc(angle / 2 / np.pi) / 2, np.cos(angle / 2))  # swing-twist, twist first
    swing = rotvecs(axis_turns(axis, -twist) @ wanted)
    kept_twist = np.clip(twist, -TWIST, TWIST)
    swing = np.stack([0 * twist, np.clip(swing[:, 1], -WRIST[1], WRIST[1]), np.clip(swing[:, 2], -WRIST[0], WRIST[0])], axis=-1)
    allowed = fore @ axis_turns(axis, kept_twist) @ turns(swing)
    moved = np.arccos(np.clip((np.einsum('nij,nij->n', allowed, hand) - 1) / 2, -1, 1))
    return allowed, kept_twist, moved


def arm_locals(kit: ArmKit, collar: np.ndarray, upper: np.ndarray, fore: np.ndarray, twist: np.ndarray,
               hand: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parent-relative rotations (N, 3, 3) of shoulder, elbow and wrist. Half of the twist goes to the elbow's rotation, half to
    the wrist's, as skin along a forearm shows it."""
    elbow = fore @ axis_turns(unit(kit.fore), twist / 2)
    return (collar.swapaxes(-1, -2) @ upper, upper.swapaxes(-1, -2) @ elbow, elbow.swapaxes(-1, -2) @ hand)
