"""One file per data set: where its files lie, what they mean, what is left out and why."""
from .arctic import ArcticSource
from .bedlam import BEDLAMSource
from .coco_wholebody import CocoWholeBodySource
from .ehf import EHFSource
from .freihand import FreiHANDSource
from .h36m import H36MSource
from .hamer import HaMeRTarSource
from .hamer_eval import HaMeREvalSource
from .hmr2_eval import HMR2EvalSource
from .humandata import HumanDataSource
from .interhand import InterHandSource
from .pw3d import PW3DSource
from .rich import RICHSource
from .source import Expected, Source
from .ubody import UBodySource

__all__ = ['ArcticSource', 'BEDLAMSource', 'CocoWholeBodySource', 'EHFSource', 'Expected', 'FreiHANDSource', 'H36MSource',
           'HMR2EvalSource', 'HaMeREvalSource', 'HaMeRTarSource', 'HumanDataSource', 'InterHandSource', 'PW3DSource',
           'RICHSource', 'Source', 'UBodySource']
