"""Boxes and the affine maps of crops, over any leading dimensions.

Convention: boxes are (x0, y0, x1, y1) or centre and (w, h), in pixels with integers at pixel centres; no half-pixel shift.
An affine map is (2, 3), out = A x + b. A crop of side 128 about (100, 50) to 256 px sends (100, 50) to (128, 128) and doubles
lengths.
Source: HaMeR `datasets/utils.py` (`expand_to_aspect_ratio`, `gen_trans_from_patch_cv`).
"""
import numpy as np
import torch
from torch import Tensor

HAMER_ASPECT = (192, 256)  # width, height that the ViT sees


def expand_to_aspect(wh: Tensor, aspect: tuple[float, float] | None = HAMER_ASPECT) -> Tensor:
    """Grow (w, h) (..., 2) in one direction until w : h = aspect; None leaves it. (100, 100) becomes (100, 133.3)."""
    if aspect is None:
        return wh
    ratio = aspect[1] / aspect[0]
    width, height = wh.unbind(-1)
    return torch.stack((torch.maximum(width, height / ratio), torch.maximum(height, width * ratio)), dim=-1)


def crop_affine(center: np.ndarray | Tensor, size: np.ndarray | Tensor | float, out_size: float | tuple[float, float],
                scale: np.ndarray | Tensor | float = 1.0, degrees: np.ndarray | Tensor | float = 0.0) -> Tensor:
    """Image to crop: centre (..., 2), side (...) or (w, h) (..., 2) px times `scale`, turned by `degrees` -> (..., 2, 3)
    float64. For a square, A = k [[cos, sin], [-sin, cos]], k = out_size / (size scale); the centre lands on half of `out_size`,
    which is a side or (w, h).
    As in the original, the map goes through the crop's centre, bottom and right points rounded to float32, so that crops agree
    to the last grey level; entries differ from the closed form by up to 5e-4 px. In NumPy, as data workers make one crop at a
    time: a call of torch's takes them several times as long."""
    center, size, scale, degrees = (np.asarray(value, np.float64) for value in (center, size, scale, degrees))
    wh = size if size.ndim == center.ndim else size[..., None]
    half = _to_float32(wh * scale[..., None] / 2)
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    steps = np.empty((*center.shape, 2))  # columns: from the centre to the right and down
    steps[..., 0, 0], steps[..., 1, 0] = half[..., 0] * cos, half[..., 0] * sin
    steps[..., 0, 1], steps[..., 1, 1] = half[..., -1] * -sin, half[..., -1] * cos
    origin = _to_float32(center)[..., None]
    steps = _to_float32(center[..., None] + _to_float32(steps)) - origin
    out = np.broadcast_to(np.float64(out_size), 2)[:, None] / 2
    linear = out * torch.linalg.inv(torch.from_numpy(steps)).numpy()  # takes the steps to half of `out_size`
    return torch.from_numpy(np.concatenate((linear, out - linear @ origin), axis=-1))


def _to_float32(values: np.ndarray) -> np.ndarray:
    """Rounded to float32, and float64 again."""
    return values.astype(np.float32).astype(np.float64)


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
