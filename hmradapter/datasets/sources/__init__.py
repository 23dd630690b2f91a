"""One file per data set: where its files lie, what they mean, what is left out and why."""
from .arctic import ArcticSource
from .bedlam import BEDLAMSource
from .ehf import EHFSource
from .freihand import FreiHANDSource
from .h36m import H36MSource
from .interhand import InterHandSource
from .pw3d import PW3DSource
from .rich import RICHSource
from .source import Expected, Source

__all__ = ['ArcticSource', 'BEDLAMSource', 'EHFSource', 'Expected', 'FreiHANDSource', 'H36MSource', 'InterHandSource',
           'PW3DSource', 'RICHSource', 'Source']
