"""The open world in other data sets' layouts: `shots` takes pictures, each writer beside it tells them in one's conventions."""
from .bedlam import write_bedlam
from .freihand import write_freihand
from .h36m import write_h36m
from .interhand import write_interhand
from .rich import write_rich

LAYOUTS = dict(bedlam=write_bedlam, freihand=write_freihand, h36m=write_h36m, interhand=write_interhand, rich=write_rich)

__all__ = ['LAYOUTS', 'write_bedlam', 'write_freihand', 'write_h36m', 'write_interhand', 'write_rich']
