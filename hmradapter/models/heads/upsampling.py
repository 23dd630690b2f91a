"""Transposed convolutions, each doubling a map."""
from collections.abc import Sequence

from torch import nn


def upsampling(channels: Sequence[int]) -> nn.Sequential:
    """channels[0] to channels[-1], (H, W) doubled at each step; one channel count alone is no step."""
    layers: list[nn.Module] = []
    for before, after in zip(channels, channels[1:], strict=False):
        layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)
