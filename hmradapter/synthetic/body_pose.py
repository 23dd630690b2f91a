"""A person's rotations while they are drawn, joint by joint, and where joints are as far as they are set.

Stage frame: metres, y up, the person faces +z. T frames.
"""
import itertools

import numpy as np

from hmradapter.body_models.open_model.skeleton import JOINT_NAMES, PARENTS
from hmradapter.synthetic.arms import ArmKit, arm_kit, arm_locals
from hmradapter.synthetic.people import SIDES, Person


class BodyPose:
    """local (T, 55, 3, 3) parent-relative rotations, at rest until they are set; transl (T, 3); arms by side."""

    def __init__(self, person: Person, num_frames: int):
        self.person, self.num_frames = person, num_frames
        self.local = np.tile(np.eye(3), (num_frames, len(JOINT_NAMES), 1, 1))
        self.transl = np.zeros((num_frames, 3))
        self.arms: dict[str, ArmKit] = {side: arm_kit(person, side) for side in SIDES}

    def set_fingers(self, side: str, local: np.ndarray) -> None:
        """Parent-relative rotations (T, 15, 3, 3) of a hand."""
        first = JOINT_NAMES.index(f'{side}_index1')
        self.local[:, first:first + 15] = local

    def set_arm(self, side: str, upper, fore, twist, hand) -> None:
        """World rotations (T, 3, 3) and twist (T,) as `arms` gives them; trunk and collar are set before."""
        collar = self.world(f'{side}_collar')
        shoulder, elbow, wrist = arm_locals(self.arms[side], collar, upper, fore, twist, hand)
        self.set(f'{side}_shoulder', shoulder)
        self.set(f'{side}_elbow', elbow)
        self.set(f'{side}_wrist', wrist)

    def set(self, joint: str, turn: np.ndarray) -> None:
        """Parent-relative rotation (T, 3, 3) or (3, 3) of a joint by its SMPL-X name."""
        self.local[:, JOINT_NAMES.index(joint)] = turn

    def _chain(self, joint: str) -> list[int]:
        index, chain = JOINT_NAMES.index(joint), []
        while index >= 0:
            chain.append(index)
            index = PARENTS[index]
        return chain[::-1]

    def world(self, joint: str) -> np.ndarray:
        """Rotation (T, 3, 3) of a joint in the stage frame, as far as it is set."""
        turn = np.eye(3)
        for index in self._chain(joint):
            turn = turn @ self.local[:, index]
        return turn

    def place(self, joint: str) -> np.ndarray:
        """Position (T, 3) of a joint in the stage frame."""
        chain, rest = self._chain(joint), self.person.joints
        turn, place = np.eye(3), rest[0] + self.transl
        for parent, child in itertools.pairwise(chain):
            turn = turn @ self.local[:, parent]
            place = place + turn @ (rest[child] - rest[parent])
        return place

    def chest_centre(self) -> np.ndarray:
        """Middle (T, 3) of the shoulders in the stage frame."""
        return (self.place('left_shoulder') + self.place('right_shoulder')) / 2
