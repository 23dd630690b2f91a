"""FreiHAND out into its lists and back through the reader; each trap and each fault planted once."""
import json
import pickle
import shutil

import cv2
import numpy as np
import pytest
import torch
from hand_samples import LOSSES, posed, project, rows, train_once

from hmradapter.body_models import MANOLayer
from hmradapter.datasets.record import HAND, check_records
from hmradapter.datasets.sources import FreiHANDSource
from hmradapter.fileio import DamagedFileError
from hmradapter.structures.joints import HAND21_TIPS
from hmradapter.synthetic.layouts import write_freihand

HANDS = 5
INNER = [joint for joint in range(21) if joint not in HAND21_TIPS]


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('freihand')
    return root, write_freihand(root, open_body_models, hands=HANDS, evaluation=2)


@pytest.fixture
def copy(release, tmp_path):
    """A release that a test may damage."""
    root = tmp_path / 'data'
    shutil.copytree(release[0], root, ignore=shutil.ignore_patterns('prepared'))
    return root


@pytest.fixture
def source(release, open_body_models):
    return lambda root=None, **options: FreiHANDSource(str(root or release[0]), str(open_body_models), **options)


@pytest.fixture(scope='module')
def layers(open_body_models):
    return {'right': MANOLayer(str(open_body_models / 'mano'), 'right')}


def edit(root, name, change):
    path = root / f'training_{name}.json'
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize('split', ['train', 'evaluation'])
def test_hands_come_back(source, release, layers, split):
    store = source(split=split, keep_vertices=True).prepare()
    folder = dict(train='training').get(split, split)
    wanted = {key: one for key, one in release[1].items() if key.startswith(f'freihand/{folder}/')}
    assert sorted(row[0] for row in rows(store)) == sorted(wanted) and len(wanted) == (4 * HANDS if split == 'train' else 2)
    assert store.manifest['dropped'] == store.manifest['unlabelled'] == {}
    for key, record in rows(store):
        check_records(record[None])
        one = wanted[key]
        vertices, joints = posed(layers['right'], record, 1)
        assert np.abs(vertices - one['vertices']).max() < 1e-5
        assert np.abs(store.vertices(int(record['verts_row'])) - one['vertices']).max() < 2e-6
        assert np.abs(joints[INNER] - one['joints'][INNER]).max() < 1e-5
        assert np.abs(record['hand_kpts3d'][1] - np.c_[one['joints'], np.ones(21)]).max() < 1e-6  # tips, too: the file's own
        K = np.array([[record['focal'][0], 0, record['princpt'][0]], [0, record['focal'][1], record['princpt'][1]], [0, 0, 1]])
        pixels = project(one['joints'], one['K'])
        assert np.abs(project(vertices, K) - project(one['vertices'], one['K'])).max() < 0.01
        assert np.abs(record['hand_kpts2d'][1] - np.c_[pixels, np.ones(21)]).max() < 0.01
        np.testing.assert_allclose(record['bbox_hand'][1], [*pixels.min(0), *pixels.max(0)], atol=0.01)
        assert not any(record[name][0].any() for name in ('hand_pose', 'hand_kpts2d', 'hand_kpts3d', 'bbox_hand'))  # no left
        assert record['kind'] == HAND and not record['cam_R'].any() and record['hw'].tolist() == [224, 224]


def test_each_convention_matters(source, release, layers):
    """What a reader gets that misses a trap: millimetres to centimetres, so the tolerances above do hold the traps."""
    layer, one = layers['right'], release[1]['freihand/training/00000000']
    entry = {name: np.array(json.loads((release[0] / f'training_{name}.json').read_text())[0]) for name in ('mano', 'K', 'xyz')}
    assert entry['mano'].shape == (1, 61)
    vector, fx, fy = entry['mano'][0], entry['K'][0, 0], entry['K'][1, 1]
    depth = one['joints'][9, 2]
    assert abs(depth * (fx - fy) / 2 / fx) > 1e-4                              # the mean of both focal lengths
    assert layer.hand_mean.norm() > 0.3                                        # residual fingers
    rest = layer.root_joint(torch.zeros(1, 10))[0].numpy()
    transl = np.append((vector[58:60] - entry['K'][:2, 2]), (fx + fy) / 2) / vector[60]
    assert np.linalg.norm(transl - one['joints'][0]) > 0.04                    # a knuckle, not the wrist
    np.testing.assert_allclose(transl, one['joints'][9], atol=1e-9)
    assert np.linalg.norm(rest) > 0.001
    tips = one['vertices'][layer.tip_ids.numpy()] - one['joints'][list(HAND21_TIPS)]
    assert (np.linalg.norm(tips, axis=1) > 1e-3).tolist() == [False, False, False, True, True]  # other tip vertices


def test_versions_show_the_same_hand(source, release):
    store = source(versions=('auto', 'hom')).prepare()
    found = rows(store)
    assert [row[0] for row in found[:2]] == [f'freihand/training/{HANDS:08d}', f'freihand/training/{3 * HANDS:08d}']
    assert [int(row[1]['view']) for row in found] == [1, 3] * HANDS and int(found[2][1]['frame']) == 1
    np.testing.assert_array_equal(found[0][1]['hand_kpts2d'], found[1][1]['hand_kpts2d'])
    images = [cv2.imread(str(release[0] / store.path(int(row[1]['offset'])))).astype(float) for row in found[:2]]
    assert np.abs(images[0] - images[1]).mean() > 2


def test_splits_go_by_base_hand(source, release):
    train, val = (source(split=split, held_out=0.2).prepare() for split in ('train', 'val'))
    bases = [{int(row[1]['frame']) for row in rows(store)} for store in (train, val)]
    assert bases == [{0, 1, 2, 3}, {4}] and len(val) == 4 and train.manifest['protocol']['held_out'] == 0.2
    assert len(source().prepare()) == 4 * HANDS


def test_faults_are_counted(copy, source):
    images = copy / 'training' / 'rgb'
    (images / '00000000.jpg').unlink()
    (images / f'{HANDS:08d}.jpg').write_bytes((images / f'{HANDS:08d}.jpg').read_bytes()[:-50])
    cv2.imwrite(str(images / f'{2 * HANDS:08d}.jpg'), np.zeros((200, 224, 3), np.uint8))

    def spoil(content):
        content[1][0][50] = float('nan')
        content[2][0][3 + 17] += 1.0      # the last joint of a finger, which turns nothing but its tip
        content[3][0] = content[3][0][:60]
    edit(copy, 'mano', spoil)
    edit(copy, 'verts', lambda content: content[4][7].__setitem__(0, 1.0))
    assert source(copy).prepare().manifest['dropped'] == dict(
        missing_image=1, corrupt_image=1, image_of_other_size=1, damaged_entry=8, joints_away_from_model=4)
    dropped = source(copy, keep_vertices=True).prepare().manifest['dropped']
    assert dropped['mesh_away_from_model'] == 4 and dropped['joints_away_from_model'] == 4


@pytest.mark.parametrize('name, change, reason', [
    ('K', lambda entry: entry[0].__setitem__(1, 5.0), 'damaged_entry'),              # skew
    ('K', lambda entry: entry[0].__setitem__(0, 10 ** 400), 'damaged_entry'),
    ('K', lambda entry: entry[1].__setitem__(2, 2000.0), 'joints_away_from_model'),  # the knuckle lies elsewhere
    ('mano', lambda entry: entry[0].__setitem__(60, 0.0), 'damaged_entry'),
    ('mano', lambda entry: entry[0].__setitem__(48, 1e30), 'joints_away_from_model'),
    ('mano', lambda entry: entry[0].__setitem__(5, 'x'), 'damaged_entry'),
    ('xyz', lambda entry: entry[3].__setitem__(0, 1e200), 'damaged_entry'),
    ('xyz', lambda entry: entry.pop(), 'damaged_entry'),
    ('xyz', lambda entry: entry[2].__setitem__(2, 1.0), 'joints_away_from_model')])
def test_damaged_values_are_counted(copy, source, name, change, reason):
    edit(copy, name, lambda content: change(content[1]))
    store = source(copy).prepare()
    assert store.manifest['dropped'] == {reason: 4} and len(store) == 4 * HANDS - 4


def test_a_hand_outside_its_image_is_left_out(copy, source):
    """The whole hand moved: labels agree with each other, and not with the picture."""
    def move(content):
        content[0][0][2] += 500.0
    edit(copy, 'K', move)
    edit(copy, 'mano', lambda content: content[0][0].__setitem__(58, content[0][0][58] + 500.0))
    assert source(copy).prepare().manifest['dropped'] == dict(hand_outside_image=4)


def test_damaged_files_are_named(copy, source):
    edit(copy, 'xyz', lambda content: content.pop())
    with pytest.raises(DamagedFileError, match=r'training_xyz.json.*has 4 entries'):
        source(copy).prepare()
    path = copy / 'training_mano.json'
    path.write_text(path.read_text()[:-200])
    with pytest.raises(DamagedFileError, match=r'training_mano.json'):
        source(copy).prepare()
    for text in ('{"a": 1}', '[]', '3'):
        (copy / 'training_K.json').write_text(text)
        with pytest.raises(DamagedFileError, match=r'training_K.json'):
            source(copy).prepare()


def test_what_cannot_be_used_is_said(copy, source, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'training_K.json does not exist[\s\S]*uni-freiburg[\s\S]*no commercial'):
        source(tmp_path).prepare()
    (copy / 'evaluation_mano.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'evaluation_mano.json'):
        source(copy, split='evaluation').prepare()
    (copy / 'training_verts.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'training_verts.json'):
        source(copy, keep_vertices=True).prepare()
    for wrong in (dict(split='test'), dict(held_out=1.0), dict(held_out=0.0, split='val'), dict(versions=()),
                  dict(versions='gs'), dict(versions=('gs', 'blue')), dict(versions=('gs',), split='evaluation')):
        with pytest.raises(ValueError, match=f'{next(iter(wrong))} is '):
            source(copy, **wrong)


def test_a_source_travels_without_what_it_read(source):
    one = source()
    parts = [one.convert(unit) for unit in one.units]
    raw = pickle.dumps(one)
    assert len(raw) < 2000
    twin = pickle.loads(raw)
    assert twin.units == one.units and all(np.array_equal(twin.convert(unit).records, part.records)
                                           for unit, part in zip(one.units, parts, strict=True))


def test_units_are_ranges(copy, source, monkeypatch):
    monkeypatch.setattr('hmradapter.datasets.sources.freihand.UNIT', 2)
    one = source(copy, split='train', held_out=0.2)
    assert one.units == ['00000-00001', '00002-00003'] and source(copy, split='val', held_out=0.2).units == ['00004-00004']
    assert [row[0] for row in rows(one.prepare())][4] == 'freihand/training/00000001'


@pytest.mark.filterwarnings('ignore:.*RANDOM WEIGHTS')
def test_an_expert_learns_without_a_body(source, open_body_models):
    samples, losses = train_once(source(), open_body_models)
    assert not samples.guidance.body_pose.any() and not samples.guidance.has_body_pose.any()
    assert samples.gt.has_hand_pose.all() and samples.gt.has_betas.all() and set(samples.metainfo['hand']) == {'right'}
    assert set(losses) == {f'loss_{name}' for name in LOSSES} and all(0 < loss < np.inf for loss in losses.values())
