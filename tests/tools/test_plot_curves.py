"""plot_curves.py: pictures with the panels that were asked for, and mistakes told."""
import json
import runpy
from pathlib import Path

import cv2
import pytest

from hmradapter.visualization.curve_plot import FEW, curves_figure

MAIN = runpy.run_path(str(Path(__file__).parents[2] / 'tools/analysis_tools/plot_curves.py'))['main']


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def log_of(work_dir):
    path = Path(work_dir) / '20260101_000000/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('{"loss": 3.0, "lr": 0.1, "iter": 10, "step": 10}\n{"loss": 2.0, "lr": 0.1, "iter": 20, "step": 20}\n'
                    + json.dumps({'hands/PVE': 50.0, 'hands/MPJPE': 60.0, 'step': 20}) + '\n')


def test_a_figure_shows_every_curve_where_it_belongs():
    loss = {'one': [[(1, 40.0), (2, 20.0)], [(1, 30.0), (2, 10.0)]], 'two': [[(n, 5.0 + n) for n in range(FEW)]]}
    figure = curves_figure(dict(loss=loss, PVE=dict(two=[[(2, 50.0)]])), log=['loss'])
    left, right = figure.axes
    assert [axis.get_ylabel() for axis in figure.axes] == ['loss', 'PVE']
    assert [axis.get_yscale() for axis in figure.axes] == ['log', 'linear']
    assert [line.get_xydata().tolist() for line in left.lines] == [[list(map(float, point)) for point in curve]
                                                                   for curves in loss.values() for curve in curves]
    assert left.lines[0].get_color() == left.lines[1].get_color() != left.lines[2].get_color() == right.lines[0].get_color()
    assert left.lines[0].get_marker() == 'o' and left.lines[2].get_marker() == 'None'  # few points are marked
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['one', 'two']


def test_no_two_of_many_runs_look_alike():
    figure = curves_figure(dict(loss={str(n): [[(0, n), (1, n)]] for n in range(14)}))
    assert len({(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}) == 14


def test_the_command_draws_loss_and_pve_or_what_it_is_told(capsys):
    log_of('one')
    log_of('lr=0.1')  # a folder's name may hold what names are given with
    widths = {}
    for keys in ([], ['--keys', 'loss'], ['--keys', 'loss', 'lr', 'hands/MPJPE', '--log', 'loss', 'lr']):
        out = Path(f'{len(keys)}.png')
        assert MAIN(['one', 'lr=0.1', '--out', str(out), *keys]) == 0
        assert capsys.readouterr().out.strip() == str(out)
        widths[len(keys)] = cv2.imread(str(out)).shape[1]
    assert widths[2] < widths[0] < widths[7]  # loss; loss and PVE; three
    assert MAIN(['a=one', 'b=lr=0.1', '--list']) == 0
    assert capsys.readouterr().out.split() == ['loss', 'lr', 'hands/PVE', 'hands/MPJPE']


@pytest.mark.parametrize(('arguments', 'message'), [
    (['run', '--keys', 'hands/PV'], "no log has 'hands/PV'. Did you mean 'hands/PVE'? --list says"),
    (['run', '--log', 'lr'], "--log has 'lr', which is not drawn; drawn are loss, hands/PVE"),
    (['run', 'run'], "two files are called 'run'"),
    (['run', '--out', 'curves.doc'], "suffix '.doc'"),
    (['run/absent'], 'run/absent has nothing in <time>/vis_data/scalars.json')])
def test_mistakes_are_told(tmp_path, capsys, arguments, message):
    log_of('run')
    assert MAIN(arguments) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob('*curves*'))
