"""Predictions on disk: exact round trips, schema, body-model identity, damage."""
import json
import shutil
from dataclasses import fields

import numpy as np
import pytest

from hmradapter.apis import HandModel, PredictionFileError, infer_hands, load_prediction, save_prediction
from hmradapter.apis.prediction_files import read_provenance
from hmradapter.evaluation.errors import rotation_error_deg
from hmradapter.geometry.rotations import axis_angle_to_rotmat


@pytest.fixture(scope='module')
def hands(base_model, picture):
    return infer_hands(base_model, picture, [[60, 50, 140, 150], [150, 40, 250, 120]], ['right', 'left'])


@pytest.fixture
def saved(hands, hand_model, tmp_path):
    return save_prediction(hands, tmp_path / 'photo.with.dots', hand_model, hands[0].camera, source=dict(path='x.jpg'))


def assert_same(found, expected):
    for field in fields(expected):
        if field.name == 'camera':
            np.testing.assert_array_equal(found.camera.K, expected.camera.K)
            assert (found.camera.size, found.camera.source) == (expected.camera.size, expected.camera.source)
        elif isinstance(getattr(expected, field.name), np.ndarray):
            np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name), err_msg=field.name)
        else:
            assert getattr(found, field.name) == getattr(expected, field.name), field.name


@pytest.mark.parametrize('kind', [0, 1])
def test_what_is_loaded_is_bit_for_bit_what_was_saved(saved, hands, hand_model, kind):
    for found, expected in zip(load_prediction(saved[kind], hand_model), hands, strict=True):
        assert_same(found, expected)


def test_the_recorded_body_model_is_found_by_its_path(saved, hands):
    for found, expected in zip(load_prediction(saved[0].with_suffix('')), hands, strict=True):
        assert_same(found, expected)


def test_files_have_the_names_asked_for(saved):
    assert [path.name for path in saved] == ['photo.with.dots.json', 'photo.with.dots.npz']


def test_the_json_is_documented_and_complete(saved, hands):
    content = json.loads(saved[0].read_text())
    assert (content['schema'], content['version']) == ('hmradapter.hands', 1)
    assert content['units']['length'] == 'metre'
    assert content['source'] == dict(path='x.jpg') == read_provenance(saved[1])['source']
    hand = content['hands'][1]
    assert hand['hand'] == 'left' and len(hand['hand_pose']) == 15 and len(hand['betas']) == 10
    import torch
    rotvec = torch.tensor(hand['global_orient_axis_angle'])
    assert rotation_error_deg(axis_angle_to_rotmat(rotvec), hands[1].global_orient) < 0.05


def test_an_image_without_hands_has_a_file_too(hands, hand_model, tmp_path):
    for path in save_prediction([], tmp_path / 'none', hand_model, hands[0].camera):
        assert load_prediction(path, hand_model) == []


def test_another_body_model_is_refused_with_both_hashes(saved, open_body_models, hand_model, tmp_path):
    shutil.copytree(open_body_models / 'mano', tmp_path / 'mano')
    with open(tmp_path / 'mano' / 'MANO_RIGHT.pkl', 'ab') as file:
        file.write(b'\n')
    other = HandModel(hand_model.layer, tmp_path / 'mano' / 'MANO_RIGHT.pkl', 'f' * 64)
    with pytest.raises(PredictionFileError, match=f'(?s){hand_model.sha256}.*{"f" * 64}'):
        load_prediction(saved[0], other)
    with pytest.raises(PredictionFileError, match=hand_model.sha256):
        load_prediction(saved[0], tmp_path / 'mano')
    with pytest.raises(ValueError, match='left hand'):
        HandModel.load(open_body_models / 'mano' / 'MANO_LEFT.pkl')


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize('change, message', [
    (lambda c: c.update(version=99), 'version 99'),
    (lambda c: c.pop('hands'), 'no prediction'),
    (lambda c: c['camera'].pop('focal'), 'camera.focal'),
    (lambda c: c['hands'][0].pop('betas'), 'damaged record'),
    (lambda c: c['hands'][0].update(hand='middle'), 'middle'),
    (lambda c: c['hands'][0].update(betas=[1, 2]), 'betas'),
    (lambda c: c['hands'][0].update(translation=['a', 'b', 'c']), 'damaged record')])
def test_damaged_files_are_refused_by_name(saved, hand_model, change, message):
    edit(saved[0], change)
    with pytest.raises(PredictionFileError, match=message):
        load_prediction(saved[0], hand_model)


def test_text_and_cut_files_are_no_predictions(saved, hand_model):
    raw = saved[0].read_text()
    for text in ('', 'hello', raw[:len(raw) // 2], '[]'):
        saved[0].write_text(text)
        with pytest.raises(PredictionFileError, match='no prediction'):
            load_prediction(saved[0], hand_model)
    saved[1].write_bytes(saved[1].read_bytes()[:500])
    with pytest.raises(ValueError, match='npz'):
        load_prediction(saved[1], hand_model)


def test_edited_parameters_are_loaded_with_a_warning(saved, hands, hand_model):
    edit(saved[0], lambda content: content['hands'][0]['betas'].__setitem__(0, 3.0))
    with pytest.warns(UserWarning, match='not those that were saved'):
        found = load_prediction(saved[0], hand_model)
    assert np.abs(found[0].vertices - hands[0].vertices).max() > 1e-4
    assert_same(found[1], hands[1])
