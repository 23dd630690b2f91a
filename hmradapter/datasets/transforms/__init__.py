"""From a record to what the model takes: load, draw, crop, jitter, pack."""
from .augmentation import ColorJitter, GuidanceNoise, RandomHandAugmentation
from .crop import HandCrop
from .loading import LoadImage
from .packing import PackHandInputs

__all__ = ['ColorJitter', 'GuidanceNoise', 'HandCrop', 'LoadImage', 'PackHandInputs', 'RandomHandAugmentation']
