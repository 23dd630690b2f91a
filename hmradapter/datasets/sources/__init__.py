"""One file per data set: where its files lie, what they mean, what is left out and why."""
from .arctic import ArcticSource
from .coco_wholebody import CocoWholeBodySource
from .ehf import EHFSource
from .freihand import FreiHANDSource
from .interhand import InterHandSource
from .pw3d import PW3DSource
from .source import Expected, Source
from .ubody import UBodySource

__all__ = ['ArcticSource', 'CocoWholeBodySource', 'EHFSource', 'Expected', 'FreiHANDSource', 'InterHandSource', 'PW3DSource',
           'Source', 'UBodySource']
