"""Integrators: how a hand expert's hands join the arms of a whole-body expert's body.

All take the fingers over; they differ in what becomes of wrist and elbow. A config says `integrator=dict(type='elbow_twist')`.
Hands stand in the order left, right. B stands for any leading dimensions; everything is differentiable and without weights.
Laws, tested: no joint of the body moves against `wrist_copy`; a missing hand leaves its arm and fingers the body's own; fingers
never change the arm; a mirrored body with mirrored hands gives the mirrored result.
"""
import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hmradapter.geometry.handover import ELBOWS, WRISTS, hand_from_body, wrist_from_hand
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.geometry.twist import bounded_twist, twist_angle
from hmradapter.registry import INTEGRATORS

PYMAFX_LIMIT = 0.4 * math.pi  # 72 degrees on both sides (PyMAF-X, fixed in its code)
FADE = 0.1 * math.pi          # ours: from 162 degrees of twist on the wrist gives its part back
UNCERTAIN = (0.05, 0.08)      # ours, cos(bend / 2): the excess counts nothing below the first and fully from the second on
_BODY_JOINTS = 22


class PosedBody(NamedTuple):
    """body_pose (B, 22, 3, 3), root first in the camera's frame, the rest relative to their parents; hand_pose
    (B, 2, 15, 3, 3) absolute fingers."""
    body_pose: Tensor
    hand_pose: Tensor


class PosedHands(NamedTuple):
    """global_orient (B, 2, 3, 3) in the frame of the body's root; hand_pose (B, 2, 15, 3, 3) absolute fingers; present (B, 2)
    bool. On their true sides, unmirrored. What a missing hand holds is never read."""
    global_orient: Tensor
    hand_pose: Tensor
    present: Tensor


class IntegratedBody(NamedTuple):
    """body_pose (B, 22, 3, 3), hand_pose (B, 2, 15, 3, 3); elbow_twist (B, 2) rad, what went from the wrist into the elbow;
    uncertain (B, 2) bool, a wrist bent so far that its twist is undefined and part or all of it was left where it was."""
    body_pose: Tensor
    hand_pose: Tensor
    elbow_twist: Tensor
    uncertain: Tensor


class _Integrator(ABC):
    """Fingers and missing hands, which all integrators treat alike; subclasses say what the arms do."""

    def __call__(self, body: PosedBody, hands: PosedHands, rest_joints: Tensor) -> IntegratedBody:
        """rest_joints (B, J, 3) m, J >= 22, of the body's own rest pose (its betas); only the forearms' directions are read."""
        _check(body, hands, rest_joints)
        missing = ~hands.present[..., None, None]
        # replaced before it is used: gradients of a missing hand would be NaN where its numbers are
        orient = torch.where(missing, hand_from_body(body.body_pose), hands.global_orient)
        elbows, wrists, moved, uncertain = self._arms(body.body_pose, orient, rest_joints)
        arms = {ELBOWS: elbows, WRISTS: wrists}
        pose = body.body_pose
        for joints, rotations in arms.items():
            rotations = torch.where(missing, pose[..., joints, :, :], rotations)
            pose = pose.index_copy(-3, torch.tensor(joints, device=pose.device), rotations)
        fingers = torch.where(missing.unsqueeze(-1), body.hand_pose, hands.hand_pose)
        return IntegratedBody(pose, fingers, moved * hands.present, uncertain & hands.present)

    @abstractmethod
    def _arms(self, body_pose: Tensor, orient: Tensor, rest_joints: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Elbows and wrists (B, 2, 3, 3), the twist that moved (B, 2), and whether it was uncertain (B, 2)."""


@INTEGRATORS.register_module('body_wrist')
class BodyWrist(_Integrator):
    """Fingers only: elbow and wrist stay the whole-body expert's."""

    def _arms(self, body_pose: Tensor, orient: Tensor, rest_joints: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return _no_twist_moved(body_pose[..., ELBOWS, :, :], body_pose[..., WRISTS, :, :])


@INTEGRATORS.register_module('wrist_copy')
class WristCopy(_Integrator):
    """The wrist takes all that the hand's global orientation asks for (FrankMocap, Mano2Smpl-X)."""

    def _arms(self, body_pose: Tensor, orient: Tensor, rest_joints: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return _no_twist_moved(body_pose[..., ELBOWS, :, :], wrist_from_hand(orient, body_pose))


@INTEGRATORS.register_module('elbow_twist')
class ElbowTwist(_Integrator):
    """Twist about the forearm beyond the wrist's limit goes into the elbow (PyMAF-X's adaptive integration, the inverse
    kinematics of the paper's baseline). The hand's global orientation and every joint's position stay; the bend is not touched.

    The original jumps at half a turn of twist, and where the wrist is bent by half a turn. Here the wrist's part fades out
    before the first, where both signs of the twist are one rotation only if the elbow takes all of it; the excess fades out
    before the second, where the twist is undefined. `ElbowTwist(fade=0, uncertain=(0, 0))` is the original.

    Args:
        limit: radians of twist that the wrist keeps, on either side.
        fade: radians before half a turn from which on it keeps less, down to nothing; 0 jumps there.
        uncertain: cos(bend / 2) below which the twist counts as undefined, and from which on it counts fully.
    """

    def __init__(self, limit: float = PYMAFX_LIMIT, fade: float = FADE, uncertain: tuple[float, float] = UNCERTAIN):
        if not (limit >= 0 and fade >= 0 and limit + fade <= math.pi):
            raise ValueError(f'limit is {limit} and fade {fade} rad; they must not be negative and their sum at most pi, half '
                             'a turn. Angles are radians.')
        if not 0 <= uncertain[0] <= uncertain[1] <= 1:
            raise ValueError(f'uncertain is {tuple(uncertain)}; it must be two cosines that do not fall, within 0..1, such as '
                             f'{UNCERTAIN}, or (0, 0) for never.')
        self.limit, self.fade, self.uncertain = float(limit), float(fade), tuple(uncertain)

    def _arms(self, body_pose: Tensor, orient: Tensor, rest_joints: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axis = F.normalize(rest_joints[..., WRISTS, :] - rest_joints[..., ELBOWS, :], dim=-1)
        wrists = wrist_from_hand(orient, body_pose)
        twist, certainty = twist_angle(wrists, axis)
        low, high = (bound ** 2 for bound in self.uncertain)
        share = ((certainty - low) / (high - low)).clamp(0, 1) if high > low else (certainty >= low).to(twist)
        moved = (twist - bounded_twist(twist, self.limit, self.fade)) * share
        turn = axis_angle_to_rotmat(moved.unsqueeze(-1) * axis)
        return body_pose[..., ELBOWS, :, :] @ turn, turn.transpose(-1, -2) @ wrists, moved, share < 1


def _no_twist_moved(elbows: Tensor, wrists: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    nothing = torch.zeros_like(wrists[..., 0, 0])
    return elbows, wrists, nothing, nothing > 0


def _check(body: PosedBody, hands: PosedHands, rest_joints: Tensor) -> None:
    """ValueError for shapes that would broadcast to something else than was meant."""
    rules = dict(body_pose=(body.body_pose, (_BODY_JOINTS, 3, 3)), own_fingers=(body.hand_pose, (2, 15, 3, 3)),
                 global_orient=(hands.global_orient, (2, 3, 3)), hand_pose=(hands.hand_pose, (2, 15, 3, 3)),
                 present=(hands.present, (2,)))
    for name, (value, last) in rules.items():
        if tuple(value.shape[-len(last):]) != last:
            raise ValueError(f'{name} has shape {tuple(value.shape)}; it must end in {last}: hands are left, right.')
    if rest_joints.shape[-1] != 3 or rest_joints.shape[-2] < _BODY_JOINTS:
        raise ValueError(f'rest_joints has shape {tuple(rest_joints.shape)}; it must be (..., J, 3) metres with at least '
                         f'{_BODY_JOINTS} joints: pass the rest joints of the body model for the predicted betas.')
    if hands.present.dtype != torch.bool:
        raise ValueError(f'present is {hands.present.dtype}; it must be bool: compare scores with a threshold first.')
