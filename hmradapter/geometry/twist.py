"""Twist of a rotation about an axis, how a limb's two joints share it, over any leading dimensions.

Convention: R = T S, the twist T = exp(twist [a]x) on the parent's side, the swing S without a turn about the unit vector a.
Angles in radians. A turn of 0.3 about a has twist 0.3 and bend 0; a turn about any axis across a has twist 0.
Source: PyMAF-X, whose sign and limit this has, without its division by the sum of the axis' components.
"""
import math

import roma
import torch
from torch import Tensor

_NO_TWIST = 1e-12  # cos^2(bend / 2) below which a matrix holds nothing but rounding about its twist


def twist_angle(rotmat: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Twist of R (..., 3, 3) about the unit vector a (..., 3).

    Returns:
        twist (...) in [-pi, pi]; 0 where the bend is half a turn, which leaves it undefined.
        certainty (...) in [0, 1]: cos^2(bend / 2), the bend being the angle between a and R a. The twist's error is that of
        the matrix over its root.
    """
    quat = roma.rotmat_to_unitquat(rotmat)  # x, y, z, w
    quat = torch.where(quat[..., 3:] < 0, -quat, quat)
    cosine, sine = quat[..., 3], (quat[..., :3] * axis).sum(-1)
    certainty = cosine.square() + sine.square()
    undefined = certainty < _NO_TWIST
    # replaced before the atan2, whose gradient at (0, 0) is NaN
    return 2 * torch.atan2(sine.masked_fill(undefined, 0), cosine.masked_fill(undefined, 1)), certainty


def bounded_twist(twist: Tensor, limit: float, fade: float = 0.0) -> Tensor:
    """What a joint keeps of a twist (...) that it may hold up to +-limit; the rest goes to its parent.

    Within `fade` of half a turn the bound falls to zero, so that +pi and -pi, which are one rotation, are shared alike. With a
    `fade` of 0 the parent's part jumps there from pi - limit to -(pi - limit). Any sharing within a limit below half a turn
    jumps unless at half a turn the parent takes all. At a limit of 72 degrees 90 keep 72.
    """
    bound = torch.full_like(twist, limit)
    if fade > 0:
        bound = torch.minimum(bound, limit / fade * (math.pi - twist.abs()).clamp(min=0))
    return torch.maximum(torch.minimum(twist, bound), -bound)
