"""The open world in other data sets' layouts: `shots` takes pictures, each writer beside it tells them in one's conventions."""
from .freihand import write_freihand
from .interhand import write_interhand

LAYOUTS = dict(freihand=write_freihand, interhand=write_interhand)

__all__ = ['LAYOUTS', 'write_freihand', 'write_interhand']
