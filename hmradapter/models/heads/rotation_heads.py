"""SMPLer-X's regressors: joints and their features to rotations (interleaved rot6d), shape, camera, expression.

Where a joint was found is read as a plain number of cells and sends no gradient back to the heat maps.
B crops, J joints, C channels, F width of a joint's features. Source: SMPLer-X `common/nets/smpler_x.py`.
"""
import torch
from torch import Tensor, nn

from hmradapter.registry import HEADS, ROI_SAMPLERS

BODY_ROTATIONS = 21
HAND_ROTATIONS = 15


@HEADS.register_module()
class BodyRotationHead(nn.Module):
    """Body tokens and joint positions to the rotations of root and body; one token each to shape and camera.

    Args:
        context_dim: C.
        dim: F.
        joints: J.
        num_betas: shape coefficients.
    """

    def __init__(self, context_dim: int = 1280, dim: int = 512, joints: int = 25, num_betas: int = 10):
        super().__init__()
        self.project = nn.Linear(context_dim, dim)
        self.to_root = nn.Linear(joints * (dim + 3), 6)
        self.to_body = nn.Linear(joints * (dim + 3), 6 * BODY_ROTATIONS)
        self.to_betas = nn.Linear(context_dim, num_betas)
        self.to_cam = nn.Linear(context_dim, 3)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """tokens (B, J, C) and positions (B, J, 3) cells -> pose6d (B, 132), root first."""
        joints = torch.cat((self.project(tokens), positions.detach()), dim=2).flatten(1)  # joint after joint, features first
        return torch.cat((self.to_root(joints), self.to_body(joints)), dim=1)

    def shape_and_camera(self, shape_token: Tensor, cam_token: Tensor) -> dict[str, Tensor]:
        """Tokens (B, C) -> betas (B, 10), cam (B, 3)."""
        return dict(betas=self.to_betas(shape_token), cam=self.to_cam(cam_token))


@HEADS.register_module()
class HandRotationHead(nn.Module):
    """A hand's map, sampled at its joints, to finger rotations. Runs on right hands and mirrored left ones alike.

    Args:
        context_dim: C.
        dim: F.
        joints: J.
        sampler: of ROI_SAMPLERS.
    """

    def __init__(self, context_dim: int = 1280, dim: int = 512, joints: int = 20, sampler: dict | None = None):
        super().__init__()
        self.project = nn.Sequential(nn.Conv2d(context_dim, dim, 1), nn.BatchNorm2d(dim), nn.ReLU())
        self.sample = ROI_SAMPLERS.build(sampler or dict(type='BilinearJointSampler'))
        self.to_pose = nn.Linear(joints * (dim + 3), 6 * HAND_ROTATIONS)

    def forward(self, features: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, C, H, W), positions (B, J, 3) cells -> hand6d (B, 90), and the map (B, F, H, W) that was sampled."""
        positions = positions.detach()
        projected = self.project(features)
        joints = torch.cat((self.sample(projected, positions[..., :2]), positions), dim=2)
        return self.to_pose(joints.flatten(1)), projected


@HEADS.register_module()
class FaceHead(nn.Module):
    """One token each to expression and jaw; SMPLer-X cuts out no face."""

    def __init__(self, context_dim: int = 1280, num_expression: int = 10):
        super().__init__()
        self.to_expression = nn.Linear(context_dim, num_expression)
        self.to_jaw = nn.Linear(context_dim, 6)

    def forward(self, expression_token: Tensor, jaw_token: Tensor) -> dict[str, Tensor]:
        """Tokens (B, C) -> expression (B, 10), jaw6d (B, 6)."""
        return dict(expression=self.to_expression(expression_token), jaw6d=self.to_jaw(jaw_token))
