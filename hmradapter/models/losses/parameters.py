"""Losses on MANO parameters: pose and shape (L_theta, L_beta of eq. 5)."""
import torch
import torch.nn.functional as F
from torch import Tensor

from hmradapter.geometry.rotations import rotmat_to_axis_angle, rotmat_to_rot6d
from hmradapter.registry import LOSSES

from .base import SampleLoss, distance, over_sample

REPRESENTATIONS = dict(rot6d=rotmat_to_rot6d, rotmat=lambda rotmat: rotmat.flatten(-2), axis_angle=rotmat_to_axis_angle)


@LOSSES.register_module()
class HandPoseLoss(SampleLoss):
    """Eq. 6: |theta - theta*|^2 + (1 - cos(theta, theta*)), over the whole pose of a sample.

    The paper does not say what theta is (and its sentence calls the first term L1, its formula squared L2; the formula is
    taken). rot6d is what the decoder reads out. The columns of rotations have unit length, so in rot6d and rotmat the two terms
    say the same at different weights; in axis_angle, MANO's own form, they differ, at the price of a jump at half turns.
    """

    def __init__(self, representation: str = 'rot6d', weight: float = 1.0, reduction: str = 'sum'):
        super().__init__(weight, reduction)
        if representation not in REPRESENTATIONS:
            raise ValueError(f'representation is {representation!r}; it must be one of {sorted(REPRESENTATIONS)}.')
        self.represent = REPRESENTATIONS[representation]

    def per_sample(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Both terms, (B,)."""
        target = torch.where(over_sample(valid, target) > 0, target, torch.eye(3, dtype=target.dtype, device=target.device))
        theta, theta_gt = self.represent(pred).flatten(1), self.represent(target).flatten(1)
        return valid * ((theta - theta_gt).square().sum(1) + 1 - F.cosine_similarity(theta, theta_gt, dim=1))


@LOSSES.register_module()
class RotationMatrixLoss(SampleLoss):
    """HaMeR's pose loss: squared error of all matrix entries, pred and target (B, J, 3, 3) (or any (B, ...))."""

    def per_sample(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Squared error, (B,)."""
        return distance(pred, target, over_sample(valid, pred), 'l2')


@LOSSES.register_module()
class BetasLoss(SampleLoss):
    """Squared error of shape coefficients, pred and target (B, betas)."""

    def per_sample(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Squared error, (B,)."""
        return distance(pred, target, over_sample(valid, pred), 'l2')
