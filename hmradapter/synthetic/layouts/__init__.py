"""The open world in other data sets' layouts: `shots` takes pictures, each writer beside it tells them in one's conventions."""
from .bedlam import write_bedlam
from .h36m import write_h36m
from .rich import write_rich

LAYOUTS = dict(h36m=write_h36m, rich=write_rich, bedlam=write_bedlam)
