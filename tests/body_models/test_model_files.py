"""What a user gets for a missing, wrong, cut or hostile body model file."""
import pickle

import numpy as np
import pytest

from hmradapter.body_models import BodyModelFileError, MANOLayer, SMPLXLayer, load_hand_vertex_ids
from hmradapter.body_models.model_files import read_model_file
from hmradapter.fileio import UnsafeFileError


@pytest.fixture
def arrays(open_body_models):
    return read_model_file(open_body_models / 'mano' / 'MANO_RIGHT.pkl', 'MANO')


def save(path, content):
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


@pytest.mark.parametrize(('make', 'site'), [(MANOLayer, 'mano.is.tue.mpg.de'), (SMPLXLayer, 'smpl-x.is.tue.mpg.de')])
def test_a_missing_file_says_where_to_get_it(tmp_path, make, site):
    for place in (tmp_path, tmp_path / 'nowhere.pkl'):
        with pytest.raises(FileNotFoundError) as caught:
            make(place)
        assert str(place) in str(caught.value)
        assert site in str(caught.value)
        assert 'build_body_models.py' in str(caught.value)


def test_a_missing_key_is_named_with_what_was_expected(tmp_path, arrays):
    del arrays['weights']
    with pytest.raises(BodyModelFileError, match=r"(?s)hand.pkl.*lacks \['weights'\].*weights \(V, 16\).*mano.is.tue"):
        MANOLayer(save(tmp_path / 'hand.pkl', arrays))


@pytest.mark.parametrize(('name', 'spoil', 'message'), [
    ('J_regressor', lambda x: x[:, :-1], r'J_regressor has the shape \(16, \d+\) instead of \(16, \d+\)'),
    ('posedirs', lambda x: x[..., :-9], r'posedirs has the shape'),
    ('v_template', lambda x: np.float32(3), r'v_template has the shape \(\)'),
    ('v_template', lambda x: np.where(np.arange(len(x))[:, None] == 5, np.nan, x), 'not finite'),
    ('f', lambda x: x + 1000, 'f points outside'),
    ('kintree_table', lambda x: x[:, ::-1].copy(), 'before its parent'),
    ('weights', lambda x: x.astype(str), 'not numeric'),
    ('tip_vertex_ids', lambda x: x + 5000, 'tip_vertex_ids points outside')])
def test_a_tampered_array_is_named(tmp_path, arrays, name, spoil, message):
    arrays[name] = spoil(arrays[name])
    with pytest.raises(BodyModelFileError, match=message):
        MANOLayer(save(tmp_path / 'hand.pkl', arrays))


def test_a_mesh_without_known_fingertips_is_refused(tmp_path, arrays):
    del arrays['tip_vertex_ids']
    with pytest.raises(BodyModelFileError, match='tip_vertex_ids'):
        MANOLayer(save(tmp_path / 'hand.pkl', arrays))


def test_a_mano_file_is_no_smplx_file(open_body_models):
    with pytest.raises(BodyModelFileError, match='lacks'):
        SMPLXLayer(open_body_models / 'mano' / 'MANO_RIGHT.pkl')


@pytest.mark.parametrize('kept', [0, 10, 100_000])
def test_a_truncated_file_is_recognised(tmp_path, open_body_models, kept):
    for make, source in ((MANOLayer, 'mano/MANO_RIGHT.pkl'), (SMPLXLayer, 'smplx/SMPLX_NEUTRAL.npz')):
        path = tmp_path / source.split('/')[1]
        path.write_bytes((open_body_models / source).read_bytes()[:kept])
        with pytest.raises(BodyModelFileError, match=f'{path.name}.*tue.mpg.de'):
            make(path)


class Attack:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('ATTACKED').touch()",)


def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path, arrays, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays['v_template'] = Attack()
    with pytest.raises(UnsafeFileError, match='hand.pkl.*exec'):
        MANOLayer(save(tmp_path / 'hand.pkl', arrays))
    np.savez(tmp_path / 'body.npz', v_template=np.array(Attack(), dtype=object))
    with pytest.raises(UnsafeFileError, match='body.npz.*exec'):
        SMPLXLayer(tmp_path / 'body.npz')
    with pytest.raises(UnsafeFileError):
        load_hand_vertex_ids(save(tmp_path / 'ids.pkl', Attack()))
    assert not (tmp_path / 'ATTACKED').exists()


def test_the_sign_error_of_the_released_left_hand_is_repaired(tmp_path, open_body_models, arrays):
    save(tmp_path / 'MANO_RIGHT.pkl', arrays)
    left = read_model_file(open_body_models / 'mano' / 'MANO_LEFT.pkl', 'MANO')
    good = MANOLayer(save(tmp_path / 'MANO_LEFT.pkl', left), 'left')
    left['shapedirs'] = left['shapedirs'] * np.float32([-1, 1, 1])[:, None]
    bad = MANOLayer(save(tmp_path / 'MANO_LEFT.pkl', left), 'left')
    assert (good.directions == bad.directions).all()
    (tmp_path / 'MANO_RIGHT.pkl').unlink()
    with pytest.warns(UserWarning, match='sign error'):
        MANOLayer(tmp_path / 'MANO_LEFT.pkl', 'left')


def test_released_smplx_layout_has_expressions_after_300_shapes(tmp_path, open_body_models):
    with np.load(open_body_models / 'smplx' / 'SMPLX_NEUTRAL.npz') as file:
        content = dict(file)
    few = content['shapedirs']
    many = np.zeros((len(few), 3, 400), np.float32)
    many[..., :10], many[..., 300:310] = few[..., :10], few[..., 10:]
    np.savez(tmp_path / 'SMPLX_NEUTRAL.npz', **{**content, 'shapedirs': many})
    assert (SMPLXLayer(tmp_path).directions == SMPLXLayer(open_body_models).directions).all()
    assert SMPLXLayer(tmp_path, num_betas=300, num_expression=100).num_betas == 300


def test_hand_vertex_ids(tmp_path, open_body_models):
    ids = load_hand_vertex_ids(open_body_models)
    assert len(ids['left']) == len(ids['right']) == len(np.unique(ids['left']))
    assert not set(ids['left']) & set(ids['right'])
    with pytest.raises(FileNotFoundError, match='MANO_SMPLX_vertex_ids'):
        load_hand_vertex_ids(tmp_path)
    with pytest.raises(ValueError, match='right_hand'):
        load_hand_vertex_ids(save(tmp_path / 'ids.pkl', {'left_hand': ids['left']}))
