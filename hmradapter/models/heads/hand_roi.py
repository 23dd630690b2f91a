"""The map of each hand, cut out of the body's. B crops, C channels, R = 2 B hands, S cells a side.
Source: SMPLer-X `common/nets/module.py:HandRoI`."""
import torch
from torch import Tensor, nn

from hmradapter.registry import HEADS, ROI_SAMPLERS

from .upsampling import upsampling


@HEADS.register_module()
class HandRoI(nn.Module):
    """Doubles the map (halving its channels) until it is `upscale` times as fine, cuts both hands out and mirrors the left
    ones, so that all that follows sees right hands.

    Args:
        context_dim: C, before and after.
        upscale: 1, 2, 4 or 8; all released models have 4.
        sampler: of ROI_SAMPLERS, with `size` S.
    """

    def __init__(self, context_dim: int = 1280, upscale: int = 4, sampler: dict | None = None):
        super().__init__()
        if upscale not in (1, 2, 4, 8):
            raise ValueError(f'upscale is {upscale}; it must be 1, 2, 4 or 8.')
        channels = [context_dim // 2 ** step for step in range(upscale.bit_length())]
        self.upscale = upscale
        self.upsample = upsampling(channels)
        self.sample = ROI_SAMPLERS.build(sampler or dict(type='RoIAlign', size=16))
        self.conv = nn.Conv2d(channels[-1], context_dim, 1)

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """features (B, C, H, W), boxes (B, 2, 4) of left and right hand in cells of that map -> (2 B, C, S, S): first B left
        hands, mirrored, then B right hands."""
        index = torch.arange(len(features), device=features.device).repeat(2)
        fine = self.upsample(features)
        crops = self.sample(fine, boxes.transpose(0, 1).flatten(0, 1).to(fine.dtype) * self.upscale, index)
        left, right = crops.chunk(2)
        return self.conv(torch.cat((left.flip(3), right)))
