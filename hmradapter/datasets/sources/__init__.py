"""One file per data set: where its files lie, what they mean, what is left out and why."""
from .arctic import ArcticSource
from .ehf import EHFSource
from .evaluation_npz import HaMeREvalSource, HMR2EvalSource
from .hamer import HaMeRTarSource
from .humandata import HumanDataSource
from .pw3d import PW3DSource
from .source import Expected, Source

__all__ = ['ArcticSource', 'EHFSource', 'Expected', 'HMR2EvalSource', 'HaMeREvalSource', 'HaMeRTarSource', 'HumanDataSource',
           'PW3DSource', 'Source']
