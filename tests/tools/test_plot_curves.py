"""plot_curves.py: one curve of several starts, pictures with the panels that were asked for, mistakes told."""
import json
import runpy
from pathlib import Path

import cv2
import pytest

from hmradapter.engine.training_log import read_curves

MAIN = runpy.run_path(str(Path(__file__).parents[2] / 'tools/analysis_tools/plot_curves.py'))['main']


def start(folder, name, steps, value, end='\n', **measures):
    """The log of one start: a loss at each step, and measures of the held-out set at the last."""
    lines = [json.dumps(dict(loss=value + step, lr=0.1, iter=step, step=step)) for step in steps]
    lines += [json.dumps(dict(measures, step=steps[-1]))] if measures else []
    path = folder / name / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(lines) + end)


def test_a_resumed_run_is_one_curve(tmp_path):
    start(tmp_path, '20260101_000000', (10, 20, 30, 40), 0.0, **{'hands/PVE': 50.0})
    start(tmp_path, '20260101_000001', (25, 35), 100.0, end='\n{"loss": 3')  # from the checkpoint of 20, killed in a line
    start(tmp_path, '20260101_000002', (35, 45), 200.0, **{'hands/PVE': 40.0})
    (tmp_path / '20260101_000003/vis_data').mkdir(parents=True)
    (tmp_path / '20260101_000003/vis_data/scalars.json').write_text('')  # killed before its first line
    curves = read_curves(tmp_path)
    assert curves['loss'] == [(10, 10.0), (20, 20.0), (25, 125.0), (35, 235.0), (45, 245.0)]
    assert curves['hands/PVE'] == [(45, 40.0)]
    assert set(curves) == {'loss', 'lr', 'hands/PVE'}


def test_a_picture_has_a_panel_for_each_key(tmp_path, capsys):
    for name in ('one', 'two'):
        start(tmp_path / name, '20260101_000000', (10, 20), 1.0, **{'hands/PVE': 50.0, 'hands/MPJPE': 60.0})
    runs = [str(tmp_path / 'one'), f'other={tmp_path / "two"}']
    widths = {}
    for keys in ([], ['--keys', 'loss'], ['--keys', 'loss', 'lr', 'hands/MPJPE']):
        out = tmp_path / 'plots' / f'{len(keys)}.png'
        out.parent.mkdir(exist_ok=True)
        assert MAIN([*runs, *keys, '--out', str(out)]) == 0
        assert capsys.readouterr().out.strip() == str(out)
        widths[len(keys)] = cv2.imread(str(out)).shape[1]
    assert widths[2] < widths[0] < widths[4]  # loss; loss and PVE; three
    assert MAIN([*runs, '--list']) == 0
    assert capsys.readouterr().out.split() == ['loss', 'lr', 'hands/PVE', 'hands/MPJPE']


@pytest.mark.parametrize(('arguments', 'message'), [
    (['{0}', '--keys', 'hands/PV'], "no log has 'hands/PV'. Did you mean 'hands/PVE'? --list says"),
    (['{0}', '{0}'], "two files are called 'run'"),
    (['{0}', '--out', '{0}/curves.doc'], "suffix '.doc'"),
    (['{0}/absent'], 'absent has no <time>/vis_data/scalars.json')])
def test_mistakes_are_told(tmp_path, capsys, arguments, message):
    start(tmp_path / 'run', '20260101_000000', (10, 20), 1.0, **{'hands/PVE': 50.0})
    assert MAIN([argument.format(tmp_path / 'run') for argument in arguments]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob('curves*'))
