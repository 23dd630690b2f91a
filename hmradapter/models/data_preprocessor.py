"""Crops to network input: on the device, in one go."""
from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor

from hmradapter.registry import MODELS

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@MODELS.register_module()
class HMRDataPreprocessor(BaseDataPreprocessor):
    """Moves a batch to the device and normalises RGB values 0..255: (v - 255 mean) / (255 std), float32.

    Args:
        mean, std: per channel, of RGB values in 0..1.
    """

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD):
        super().__init__(non_blocking=True)
        self.register_buffer('mean', 255 * torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer('std', 255 * torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """dict(inputs (B, 3, S, S) uint8 or float32, data_samples) to the same with normalised float32 inputs."""
        data = self.cast_data(data)
        return dict(data, inputs=(data['inputs'].float() - self.mean) / self.std)
