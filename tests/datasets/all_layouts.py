"""Every data set's writer of a tiny release, by the data set's name, and the options that its reader then needs."""
import tempfile
from pathlib import Path

from arctic_fixture import write_arctic
from ehf_fixture import write_ehf
from pw3d_fixture import write_pw3d

from hmradapter.synthetic.layouts import LAYOUTS


def write_evaluation(root, body_model_root):
    """The evaluation files that lie beside HaMeR's tars."""
    with tempfile.TemporaryDirectory(dir=Path(root).parent) as folder:
        LAYOUTS['hamer'](Path(folder), body_model_root)
        (Path(folder) / 'evaluation').rename(root)


WRITERS = {'arctic': write_arctic, 'ehf': write_ehf, '3dpw': write_pw3d, 'hamer_eval': write_evaluation,
           'hmr2_eval': write_evaluation} | LAYOUTS
OPTIONS = dict(humandata=dict(file='relative.npz'),  # it has two files, and their names tell no split
               ubody=dict(stride=1),                 # of a hundred, by default
               hamer_eval=dict(images='images'), hmr2_eval=dict(images='images'))
