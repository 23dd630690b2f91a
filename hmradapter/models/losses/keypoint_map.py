"""Dense supervision of a backbone: every token says which joints lie in its patch, as in ViTPose (Xu et al. 2022).

HaMeR starts from a ViTPose backbone; a ViT that starts from nothing learns the same alongside its task. Without it a small one
hardly left the mean pose in several hundred steps.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hmradapter.registry import LOSSES

from .base import SampleLoss


@LOSSES.register_module()
class KeypointMapLoss(SampleLoss):
    """Cross-entropy between a softmax over the feature map and where the joint is, for each joint. Owns its linear readout,
    which no expert file contains.

    Args:
        channels: C of the feature map.
        num_keypoints: K.
        width_share: part of the crop's width that the map covers, in its middle; 3/4 for HaMeR's ViT.
    """

    def __init__(self, channels: int, num_keypoints: int = 21, width_share: float = 0.75, weight: float = 1.0,
                 reduction: str = 'sum'):
        super().__init__(weight, reduction)
        self.readout = nn.Linear(channels, num_keypoints)
        self.width_share = width_share

    def per_sample(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """pred: features (B, C, h, w); target: keypoints (B, K, 3) in crop units with confidence -> (B,).
        A joint outside the map has no place in it and costs nothing."""
        logits = self.readout(pred.flatten(2).transpose(1, 2)).transpose(1, 2)          # (B, K, h w)
        place = self.place(target, *pred.shape[-2:]) * valid[:, None, None]             # (B, K, h w)
        return -(place * F.log_softmax(logits, dim=-1)).sum((1, 2))

    def place(self, keypoints: Tensor, height: int, width: int) -> Tensor:
        """Bilinear shares of each joint in the cells of the map, (B, K, 3) -> (B, K, h w); their sum is the confidence
        inside."""
        labelled = keypoints[..., 2:] > 0
        column, row = torch.where(labelled, keypoints[..., :2], -9.0).unbind(-1)  # -9: outside, whatever stood there
        across = _shares((column / self.width_share + 0.5) * width - 0.5, width)        # (B, K, w)
        down = _shares((row + 0.5) * height - 0.5, height)                              # (B, K, h)
        confidence = torch.where(labelled, keypoints[..., 2:], 0.0)
        return (down.unsqueeze(-1) * across.unsqueeze(-2)).flatten(2) * confidence


def _shares(position: Tensor, count: int) -> Tensor:
    """Linear interpolation weights of `position` (...) among cells 0 .. count - 1: (..., count)."""
    cells = torch.arange(count, device=position.device, dtype=position.dtype)
    return (1 - (position.unsqueeze(-1) - cells).abs()).clamp(min=0)
