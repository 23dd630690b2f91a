"""Rotations that were seen in a crop, in the camera of the whole image and in other crops, over any leading dimensions.

Convention: OpenCV camera; a ray is a unit vector (x, y, z) of the camera's frame with z > -1. An expert sees its crop through
a long lens of its own whose axis is the crop centre's ray, so a rotation R of the crop is C R in the camera, where C is the
smallest rotation that brings the optical axis to the ray. A crop 10 degrees to the right turns by +10 degrees about +y.
This needs the camera's true intrinsics: from an expert's assumed ones (5000 px) nothing follows. Experts may have learnt part
of it, so `strength` scales C's angle: 1 is the geometry, 0 leaves the published pipelines as they are.
Source: derived here, no reference program has it. A yaw followed by a pitch also reaches the ray, but rolls the picture.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from .cameras import unproject

_ON_AXIS = 1e-12  # squared sine of the angle to the optical axis below which it counts as zero


def crop_ray(center: Tensor, camera: Tensor) -> Tensor:
    """Ray (..., 3) of a crop's centre (..., 2), pixels of the whole, unmirrored image; K (..., 3, 3) of that image."""
    points = unproject(center.unsqueeze(-2), torch.ones_like(center[..., :1]), camera)
    return F.normalize(points.squeeze(-2), dim=-1)


def camera_from_crop(ray: Tensor, strength: float = 1.0) -> Tensor:
    """C (..., 3, 3) of a ray (..., 3): R in the crop is C R in the camera. Its third column is the ray, and it adds no roll."""
    x, y, z = (ray if strength == 1.0 else _towards_axis(ray, strength)).unbind(-1)
    k = 1 / (1 + z)
    entries = (1 - k * x * x, -k * x * y, x, -k * x * y, 1 - k * y * y, y, -x, -y, z)
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def crop_from_crop(ray_to: Tensor, ray_from: Tensor, strength_to: float = 1.0, strength_from: float = 1.0) -> Tensor:
    """Rotation (..., 3, 3) from the frame of one crop to that of another by their rays (..., 3).
    A hand's orientation in the frame of the body's crop is crop_from_crop(body, hand) H; a body's root, as the guidance in the
    hand's crop, is crop_from_crop(hand, body) R0. Each expert has its own strength."""
    return camera_from_crop(ray_to, strength_to).transpose(-1, -2) @ camera_from_crop(ray_from, strength_from)


def _towards_axis(ray: Tensor, strength: float) -> Tensor:
    """The ray (..., 3) at `strength` times its angle to the optical axis, in the same direction."""
    across = ray[..., :2].square().sum(-1)
    on_axis = across < _ON_AXIS
    sine = across.masked_fill(on_axis, 1).sqrt()  # replaced before the root, whose gradient at 0 is infinite
    angle = strength * torch.atan2(sine, ray[..., 2])
    factor = torch.where(on_axis, torch.full_like(angle, strength), torch.sin(angle) / sine)
    height = torch.where(on_axis, torch.ones_like(angle), torch.cos(angle))
    return torch.cat((factor.unsqueeze(-1) * ray[..., :2], height.unsqueeze(-1)), dim=-1)
