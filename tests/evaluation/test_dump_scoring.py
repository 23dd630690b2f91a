"""Whole-body predictions in files: re-scored dumps, other systems' parameters or meshes, what is wrong with a file."""
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from hmradapter.evaluation import WholeBodyMetric
from hmradapter.evaluation.dump import load_dump
from hmradapter.evaluation.dump_scoring import score_file
from hmradapter.geometry.rotations import rotmat_to_axis_angle

from .toy_persons import toy_persons, toy_root

MAIN = runpy.run_path(str(Path(__file__).parents[2] / 'tools/analysis_tools/eval_predictions.py'))['main']


@pytest.fixture(scope='module')
def dump(tmp_path_factory):
    folder = tmp_path_factory.mktemp('dumps')
    root = toy_root(folder / 'toy')
    evaluator = Evaluator(WholeBodyMetric(str(root), 'bodies', dump_path=str(folder / 'preds.npz')))
    samples = toy_persons(root, 5, visibility=True)
    evaluator.process(samples[:2])
    evaluator.process(samples[2:])
    return folder / 'preds.npz', evaluator.evaluate(5)


def test_the_tool_gives_the_same_numbers_from_the_dump_alone(dump, tmp_path, capsys):
    path, found = dump
    assert MAIN([str(path), '--json', str(tmp_path / 'scores.json')]) == 0
    assert '5 persons' in capsys.readouterr().out
    again = json.loads((tmp_path / 'scores.json').read_text())
    assert {f'body/{name}': value for name, value in again['scores'].items()} == found
    assert again['protocol'].startswith('bodies[')


@pytest.mark.parametrize('form', ['vertices', 'matrices', 'axis-angle', 'flat axis-angle'])
def test_another_systems_parameters_or_vertices_are_scored_against_the_dumps_truth(dump, tmp_path, form):
    path, found = dump
    arrays, _ = load_dump(path)
    other = {name: values[::-1] for name, values in arrays.items() if name.startswith('pred_')}  # no truth, other order
    if form != 'vertices':
        del other['pred_vertices']
    if 'axis-angle' in form:
        for name, values in other.items():
            if values.shape[-2:] == (3, 3):
                vectors = rotmat_to_axis_angle(torch.from_numpy(values.copy())).numpy()
                other[name] = vectors.reshape(5, -1) if form.startswith('flat') else vectors
    np.savez(tmp_path / 'other.npz', key=arrays['key'][::-1], **other)
    again = score_file(tmp_path / 'other.npz', 'bodies', truth=path).scores.flat()
    assert {f'body/{name}' for name in again} == set(found)
    assert all(again[name[len('body/'):]] == pytest.approx(value, abs=2e-3) for name, value in found.items())


def test_what_is_wrong_with_a_file_is_said(dump, tmp_path, capsys):
    path, _ = dump
    arrays, _ = load_dump(path)
    poses = {name: values for name, values in arrays.items() if name.startswith('pred_') and name != 'pred_vertices'}
    files = {'hands': dict(poses, key=arrays['key']), 'partial': {k: v for k, v in poses.items() if k != 'pred_betas'},
             'misshapen': dict(poses, pred_body_pose=poses['pred_body_pose'][:, :20])}
    for name, content in files.items():
        np.savez(tmp_path / f'{name}.npz', **{'key': arrays['key'], **content})
    for arguments, message in [
            ([path, '--protocol', 'hands'], "is for hands ('hmradapter.hand_dump/1')"),
            ([tmp_path / 'hands.npz', '--protocol', 'bodies'], 'does not name the body models'),
            ([tmp_path / 'partial.npz', '--truth', path], "nor ['pred_betas']"),
            ([tmp_path / 'misshapen.npz', '--truth', path], 'pred_body_pose has shape (5, 20, 3, 3)'),
            ([path, '--body-models', tmp_path], 'No SMPL-X model'),
            ([path, '--protocol', '3dpw'], "'person0' has a predicted mesh of 160 and a true one of 160 vertices")]:
        assert MAIN([str(argument) for argument in arguments]) == 1
        assert message in capsys.readouterr().err
