"""The open world in other data sets' layouts: `shots` takes pictures, each writer beside it tells them in one's conventions."""
from .hamer import write_hamer, write_hamer_eval, write_hmr2_eval
from .humandata import write_humandata

LAYOUTS = dict(hamer=write_hamer, hamer_eval=write_hamer_eval, hmr2_eval=write_hmr2_eval, humandata=write_humandata)
