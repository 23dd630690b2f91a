"""RoIAlign with SMPLer-X's semantics, by compiled operators where they are installed and in plain torch elsewhere.

Convention: boxes are x0, y0, x1, y1 in cells of the map, whose integers are cell centres (`aligned=False`: no half-cell shift);
a side shorter than 1 counts as 1. Each of S x S bins is the mean of ceil(side / S) samples a side, spread evenly; a sample more
than one cell outside of the map counts as 0, one that is nearer reads the border.
R boxes, C channels, H x W cells, S bins a side. Source: `mmcv.ops.roi_align` as SMPLer-X calls it, `torchvision.ops.roi_align`.
"""
import importlib.util
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from hmradapter.registry import ROI_SAMPLERS

SAMPLES_AT_ONCE = 64  # bounds memory for boxes far larger than the map; changes no number


class _RoISampler(nn.Module, ABC):
    """Common signature; `size` is S."""

    def __init__(self, size: int = 16):
        super().__init__()
        self.size = size

    @abstractmethod
    def forward(self, features: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
        """features (B, C, H, W), boxes (R, 4), index (R,) int64 of the map each box belongs to -> (R, C, S, S)."""


@ROI_SAMPLERS.register_module()
class TorchRoIAlign(_RoISampler):
    """RoIAlign in plain torch, on any device. Bilinear weights and the averages are products of a factor of y and one of x, so
    a box is two small matrices around its map, and all boxes go in two batched products."""

    def forward(self, features: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
        """features (B, C, H, W), boxes (R, 4), index (R,) -> (R, C, S, S)."""
        height, width = features.shape[2:]
        columns = axis_weights(boxes[:, 0], boxes[:, 2], width, self.size).to(features.dtype)
        rows = axis_weights(boxes[:, 1], boxes[:, 3], height, self.size).to(features.dtype)
        return rows.unsqueeze(1) @ features[index] @ columns.unsqueeze(1).transpose(-1, -2)


def axis_weights(start: Tensor, end: Tensor, cells: int, size: int) -> Tensor:
    """Share of each cell in each bin along one axis: start and end (R,) of the boxes -> (R, S, cells)."""
    side = (end - start).clamp(min=1)
    count = torch.ceil(side / size)                                                # samples a bin, (R,)
    positions = torch.arange(cells, device=start.device, dtype=start.dtype)
    bins = torch.arange(size, device=start.device, dtype=start.dtype).view(1, -1, 1)
    weights = start.new_zeros(len(start), size, cells)
    for first in range(0, int(count.amax().item()) if len(count) else 0, SAMPLES_AT_ONCE):
        sample = torch.arange(first, first + SAMPLES_AT_ONCE, device=start.device, dtype=start.dtype)
        at = start.view(-1, 1, 1) + (bins + (sample + 0.5) / count.view(-1, 1, 1)) * side.view(-1, 1, 1) / size    # (R, S, n)
        seen = (sample < count.view(-1, 1, 1)) & (at >= -1) & (at <= cells)
        hat = (1 - (at.clamp(0, cells - 1).unsqueeze(-1) - positions).abs()).clamp(min=0)  # (R, S, n, cells)
        weights += (hat * seen.unsqueeze(-1)).sum(2)
    return weights / count.view(-1, 1, 1)


@ROI_SAMPLERS.register_module()
class TorchvisionRoIAlign(_RoISampler):
    """torchvision's compiled operator, called directly: its wrapper falls back to Python under deterministic algorithms, with
    another rule at the border."""

    def __init__(self, size: int = 16):
        super().__init__(size)
        if not has_torchvision_ops():
            raise ImportError('TorchvisionRoIAlign needs torchvision with compiled operators; install it for your torch, or '
                              "use type='TorchRoIAlign' (or 'RoIAlign', which takes what there is).")

    def forward(self, features: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
        """features (B, C, H, W), boxes (R, 4), index (R,) -> (R, C, S, S)."""
        rois = torch.cat((index.unsqueeze(1).to(features.dtype), boxes.to(features.dtype)), dim=1)
        return torch.ops.torchvision.roi_align(features, rois, 1.0, self.size, self.size, 0, False)


@ROI_SAMPLERS.register_module()
class MMCVRoIAlign(_RoISampler):
    """MMCV's compiled operator: what SMPLer-X itself runs."""

    def __init__(self, size: int = 16):
        super().__init__(size)
        if not has_mmcv_ops():
            raise ImportError('MMCVRoIAlign needs mmcv with compiled operators (mmcv-lite has none); install mmcv, or use '
                              "type='TorchRoIAlign' (or 'RoIAlign', which takes what there is).")

    def forward(self, features: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
        """features (B, C, H, W), boxes (R, 4), index (R,) -> (R, C, S, S)."""
        from mmcv.ops import roi_align
        rois = torch.cat((index.unsqueeze(1).to(features.dtype), boxes.to(features.dtype)), dim=1)
        return roi_align(features, rois, (self.size, self.size), 1.0, 0, 'avg', False)


@ROI_SAMPLERS.register_module()
class RoIAlign(_RoISampler):
    """The fastest of the three that is installed; all give the same numbers (to rounding)."""

    def __init__(self, size: int = 16):
        super().__init__(size)
        kind = TorchvisionRoIAlign if has_torchvision_ops() else MMCVRoIAlign if has_mmcv_ops() else TorchRoIAlign
        self.sampler = kind(size)

    def forward(self, features: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
        """features (B, C, H, W), boxes (R, 4), index (R,) -> (R, C, S, S)."""
        return self.sampler(features, boxes, index)


def has_torchvision_ops() -> bool:
    """Whether torchvision is there and its compiled operators fit this torch."""
    if importlib.util.find_spec('torchvision') is None:
        return False
    try:
        import torchvision  # noqa: F401  (registers the operators)
    except (ImportError, RuntimeError):  # built for another torch
        return False
    return hasattr(torch.ops.torchvision, 'roi_align')


def has_mmcv_ops() -> bool:
    """Whether mmcv's compiled extension is there."""
    return importlib.util.find_spec('mmcv._ext') is not None
