"""From a hand expert's MANO hands to the arms of an SMPL-X body and back, over any leading dimensions.

Convention: hands stand in the order left, right along an axis of two. All rotations are matrices; a body is (..., 22, 3, 3),
root first, the root in the camera's frame, the rest relative to their parents. SMPL-X and MANO rest with parallel frames, so
nothing is between them: MANO's global orientation is the product of the eight rotations from root to wrist.
A body at rest but for an elbow turned by 0.3 about z needs a wrist turned by -0.3 for a hand that does not turn.
Source: PyMAF-X, Mano2Smpl-X, FrankMocap (copied wrist), smplx (fingers as residuals to a mean hand).
"""
import torch
from torch import Tensor

from hmradapter.structures.joints import ARM_CHAIN

from .kinematics import chain_product
from .mirror import mirror_rotmat
from .rotations import axis_angle_to_rotmat, rotmat_to_axis_angle

SIDES = ('left', 'right')
ELBOWS = tuple(ARM_CHAIN[side][-2] for side in SIDES)
WRISTS = tuple(ARM_CHAIN[side][-1] for side in SIDES)


def mirror_left_hand(rotmats: Tensor) -> Tensor:
    """Hands as a network of right hands answers, the left one mirrored, <-> hands on their true sides; its own inverse.
    (..., 2, J, 3, 3), J rotations per hand: 1 of the orientation, 15 of the fingers, or all 16. For the left hand this comes
    before anything is multiplied by an arm."""
    left, right = rotmats.unbind(-4)
    return torch.stack((mirror_rotmat(left), right), dim=-4)


def elbow_orientations(body_pose: Tensor) -> Tensor:
    """Global rotations (..., 2, 3, 3) of both elbows of a body (..., 22, 3, 3)."""
    return torch.stack([chain_product(body_pose, ARM_CHAIN[side][:-1]) for side in SIDES], dim=-3)


def hand_from_body(body_pose: Tensor) -> Tensor:
    """MANO's global orientations (..., 2, 3, 3) of the hands that a body (..., 22, 3, 3) has."""
    return elbow_orientations(body_pose) @ body_pose[..., WRISTS, :, :]


def wrist_from_hand(hand_orient: Tensor, body_pose: Tensor) -> Tensor:
    """Wrist rotations (..., 2, 3, 3) that give the hands of a body (..., 22, 3, 3) the global orientations `hand_orient`
    (..., 2, 3, 3), which are on their true sides and in the frame of the body's root."""
    return elbow_orientations(body_pose).transpose(-1, -2) @ hand_orient


def residual_from_fingers(fingers: Tensor, hand_mean: Tensor) -> Tensor:
    """Absolute fingers (..., 15, 3, 3) of one side -> axis-angle (..., 15, 3) rad, what smplx adds its mean hand to.
    hand_mean (15, 3) or (45,) rad. Numbers are subtracted, rotations are not composed: that is what smplx undoes."""
    return rotmat_to_axis_angle(fingers) - hand_mean.reshape(15, 3)


def fingers_from_residual(residual: Tensor, hand_mean: Tensor) -> Tensor:
    """Inverse of `residual_from_fingers`: axis-angle (..., 15, 3) rad -> absolute fingers (..., 15, 3, 3). A residual comes
    back where its sum with the mean is shorter than half a turn; else as another one of the same rotation."""
    return axis_angle_to_rotmat(residual + hand_mean.reshape(15, 3))
