"""Mirroring, all of it: left hands become right hands here and nowhere else.

Convention: the mirror is the plane x = 0 of the camera, M = diag(-1, 1, 1); in pixels x -> W - 1 - x. Every function is its own
inverse. A rotation R becomes M R M: a turn of 0.3 about +y becomes -0.3 about +y, a turn about +x stays.
Hand joints keep their order (a hand has no left and right joints), shape coefficients stay; a body swaps its sides.
Source: HaMeR `datasets/utils.py` for hands, 4D-Humans for the body.
"""
from collections.abc import Sequence

import torch
from torch import Tensor

from hmradapter.structures.joints import BODY_MIRROR_PAIRS

# M R M flips the sign of the entries that have exactly one index on x.
ROTMAT_SIGNS = torch.tensor(((1.0, -1, -1), (-1, 1, 1), (-1, 1, 1)))
ROT6D_SIGNS = (1, -1, -1, -1, 1, 1)  # the same for columns 0 and 1, one after the other


def mirror_points(points: Tensor) -> Tensor:
    """x -> -x, (..., D) -> (..., D). For 3D points and translations in metres (D >= 3; a confidence in column 3 stays)
    and for 2D points in crop units centred at 0."""
    return torch.cat((-points[..., :1], points[..., 1:]), dim=-1)


def mirror_pixels_x(x: Tensor, width: Tensor | float) -> Tensor:
    """x -> W - 1 - x, pixels with integers at centres, (...) -> (...). x may be an array, too."""
    return width - 1 - x


def mirror_pixels(points: Tensor, width: Tensor | float) -> Tensor:
    """Pixel coordinates (..., D), x first, D >= 2: x -> W - 1 - x, the other columns stay."""
    return torch.cat((mirror_pixels_x(points[..., :1], width), points[..., 1:]), dim=-1)


def mirror_image(image, width_dim: int = 1):
    """Image seen in the mirror, array or tensor; `width_dim` is the axis of its width: 1 of (H, W, C), -1 of (C, H, W)."""
    if isinstance(image, Tensor):
        return image.flip(width_dim)
    index = [slice(None)] * image.ndim
    index[width_dim] = slice(None, None, -1)
    return image[tuple(index)]


def mirror_affine(width: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """The map x -> W - 1 - x of pixels as a matrix (3, 3), to be chained with crop matrices."""
    return torch.tensor([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], dtype=dtype)


def mirror_axis_angle(axis_angle: Tensor) -> Tensor:
    """(x, y, z) -> (x, -y, -z) of every joint, (..., 3) -> (..., 3), radians. A flat pose (..., 3 J) works as well."""
    joints = axis_angle.unflatten(-1, (-1, 3))
    return (joints * joints.new_tensor((1, -1, -1))).flatten(-2)


def mirror_rotmat(rotmat: Tensor) -> Tensor:
    """M R M, (..., 3, 3) -> (..., 3, 3)."""
    return rotmat * ROTMAT_SIGNS.to(rotmat)


def mirror_rot6d(rot6d: Tensor) -> Tensor:
    """The mirrored rotation in the layout of `rotations.rotmat_to_rot6d`, (..., 6) -> (..., 6)."""
    return rot6d * rot6d.new_tensor(ROT6D_SIGNS)


def mirror_body_order(pairs: Sequence[Sequence[int]] = BODY_MIRROR_PAIRS, num_joints: int = 22) -> list[int]:
    """Joint j of the mirrored body is joint order[j] of the body."""
    order = list(range(num_joints))
    for left, right in pairs:
        order[left], order[right] = right, left
    return order


def mirror_body_pose(body_pose: Tensor) -> Tensor:
    """A body in the mirror: left and right joints swap, every rotation becomes M R M.
    (..., 22, 3, 3) rotation matrices in SMPL-X order, root in the camera frame, the rest parent-relative."""
    return mirror_rotmat(body_pose[..., mirror_body_order(num_joints=body_pose.shape[-3]), :, :])


def mirror_body_axis_angle(body_pose: Tensor) -> Tensor:
    """`mirror_body_pose` for axis-angle, (..., 22, 3) radians."""
    return mirror_axis_angle(body_pose[..., mirror_body_order(num_joints=body_pose.shape[-2]), :])


def mirror_body_rot6d(body_pose: Tensor) -> Tensor:
    """`mirror_body_pose` for rot6d, (..., 22, 6)."""
    return mirror_rot6d(body_pose[..., mirror_body_order(num_joints=body_pose.shape[-2]), :])


def mirror_camera(cam: Tensor) -> Tensor:
    """HaMeR's weak camera (s, tx, ty) -> (s, -tx, ty), (..., 3)."""
    return cam * cam.new_tensor((1, -1, 1))


def mirror_intrinsics(intrinsics: Tensor, width: Tensor | float) -> Tensor:
    """Intrinsics of the camera of the mirrored image: cx -> W - 1 - cx (and the skew changes sign), (..., 3, 3) pixels."""
    signs = intrinsics.new_tensor(((1, -1, -1), (1, 1, 1), (1, 1, 1)))
    shift = torch.zeros_like(intrinsics)
    shift[..., 0, 2] = mirror_pixels_x(0.0, width)
    return intrinsics * signs + shift
