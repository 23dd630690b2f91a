"""Backbones: images to feature maps."""
from .hamer_vit import HaMeRViT, middle_columns

__all__ = ['HaMeRViT', 'middle_columns']
