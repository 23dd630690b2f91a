"""Backbones: images to feature maps."""
from .hamer_vit import HaMeRViT, middle_columns
from .smplerx_vit import SMPLerXViT

__all__ = ['HaMeRViT', 'SMPLerXViT', 'middle_columns']
