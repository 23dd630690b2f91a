"""Every data set's writer of a tiny release, by the data set's name, and the options that its reader then needs."""
from arctic_fixture import write_arctic
from ehf_fixture import write_ehf
from pw3d_fixture import write_pw3d

from hmradapter.synthetic.layouts import LAYOUTS

WRITERS = {'arctic': write_arctic, 'ehf': write_ehf, '3dpw': write_pw3d} | LAYOUTS
OPTIONS = dict(ubody=dict(stride=1))  # of a hundred, by default
