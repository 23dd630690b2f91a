"""Data sets in one form: raw official layouts prepared once into memory-mapped records, read as samples."""
from .arctic import ArcticDataset, ArcticPersonDataset
from .ehf import EHFDataset
from .hands import HandDataset
from .persons import PersonDataset
from .pw3d import PW3DDataset
from .store import PreparedStore, StoreError

__all__ = ['ArcticDataset', 'ArcticPersonDataset', 'EHFDataset', 'HandDataset', 'PW3DDataset', 'PersonDataset', 'PreparedStore',
           'StoreError']
