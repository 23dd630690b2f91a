"""Data sets in one form: raw official layouts prepared once into memory-mapped records, read as samples."""
from .hand_stream import HandStream
from .hands import HandDataset
from .mixture import MixtureDataset
from .persons import PersonDataset
from .store.prepared import PreparedStore, StoreError

__all__ = ['HandDataset', 'HandStream', 'MixtureDataset', 'PersonDataset', 'PreparedStore', 'StoreError']
