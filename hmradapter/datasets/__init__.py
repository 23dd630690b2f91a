"""Data sets in one form: raw official layouts prepared once into memory-mapped records, read as samples."""
from .arctic import ArcticDataset
from .hands import HandDataset
from .store import PreparedStore, StoreError

__all__ = ['ArcticDataset', 'HandDataset', 'PreparedStore', 'StoreError']
