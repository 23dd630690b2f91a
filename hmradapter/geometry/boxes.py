"""Boxes and the affine maps of crops, over any leading dimensions.

Convention: boxes are (x0, y0, x1, y1) or centre and (w, h), in pixels with integers at pixel centres; no half-pixel shift.
An affine map is (2, 3), out = A x + b. A crop of side 128 about (100, 50) to 256 px sends (100, 50) to (128, 128) and doubles
lengths.
Source: HaMeR `datasets/utils.py` (`expand_to_aspect_ratio`, `gen_trans_from_patch_cv`).
"""
import torch
from torch import Tensor

from .rotations import degrees_to_radians

HAMER_ASPECT = (192, 256)  # width, height that the ViT sees


def expand_to_aspect(wh: Tensor, aspect: tuple[float, float] | None = HAMER_ASPECT) -> Tensor:
    """Grow (w, h) (..., 2) in one direction until w : h = aspect; None leaves it. (100, 100) becomes (100, 133.3)."""
    if aspect is None:
        return wh
    ratio = aspect[1] / aspect[0]
    width, height = wh.unbind(-1)
    return torch.stack((torch.maximum(width, height / ratio), torch.maximum(height, width * ratio)), dim=-1)


def crop_affine(center: Tensor, size: Tensor, out_size: float | tuple[float, float], scale: Tensor | float = 1.0,
                degrees: Tensor | float = 0.0) -> Tensor:
    """Image to crop: centre (..., 2), side (...) or (w, h) (..., 2) px times `scale`, turned by `degrees` -> (..., 2, 3).
    For a square, A = k [[cos, sin], [-sin, cos]], k = out_size / (size scale); the centre lands on half of `out_size`, which is
    a side or (w, h).
    As in the original, the map goes through the crop's centre, bottom and right points rounded to float32, so that crops agree
    to the last grey level; entries differ from the closed form by up to 5e-4 px."""
    angle = degrees_to_radians(torch.as_tensor(degrees, dtype=center.dtype, device=center.device))
    wh = size if size.dim() == center.dim() else size.unsqueeze(-1).expand(*size.shape, 2)
    scale = torch.as_tensor(scale, dtype=wh.dtype, device=wh.device).unsqueeze(-1)
    half_w, half_h = (wh * scale / 2).float().to(center.dtype).unbind(-1)
    right = torch.stack((half_w * torch.cos(angle), half_w * torch.sin(angle)), dim=-1).float().to(center.dtype)
    down = torch.stack((-half_h * torch.sin(angle), half_h * torch.cos(angle)), dim=-1).float().to(center.dtype)
    origin, bottom, side = ((center + step).float().double() for step in (torch.zeros_like(right), down, right))
    out = torch.tensor(out_size, dtype=torch.float64, device=center.device).expand(2) / 2
    linear = torch.diag(out) @ torch.linalg.inv(torch.stack((side - origin, bottom - origin), dim=-1))
    offset = out.unsqueeze(-1) - linear @ origin.unsqueeze(-1)
    return torch.cat((linear, offset), dim=-1).to(center.dtype)


def apply_affine(points: Tensor, matrix: Tensor) -> Tensor:
    """Points (..., N, 2) through a map (..., 2, 3) or (..., 3, 3) with last row (0, 0, 1) -> (..., N, 2)."""
    return points @ matrix[..., :2, :2].transpose(-1, -2) + matrix[..., :2, 2].unsqueeze(-2)


def to_homogeneous(matrix: Tensor) -> Tensor:
    """(..., 2, 3) -> (..., 3, 3) with last row (0, 0, 1), so that maps can be multiplied and inverted."""
    last = matrix.new_tensor((0, 0, 1)).expand(*matrix.shape[:-2], 1, 3)
    return torch.cat((matrix, last), dim=-2)


def invert_affine(matrix: Tensor) -> Tensor:
    """The way back of a map (..., 2, 3) -> (..., 2, 3)."""
    linear = torch.linalg.inv(matrix[..., :2, :2])
    return torch.cat((linear, -linear @ matrix[..., :2, 2:]), dim=-1)


def box_from_points(points: Tensor, valid: Tensor | None = None) -> Tensor:
    """Tight box (..., 4) as x0, y0, x1, y1 around points (..., N, 2); `valid` (..., N) bool leaves points out.
    With no valid point at all the box is NaN: ask `valid.any(-1)` first."""
    if valid is None:
        return torch.cat((points.amin(-2), points.amax(-2)), dim=-1)
    inside = valid.unsqueeze(-1)
    low = points.masked_fill(~inside, torch.inf).amin(-2)
    high = points.masked_fill(~inside, -torch.inf).amax(-2)
    box = torch.cat((low, high), dim=-1)
    return box.masked_fill(~valid.any(-1, keepdim=True), torch.nan)


def box_center_size(box: Tensor) -> tuple[Tensor, Tensor]:
    """x0, y0, x1, y1 (..., 4) -> centre (..., 2) and (w, h) (..., 2)."""
    return (box[..., :2] + box[..., 2:]) / 2, box[..., 2:] - box[..., :2]


def box_from_center_size(center: Tensor, wh: Tensor) -> Tensor:
    """Centre (..., 2) and (w, h) (..., 2) -> x0, y0, x1, y1 (..., 4)."""
    return torch.cat((center - wh / 2, center + wh / 2), dim=-1)


def clip_box(box: Tensor, img_size: Tensor) -> Tensor:
    """The part of a box (..., 4) within an image (W, H) (..., 2): 0 <= x <= W - 1, 0 <= y <= H - 1.
    A box that lies outside shrinks to a line or point on the border; its `box_area` is 0."""
    limit = (img_size - 1).repeat(*[1] * (img_size.ndim - 1), 2).to(box)
    return torch.minimum(box.clamp(min=0), limit)


def box_area(box: Tensor) -> Tensor:
    """Area (...) in px^2 of x0, y0, x1, y1 (..., 4); 0 for an inverted box."""
    width, height = (box[..., 2:] - box[..., :2]).clamp(min=0).unbind(-1)
    return width * height
