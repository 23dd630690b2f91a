"""Data sets in one form: raw official layouts prepared once into memory-mapped records, read as samples."""
from .arctic import ArcticDataset, ArcticPersonDataset
from .hands import HandDataset
from .persons import PersonDataset
from .store import PreparedStore, StoreError

__all__ = ['ArcticDataset', 'ArcticPersonDataset', 'HandDataset', 'PersonDataset', 'PreparedStore', 'StoreError']
