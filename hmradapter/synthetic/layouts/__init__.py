"""The open world in other data sets' layouts: `shots` takes pictures, each writer beside it tells them in one's conventions."""
from .bedlam import write_bedlam
from .coco_wholebody import write_coco_wholebody
from .freihand import write_freihand
from .h36m import write_h36m
from .hamer import write_hamer, write_hamer_eval, write_hmr2_eval
from .humandata import write_humandata
from .interhand import write_interhand
from .rich import write_rich
from .ubody import write_ubody

LAYOUTS = dict(bedlam=write_bedlam, coco_wholebody=write_coco_wholebody, freihand=write_freihand, h36m=write_h36m,
               hamer=write_hamer, hamer_eval=write_hamer_eval, hmr2_eval=write_hmr2_eval, humandata=write_humandata,
               interhand=write_interhand, rich=write_rich, ubody=write_ubody)

__all__ = ['LAYOUTS']
