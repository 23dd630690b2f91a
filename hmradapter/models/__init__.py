"""Experts, adapters and losses. Importing this room registers every part."""
from . import adapters, backbones, estimators, heads, losses, roi_samplers
from .data_preprocessor import HMRDataPreprocessor

__all__ = ['HMRDataPreprocessor', 'adapters', 'backbones', 'estimators', 'heads', 'losses', 'roi_samplers']
