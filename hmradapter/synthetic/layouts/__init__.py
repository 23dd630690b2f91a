"""The open world in other data sets' layouts: `shots` takes pictures, each writer beside it tells them in one's conventions."""
from .hamer import write_hamer
from .humandata import write_humandata

LAYOUTS = dict(hamer=write_hamer, humandata=write_humandata)
