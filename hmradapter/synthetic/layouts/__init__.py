"""The open world in other data sets' layouts: `shots` takes pictures, each writer beside it tells them in one's conventions."""
from .coco_wholebody import write_coco_wholebody
from .freihand import write_freihand
from .interhand import write_interhand
from .ubody import write_ubody

LAYOUTS = dict(coco_wholebody=write_coco_wholebody, freihand=write_freihand, interhand=write_interhand, ubody=write_ubody)

__all__ = ['LAYOUTS', 'write_coco_wholebody', 'write_freihand', 'write_interhand', 'write_ubody']
