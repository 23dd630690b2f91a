"""From a record to what a model takes: load, draw, crop, jitter, pack."""
from .augmentation import (
    ColorJitter,
    GuidanceNoise,
    HandJointNoise,
    RandomHandAugmentation,
    RandomOcclusion,
    RandomPersonAugmentation,
)
from .crop import HandCrop
from .heatmap_targets import HeatmapTargets
from .loading import LoadImage
from .packing import PackHandInputs, PackPersonInputs
from .person_crop import PersonCrop

__all__ = ['ColorJitter', 'GuidanceNoise', 'HandCrop', 'HandJointNoise', 'HeatmapTargets', 'LoadImage', 'PackHandInputs',
           'PackPersonInputs', 'PersonCrop', 'RandomHandAugmentation', 'RandomOcclusion', 'RandomPersonAugmentation']
