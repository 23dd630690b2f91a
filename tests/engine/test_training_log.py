"""What is read back of a run's logs: one curve of several starts."""
import json

from hmradapter.engine.training_log import read_curves


def start(folder, name, steps, value, end='\n', **measures):
    """The log of one start: a loss at each step, and measures of the held-out set at the last."""
    lines = [json.dumps(dict(loss=value + step, lr=0.1, iter=step, step=step)) for step in steps]
    lines += [json.dumps(dict(measures, step=steps[-1]))] if measures else []
    path = folder / name / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(lines) + (end if lines else ''))


def test_a_resumed_run_is_one_curve(tmp_path):
    assert read_curves(tmp_path) == {}
    start(tmp_path, '20260101_000000', (10, 20, 30, 40), 0.0, **{'hands/PVE': 50.0})
    start(tmp_path, '20260101_000001', (25, 35), 100.0, end='\n{"loss": 3')  # from the checkpoint of 20, killed in a line
    curves = read_curves(tmp_path)
    assert curves == dict(loss=[(10, 10.0), (20, 20.0), (25, 125.0), (35, 135.0)],
                          lr=[(step, 0.1) for step in (10, 20, 25, 35)])  # PVE of 40 is of a past that was given up
    start(tmp_path, '20260101_000002', (35, 45), 200.0, **{'hands/PVE': 40.0})
    start(tmp_path, '20260101_000003', (), 0.0)  # killed before its first line
    curves = read_curves(tmp_path)
    assert curves['loss'] == [(10, 10.0), (20, 20.0), (25, 125.0), (35, 235.0), (45, 245.0)]
    assert curves['hands/PVE'] == [(45, 40.0)]
