"""Data sets in one form: raw official layouts prepared once into memory-mapped records, read as samples."""
from .hands import HandDataset
from .mixture import MixtureDataset
from .persons import PersonDataset
from .store import PreparedStore, StoreError

__all__ = ['HandDataset', 'MixtureDataset', 'PersonDataset', 'PreparedStore', 'StoreError']
