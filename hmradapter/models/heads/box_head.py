"""Boxes of both hands and the face from the body's map. B crops, C channels, H x W cells.
Source: SMPLer-X `common/nets/smpler_x.py:BoxNet`."""
import torch
from torch import Tensor, nn

from hmradapter.registry import HEADS, ROI_SAMPLERS

from .soft_argmax import soft_argmax
from .upsampling import upsampling

BOX_PARTS = ('left_hand', 'right_hand', 'face')
STEPS = 3  # doublings of the map


@HEADS.register_module()
class BoxHead(nn.Module):
    """Centres as soft-argmax of a finer map, sizes from the features at those centres.

    Args:
        in_channels: C of the feature map plus joints * depth of the volumes.
        dim: width inside.
        sampler: of ROI_SAMPLERS.
    """

    def __init__(self, in_channels: int = 1680, dim: int = 256, sampler: dict | None = None):
        super().__init__()
        self.upsample = upsampling([in_channels] + STEPS * [dim])
        self.to_center = nn.Conv2d(dim, len(BOX_PARTS), 1)
        self.sample = ROI_SAMPLERS.build(sampler or dict(type='BilinearJointSampler'))
        self.to_size = nn.ModuleDict({part: nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 2))
                                      for part in BOX_PARTS})

    def forward(self, features: Tensor, volumes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """features (B, C, H, W), volumes (B, J, D, H, W) -> centres (B, 3, 2) and sizes (B, 3, 2), x first, in cells of the
        map, in the order of BOX_PARTS, and the centres' logits (B, 3, 8 H, 8 W). Sizes are unbounded and may be negative."""
        fine = self.upsample(torch.cat((features, volumes.detach().flatten(1, 2)), dim=1))
        logits = self.to_center(fine)
        centers = soft_argmax(logits)[1]
        seen = self.sample(fine, centers.detach())
        sizes = torch.stack([self.to_size[part](seen[:, i]) for i, part in enumerate(BOX_PARTS)], dim=1)
        return centers / 2 ** STEPS, sizes, logits
