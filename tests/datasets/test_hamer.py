"""Open-world hands out into HaMeR's tars and evaluation files (and persons into HMR 2.0's) and back; each trap planted once."""
import pickle
import shutil
import tarfile

import numpy as np
import pytest
import torch

from hmradapter.body_models import MANOLayer, SMPLLayer
from hmradapter.datasets import HandDataset, PersonDataset
from hmradapter.datasets.record import FLAGS, SIDES, check_records
from hmradapter.datasets.sources import HaMeREvalSource, HaMeRTarSource, HMR2EvalSource
from hmradapter.datasets.store.check import check_store
from hmradapter.fileio import DamagedFileError, UnsafeFileError
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures.joints import SMPLX144_FROM_OPENPOSE25
from hmradapter.synthetic.layouts.hamer import (
    UNSURE,
    encoded,
    hand_record,
    write_hamer,
    write_hamer_eval,
    write_hmr2_eval,
    write_tar,
)

TARS = ('hands-train/000000.tar', 'hands-train/000001.tar')
PIPELINE = [dict(type='LoadImage'), dict(type='HandCrop', image_size=64, aspect=None), dict(type='PackHandInputs')]


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('hamer')
    return root, dict(write_hamer(root / 'tars', open_body_models), **write_hamer_eval(root / 'evaluation', open_body_models),
                      **write_hmr2_eval(root / 'evaluation', open_body_models))


@pytest.fixture
def copy(release, tmp_path):
    """A release that a test may change."""
    shutil.copytree(release[0], tmp_path / 'data', ignore=shutil.ignore_patterns('prepared'))
    return tmp_path / 'data'


def truth_of(key, truth):
    """By a record's key, whose image's key may have given way to its hash."""
    parts = key.split('/')
    return truth['/'.join('~' if part.startswith('~') else part for part in parts)]


def has(record, name):
    return bool(int(record['flags']) >> FLAGS.index(name) & 1)


def tars(root, **options):
    return HaMeRTarSource(root / 'tars', **options)


def converted(source):
    parts = [source.convert(unit) for unit in source.units]
    for part in parts:
        check_records(part.records)
    return parts


def members(path):
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


def check_hand(record, key, truth, layers):
    given = truth_of(key, truth)
    hand, shot, side = given['hand'], given['shot'], SIDES.index(given['hand'].side)
    np.testing.assert_allclose(record['hand_kpts2d'][side][:, :2][record['hand_kpts2d'][side][:, 2] > 0],
                               shot.project(hand.keypoints)[record['hand_kpts2d'][side][:, 2] > 0], atol=0.01)
    box = record['bbox_hand'][side]
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, given['center'], atol=1e-3)
    assert not record['bbox_hand'][1 - side].any() and not record['hand_pose'][1 - side].any()
    if has(record, f'has_{hand.side}_hand_pose'):
        turns = axis_angle_to_rotmat(torch.from_numpy(np.concatenate((record['hand_global_orient'][side][None],
                                                                      record['hand_pose'][side]))))[None]
        with torch.no_grad():
            out = layers[hand.side](turns[:, :1], turns[:, 1:], torch.from_numpy(record['hand_betas'][side][None]))
        vertices, root = out.vertices[0].numpy(), out.keypoints[0, 0].numpy()
        np.testing.assert_allclose(vertices - root, hand.vertices - hand.keypoints[0], atol=1e-5)
    return given, box


@pytest.fixture(scope='module')
def layers(open_body_models):
    return {side: MANOLayer(open_body_models / 'mano', side) for side in SIDES}


def test_tars_come_back(release, layers):
    parts = converted(tars(release[0]))
    keys = [key for part in parts for key in part.keys]
    assert len(keys) == 6 == len(set(keys)) and {part.tars[0] for part in parts} == set(TARS)
    assert [part.dropped for part in parts] == [dict(few_joints=2, bad_fit=1), {}]
    for part in parts:
        for record, key in zip(part.records, part.keys, strict=True):
            given, box = check_hand(record, key, release[1], layers)
            side = SIDES.index(given['hand'].side)
            np.testing.assert_allclose(box[2:] - box[:2], given['side'] / 2, atol=1e-3)  # half: HandCrop doubles it
            np.testing.assert_allclose(record['hand_kpts3d'][side][:, :3], given['hand'].keypoints, atol=1e-5)
            assert record['hand_kpts2d'][side][UNSURE].tolist() == [0, 0, 0], 'confidence 0.2 is none'
            assert record['kind'] == 1 and not has(record, 'has_abs_depth')
            assert has(record, f'has_{given["hand"].side}_hand_betas')
    failed = parts[1].records[0]  # |beta| > 3: neither pose nor shape is believed, and the shape counts as zero
    assert not has(failed, 'has_right_hand_pose') and has(failed, 'has_right_hand_betas')
    assert not failed['hand_betas'].any() and not failed['hand_pose'].any()
    assert has(parts[0].records[0], 'has_left_hand_pose') and parts[0].records[0]['hand_betas'].any()


def test_the_crop_is_hamers(release):
    """What the records' boxes give with HandCrop's factor 2 is the square of the tar; the image is read in its place."""
    dataset = HandDataset(tars(release[0]), PIPELINE)
    assert not check_store(dataset.store.folder)
    for i in range(len(dataset)):
        info, sample = dataset.get_data_info(i), dataset[i]['data_samples']
        given = truth_of(info['key'].rsplit('/', 1)[0], release[1])
        assert info['hand'] == given['hand'].side and info['img_span'][1] > 0 and info['has_body_pose'] == 0
        assert float(sample.crop.box_size) == pytest.approx(given['side'], abs=1e-3)
        path, (offset, length) = info['img_path'], info['img_span']
        with open(path, 'rb') as file:
            file.seek(offset)
            assert file.read(length) in members(path).values()


def test_filters_are_hamers_or_the_users(release):
    parts = converted(tars(release[0], filters=dict(min_confidence=0.1, largest_beta=4, min_joints=0, largest_loss=1e9)))
    assert sum(len(part.records) for part in parts) == 9 and not any(part.dropped for part in parts)
    assert parts[0].records[0]['hand_kpts2d'][0, UNSURE, 2] == pytest.approx(0.2)
    assert has(parts[1].records[0], 'has_right_hand_pose')
    with pytest.raises(TypeError, match='min_confidense'):
        tars(release[0], filters=dict(min_confidense=0))


def test_subset_and_missing(release, tmp_path):
    assert tars(release[0], subset='hands-train').units == list(TARS)
    with pytest.raises(FileNotFoundError, match=r'other/000000\.tar does not exist.*HaMeR'):
        _ = tars(release[0], subset='other').units
    again = pickle.loads(pickle.dumps(tars(release[0])))
    assert np.array_equal(again.convert(TARS[1]).records, tars(release[0]).convert(TARS[1]).records)


def test_damaged_members_are_counted(copy, release):
    shot = next(iter(release[1].values()))['shot']
    good, record = encoded(shot.image), hand_record(shot, 'left')
    far = hand_record(shot, 'left')
    far['keypoints_2d'][3, 0] = 1e30
    write_tar(copy / 'tars' / 'hands-train' / '000002.tar', [
        ('cut', 'jpg', good[:-400], [record]), ('none', 'jpg', good, []), ('odd', 'jpg', good, [dict(record, center=[1])]),
        ('far', 'jpg', good, [far]), ('nan', 'jpg', good, [dict(record, hand_pose=np.full(48, np.nan))]),
        ('flat', 'jpg', good, [dict(record, scale=np.zeros(2))]), ('text', 'gif', good, [record]),
        ('away', 'jpg', good, [dict(record, center=np.float32([5000, 5000]))]),
        ('side', 'jpg', good, [dict(record, right=None)]), ('good', 'jpg', good, [record])])
    part = tars(copy).convert('hands-train/000002.tar')
    assert part.dropped == dict(corrupt_image=1, damaged_labels=2, hand_not_plausible=1, hand_not_finite=1, hand_without_box=1,
                                hand_outside_image=1, labels_without_image=1)
    assert part.keys == ['hamer/hands-train/000002/good/0']
    assert part.examples['damaged_labels'] == [f'hands-train/000002.tar:{key}.data.pyd' for key in ('odd', 'side')]


@pytest.mark.parametrize('damage', ['cut', 'header', 'no end', 'empty', 'not a tar'])
def test_damaged_tars_give_what_lies_before(copy, release, damage):
    path = copy / 'tars' / TARS[0]
    raw = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        third = tar.getmembers()[6].offset  # the first member of the third image
    changed = dict(cut=raw[:third + 700], header=raw[:third] + bytes([raw[third] ^ 1]) + raw[third + 1:], empty=b'')
    changed.update({'no end': raw[:third], 'not a tar': b'x' * 5000})
    path.write_bytes(bytes(changed[damage]))
    part = tars(copy).convert(TARS[0])
    assert part.dropped['damaged_tar'] == 1 and part.examples['damaged_tar'] == [TARS[0]]
    assert len(part.records) == (0 if damage in ('empty', 'not a tar') else 1)  # the image next to the damage goes with it


class Evil:
    def __reduce__(self):
        return print, ('ran',)


def test_code_is_not_run(copy, release, capsys):
    shot = next(iter(release[1].values()))['shot']
    write_tar(copy / 'tars' / 'x' / '000000.tar', [('bad', 'jpg', encoded(shot.image), [Evil()])])
    with pytest.raises(UnsafeFileError, match=r'x/000000\.tar:bad\.data\.pyd asks to load .*print'):
        tars(copy).convert('x/000000.tar')
    assert 'ran' not in capsys.readouterr().out.splitlines()[1:]


def test_random_damage_is_never_silent(copy, release):
    """Tars have no checksum of their content: what changes is dropped, or differs within what its number may be."""
    path, rng = copy / 'tars' / TARS[0], np.random.default_rng(1)
    raw = path.read_bytes()
    for _ in range(40):
        damaged = bytearray(raw)
        damaged[rng.integers(len(raw))] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(damaged[:rng.integers(len(raw))] if rng.random() < 0.3 else damaged))
        try:
            part = tars(copy).convert(TARS[0])
        except UnsafeFileError as error:
            assert TARS[0] in str(error)
        else:
            check_records(part.records)


@pytest.mark.parametrize('split, padded', [('freihand', True), ('newdays_all', False)])
def test_evaluation_files_come_back(release, layers, split, padded):
    file = dict(freihand='freihand_val.npz').get(split, 'TEST_newdays_img_all.npz')
    source = HaMeREvalSource(release[0], split, file=f'evaluation/{file}', images='evaluation')
    part, = converted(source)
    assert part.keys == [key for key in release[1] if key.startswith(f'hamer_eval/{split}/')]
    for record, key in zip(part.records, part.keys, strict=True):
        given, box = check_hand(record, key, release[1], layers)
        np.testing.assert_allclose(box[2:] - box[:2], given['side'] / 2, atol=1e-3)
        assert has(record, f'has_{given["hand"].side}_hand_pose') == padded
        assert has(record, f'has_{given["hand"].side}_hand_kpts3d') == padded
    with pytest.raises(ValueError, match='test_mode'):
        HandDataset(source)
    dataset = HandDataset(source, PIPELINE, test_mode=True)
    assert not check_store(dataset.store.folder)
    for i in range(len(dataset)):
        given = truth_of(dataset.get_data_info(i)['key'].rsplit('/', 1)[0], release[1])
        assert float(dataset[i]['data_samples'].crop.box_size) == pytest.approx(given['side'], abs=1e-3)


def test_faults_of_evaluation_files(copy):
    root = copy / 'evaluation'
    (root / 'images' / 'both.jpg').unlink()
    with np.load(root / 'freihand_val.npz') as data:
        arrays = dict(data)
    arrays['center'] = arrays['center'].astype(float)
    arrays['center'][0, 0] = np.nan
    np.savez(root / 'freihand_val.npz', **arrays)
    part, = converted(HaMeREvalSource(root, 'freihand'))
    assert part.dropped == dict(hand_not_finite=1, missing_image=1) and not len(part.records)
    np.savez(root / 'ho3d_val.npz', center=np.zeros((1, 2)))
    with pytest.raises(DamagedFileError, match=r'ho3d_val\.npz.*lacks'):
        converted(HaMeREvalSource(root, 'ho3d'))
    np.savez(root / 'ho3d_val.npz', **dict(arrays, hand_pose=np.zeros((2, 45))))
    with pytest.raises(DamagedFileError, match=r'ho3d_val\.npz'):
        converted(HaMeREvalSource(root, 'ho3d'))
    with pytest.raises(FileNotFoundError, match=r'TEST_epick_img_occ\.npz does not exist'):
        _ = HaMeREvalSource(root, 'epick_occ').units
    with pytest.raises(ValueError, match='split is'):
        HaMeREvalSource(root, 'val')


def test_persons_of_hmr2_come_back(release, open_body_models):
    source = HMR2EvalSource(release[0] / 'evaluation', '3dpw_test', open_body_models)
    part, = converted(source)
    truth = [value for key, value in release[1].items() if key.startswith('hmr2_eval')]
    layer = SMPLLayer(open_body_models / 'smpl')
    vertices, order = list(part.vertices), np.array(SMPLX144_FROM_OPENPOSE25)
    assert part.records['verts_row'].tolist() == [0, -1] and len(vertices) == 1
    for record, given in zip(part.records, truth, strict=True):
        np.testing.assert_allclose(record['kpts2d'][order, :2], given['shot'].project(given['joints']), atol=0.01)
        believed = [0, *range(15, 25)]
        np.testing.assert_allclose(record['kpts3d'][order[believed], :3], given['joints'][believed], atol=1e-5)
        assert not record['kpts3d'][order[1:15]].any(), 'OpenPose\'s body in 3D is not believed'
        limits = np.array(given['shot'].size) - 1
        expected = np.concatenate((given['low'].clip(0), np.minimum(given['high'], limits)))
        np.testing.assert_allclose(record['bbox_body'], expected, atol=1e-3)
    np.testing.assert_allclose(vertices[0][0], truth[0]['vertices'], atol=1e-5)
    pose = np.concatenate((part.records['global_orient'][0][None], part.records['body_pose'][0], part.records['smpl_tail'][0]))
    turns = axis_angle_to_rotmat(torch.from_numpy(pose))[None]
    with torch.no_grad():
        out = layer(turns[:, :1], turns[:, 1:], torch.from_numpy(part.records['betas'][:1, :10]))
    np.testing.assert_allclose(out.vertices[0].numpy(), truth[0]['vertices'], atol=1e-5)
    assert not has(part.records[1], 'has_body_pose') and not has(part.records[0], 'has_abs_depth')
    persons = PersonDataset(source, test_mode=True)
    sample = persons[0]
    assert not check_store(persons.store.folder)
    assert sample['has_vertices'] == 1 and sample['has_betas'] == 0
    without, = converted(HMR2EvalSource(release[0] / 'evaluation', '3dpw_test'))
    assert (without.records['verts_row'] == -1).all()


def test_models_of_hmr2s_genders_are_told(copy, open_body_models):
    """The meshes depend on the models of the genders that the file has, so the store's name does."""
    root = copy / 'evaluation'
    source = HMR2EvalSource(root, '3dpw_test', open_body_models)
    assert list(source.about()['body_models']) == ['smpl/SMPL_NEUTRAL.pkl']
    neutral = np.concatenate(list(converted(source)[0].vertices))
    with np.load(root / '3dpw_test.npz') as data:
        arrays = dict(data, has_body_pose=np.ones(2), has_betas=np.ones(2), gender=np.array(['f', 'male']))
    np.savez(root / '3dpw_test.npz', **arrays)
    source = HMR2EvalSource(root, '3dpw_test', open_body_models)
    assert list(source.about()['body_models']) == ['smpl/SMPL_MALE.pkl', 'smpl/SMPL_FEMALE.pkl']
    part, = converted(source)
    assert part.records['gender'].tolist() == [2, 1] and np.abs(next(iter(part.vertices))[0] - neutral[0]).max() > 0.002
    (root / '3dpw_test.npz').unlink()
    with pytest.raises(FileNotFoundError, match='hmr2_evaluation_data'):
        HMR2EvalSource(root, '3dpw_test', open_body_models).about()


def test_pickled_numpy_of_many_kinds(copy, release):
    """Flags as Python numbers, arrays of float64, lists: all that tars in circulation have."""
    given = next(iter(release[1].values()))
    record = hand_record(given['shot'], 'left', right=0, has_hand_pose=True, has_betas=1, extra_info=dict(fitting_loss={}))
    record = {name: value.astype(np.float64) if isinstance(value, np.ndarray) else value for name, value in record.items()}
    write_tar(copy / 'tars' / 'y' / '000000.tar', [('a', 'jpg', encoded(given['shot'].image), [record])])
    part = tars(copy).convert('y/000000.tar')
    assert len(part.records) == 1 and has(part.records[0], 'has_left_hand_pose')
