"""Open-world people out into HumanData's conventions and back through the reader; each trap and each fault planted once."""
import pickle
import shutil

import numpy as np
import pytest
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.datasets import HandDataset, PersonDataset
from hmradapter.datasets.formats.finger_convention import hand_means
from hmradapter.datasets.formats.humandata import read_humandata
from hmradapter.datasets.record import FLAGS, GENDERS, SIDES, check_records
from hmradapter.datasets.sources import HumanDataSource
from hmradapter.datasets.store.check import check_store
from hmradapter.fileio import DamagedFileError, UnsafeFileError
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures import hmr_collate
from hmradapter.structures.joints import HAND21_FROM_SMPLX144, POSE53_PARTS
from hmradapter.synthetic.layouts.humandata import (
    BODY_PADDING,
    FAILED_SHAPE,
    LABELLED,
    NO_FINGERS,
    NO_LABEL,
    NO_LEFT_BOX,
    NOT_FINITE,
    write_humandata,
)

PIPELINE = [dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'),
            dict(type='PackPersonInputs')]


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('humandata')
    return root, write_humandata(root, open_body_models)


@pytest.fixture
def copy(release, tmp_path):
    """A release that a test may change."""
    shutil.copytree(release[0], tmp_path / 'data', ignore=shutil.ignore_patterns('prepared'))
    return tmp_path / 'data'


@pytest.fixture
def make(release, open_body_models):
    def build(file='relative_train.npz', root=None, **options):
        return HumanDataSource(root or release[0], **{'body_model_root': open_body_models, 'file': file, **options})
    return build


@pytest.fixture(scope='module')
def layer(open_body_models):
    return SMPLXLayer(open_body_models / 'smplx')


def converted(source):
    part = source.convert(source.units[0])
    check_records(part.records)
    return part


def edit(root, change, file='relative_train.npz', to=None):
    """Change the arrays of a file in place, or write them as another file."""
    with np.load(root / file, allow_pickle=True) as data:
        arrays = {name: data[name][()] if data[name].dtype == object else data[name] for name in data.files}
    change(arrays)
    np.savez(root / (to or file), **arrays)


def has(record, name):
    return bool(int(record['flags']) >> FLAGS.index(name) & 1)


def rows_of(part):
    return part.records['frame'].tolist()


@pytest.mark.parametrize('file', ['relative_train.npz', 'absolute_val.npz'])
def test_bodies_come_back(make, release, layer, file):
    part = converted(make(file))
    assert rows_of(part) == [row for row in release[1] if row != NOT_FINITE] and part.dropped == dict(not_finite=1)
    pose = torch.zeros(len(part.records), 53, 3)
    fields = dict(global_orient=part.records['global_orient'][:, None], body_pose=part.records['body_pose'],
                  left_hand_pose=part.records['hand_pose'][:, 0], right_hand_pose=part.records['hand_pose'][:, 1],
                  jaw_pose=part.records['jaw_pose'][:, None])
    for name, place in POSE53_PARTS.items():
        pose[:, place] = torch.from_numpy(fields[name])
    eyes = axis_angle_to_rotmat(torch.from_numpy(part.records['eye_pose'])).unsqueeze(2)
    turns = {name: axis_angle_to_rotmat(pose[:, place]) for name, place in POSE53_PARTS.items()}
    out = layer(**turns, leye_pose=eyes[:, 0], reye_pose=eyes[:, 1], betas=torch.from_numpy(part.records['betas'][:, :10]),
                expression=torch.from_numpy(part.records['expression']), transl=torch.from_numpy(part.records['transl']))
    for i, row in enumerate(rows_of(part)):
        figure, shot = release[1][row]
        record = part.records[i]
        K = np.array([[record['focal'][0], 0, record['princpt'][0]], [0, record['focal'][1], record['princpt'][1]], [0, 0, 1]])
        np.testing.assert_allclose(K, shot.K, rtol=1e-6)
        believed = np.flatnonzero(record['kpts3d'][:, 3])
        assert believed.tolist() == [joint for joint in range(LABELLED) if joint != NO_LABEL]
        np.testing.assert_allclose(record['kpts3d'][believed, :3], figure.joints[believed], atol=1e-5)
        np.testing.assert_allclose(record['kpts2d'][believed, :2], shot.project(figure.joints[believed]), atol=0.01)
        for side, name in enumerate(SIDES):
            order = list(HAND21_FROM_SMPLX144[name])
            np.testing.assert_allclose(record['hand_kpts2d'][side][:, :2], shot.project(figure.joints[order]), atol=0.01)
            turn = axis_angle_to_rotmat(torch.from_numpy(record['hand_global_orient'][side]))
            truth = axis_angle_to_rotmat(torch.from_numpy(figure.hands[name].global_orient)).float()
            torch.testing.assert_close(turn, truth, atol=1e-5, rtol=0)
        if row not in (NO_FINGERS, FAILED_SHAPE):  # a trap of these rows bends or shapes the mesh
            np.testing.assert_allclose(out.vertices[i], figure.vertices, atol=1e-5)
            np.testing.assert_allclose(record['hand_pose'], figure.hand_pose, atol=1e-6)
    gap = (out.vertices[0] - torch.from_numpy(release[1][0][0].vertices)).norm(dim=-1).max()
    assert gap < 1e-5 and np.abs(hand_means(layer)).max() > 0.2  # what forgetting the mean would cost


def test_labels_that_are_missing_are_off(make, release):
    part = converted(make('relative_train.npz'))
    records = {row: part.records[i] for i, row in enumerate(rows_of(part))}
    assert not has(records[NO_LEFT_BOX], 'has_bbox_left_hand') and has(records[NO_LEFT_BOX], 'has_bbox_right_hand')
    assert not has(records[NO_FINGERS], 'has_left_hand_pose') and has(records[NO_FINGERS], 'has_right_hand_pose')
    assert not records[NO_FINGERS]['hand_pose'][0].any()
    assert not has(records[FAILED_SHAPE], 'has_betas') and not records[FAILED_SHAPE]['betas'].any()
    assert part.unlabelled == dict(left_fingers_all_zero=1, shape_beyond_3=1)
    assert all(has(record, 'has_abs_depth') and has(record, 'has_K') and has(record, 'has_expression')
               for record in records.values())
    last = [row for row in records if row >= 4]
    assert len(last) == 2 and len({int(records[row]['offset']) for row in last}) == 1, 'two persons of one image'


def test_boxes_are_tight_again(make, release):
    part = converted(make('relative_train.npz'))
    for record, row in zip(part.records, rows_of(part), strict=True):
        figure, shot = release[1][row]
        points = shot.project(figure.joints[:LABELLED])
        limits = np.array(shot.size) - 1
        expected = np.concatenate((points.min(0).clip(0), np.minimum(points.max(0), limits)))
        np.testing.assert_allclose(record['bbox_body'], expected, atol=0.01)
        hand = shot.project(figure.hands['right'].keypoints)
        np.testing.assert_allclose(record['bbox_hand'][1], np.concatenate((hand.min(0), hand.max(0))), atol=0.01)
    padded = converted(make('relative_train.npz', body_padding=1.0)).records['bbox_body']
    assert (padded[:, 2:] - padded[:, :2] >= part.records['bbox_body'][:, 2:] - part.records['bbox_body'][:, :2]).all()
    assert make('relative_train.npz').padding == BODY_PADDING


def test_what_each_trap_costs(make, release, copy, layer):
    """Reading fingers the wrong way, or compressed columns as if they were all there, is centimetres off."""
    truth = release[1][0][0]
    wrong = converted(make('relative_train.npz', flat_hand_mean=True)).records[0]['hand_pose']
    bent, right = ({f'{side}_hand_pose': axis_angle_to_rotmat(torch.from_numpy(pose[i][None])) for i, side in enumerate(SIDES)}
                   for pose in (wrong, truth.hand_pose))
    gap = (layer(**bent).joints - layer(**right).joints).norm(dim=-1).max()
    assert gap > 0.02
    data = read_humandata(release[0] / 'relative_train.npz')
    shifted = np.linalg.norm(data.points_3d.stored[0, NO_LABEL:100, :3] - truth.joints[NO_LABEL:100], axis=1)
    assert np.median(shifted) > 0.01
    gendered = read_humandata(release[0] / 'absolute_val.npz').params
    assert np.abs(gendered['betas'] - gendered['betas_neutral']).max() > 0.5
    edit(copy, lambda data: data['smplx'].pop('betas_neutral'), 'absolute_val.npz')
    edit(copy, lambda data: data['meta'].update(gender=['male'] * 6), 'absolute_val.npz')
    part = converted(make('absolute_val.npz', copy))
    assert (part.records['gender'] == GENDERS.index('male')).all()
    assert PersonDataset(make('absolute_val.npz', copy))[0]['has_betas'] == 0  # of another space of shapes


def test_meshes(make, release, copy):
    part = converted(make('absolute_val.npz', split='val'))
    assert np.array_equal(part.records['verts_row'], np.arange(len(part.records)))
    for mesh, row in zip(part.vertices, rows_of(part), strict=True):
        np.testing.assert_allclose(mesh[0], release[1][row][0].vertices, atol=1e-5)
    assert (converted(make('absolute_val.npz')).records['verts_row'] == -1).all()
    (copy / 'meshes' / '000000.npy').unlink()
    (copy / 'meshes' / '000001.npy').write_bytes((copy / 'meshes' / '000001.npy').read_bytes()[:500])
    np.save(copy / 'meshes' / '000002.npy', np.load(copy / 'meshes' / '000002.npy') + 5)
    part = converted(make('absolute_val.npz', copy, split='val'))
    assert part.records['verts_row'].tolist() == [-1, -1, -1, 0, 1] and len(part.vertices) == 2
    assert {'missing_mesh', 'damaged_mesh', 'mesh_away_from_joints'} <= set(part.unlabelled)


def without_word(data):
    data['misc'].pop('flat_hand_mean')


def without_joints(data):
    without_word(data)
    for name in [name for name in data if name.startswith('keypoints3d')]:
        data.pop(name)


def test_fingers_decided_by_the_files_own_joints(make, copy, release):
    for file, absolute in (('relative_train.npz', False), ('absolute_val.npz', True)):
        edit(copy, without_word, file)
        fingers = make(file, copy).fingers
        assert fingers.absolute == absolute and fingers.source == 'joints'
        good, bad = sorted(fingers[2:])
        assert good < 0.002 < 0.01 < bad  # metres; one person has a shape that failed
    part = converted(make('relative_train.npz', copy))
    np.testing.assert_allclose(part.records[0]['hand_pose'], release[1][0][0].hand_pose, atol=1e-6)


def test_fingers_decided_by_their_numbers(make, copy, layer):
    relaxed = np.random.default_rng(0).normal(0, 0.02, (2, 6, 15, 3))
    for absolute in (False, True):
        def change(data, absolute=absolute):
            without_joints(data)
            for i, side in enumerate(SIDES):
                data['smplx'][f'{side}_hand_pose'] = relaxed[i] + absolute * hand_means(layer)[i].reshape(15, 3)
        edit(copy, change, 'relative_train.npz', f'relaxed{absolute}.npz')
        fingers = make(f'relaxed{absolute}.npz', copy).fingers
        assert fingers.absolute == absolute and fingers.source == 'numbers' and 2 * min(fingers[2:]) < max(fingers[2:])


def test_fingers_that_nothing_decides_are_refused(make, copy):
    edit(copy, without_joints)
    said = r'relative_train\.npz does not say .*mean hand\| is 0\.\d+ rad .* is 0\.\d+ rad .*flat_hand_mean'
    with pytest.raises(ValueError, match=said):
        _ = make('relative_train.npz', copy).fingers
    with pytest.raises(ValueError, match='body_model_root .* there is no evidence'):
        _ = make('relative_train.npz', copy, body_model_root=None).fingers
    with pytest.raises(ValueError, match='does not say'):
        PersonDataset(make('relative_train.npz', copy))
    assert make('relative_train.npz', copy, flat_hand_mean=False).fingers.source == 'option'
    with pytest.raises(ValueError, match='relative to the mean hand: set body_model_root'):
        _ = make('relative_train.npz', copy, flat_hand_mean=False, body_model_root=None).fingers
    assert converted(make('relative_train.npz', copy, flat_hand_mean=True, body_model_root=None)).records[0]['hand_pose'].any()


def test_a_word_that_the_joints_contradict_is_refused(make, copy):
    edit(copy, lambda data: data['misc'].update(flat_hand_mean=True))
    with pytest.raises(ValueError, match=r"misc\['flat_hand_mean'\] = True, but .* mm if absolute, [01]\.\d mm if relative"):
        _ = make('relative_train.npz', copy).fingers
    assert make('relative_train.npz', copy, flat_hand_mean=False).fingers == (False, 'option', None, None)


def test_joints_about_their_root_have_no_depth(make, copy):
    def align(data):
        data['keypoints3d_smplx'][..., :3] -= data['keypoints3d_smplx'][:, :1, :3]
    edit(copy, align)  # misc says otherwise: the numbers are believed
    part = converted(make(root=copy))
    assert not any(has(record, 'has_abs_depth') or has(record, 'has_K') for record in part.records)
    assert part.unlabelled['camera_away_from_joints'] == 5
    edit(copy, lambda data: data['misc'].update(kps3d_root_aligned=True), 'absolute_val.npz')
    part = converted(make('absolute_val.npz', copy))
    assert not any(has(record, 'has_abs_depth') for record in part.records) and has(part.records[0], 'has_kpts3d')


def test_cameras_of_another_image_size_are_not_believed(make, copy):
    edit(copy, lambda data: data['meta'].update(focal_length=2 * data['meta']['focal_length']))
    part = converted(make(root=copy))
    assert part.unlabelled['camera_away_from_joints'] == 5 and not part.records['focal'].any()


def test_bodies_of_smpl(make, copy, release):
    def to_smpl(data):
        params = data.pop('smplx')
        pose = np.concatenate((params['body_pose'].reshape(6, 63), np.full((6, 6), 0.25)), axis=1)
        data['smpl'] = dict(body_pose=pose, **{name: params[name] for name in ('global_orient', 'transl', 'betas')})
    edit(copy, to_smpl)
    part = converted(make(root=copy, body_model_root=None))
    record = part.records[0]
    np.testing.assert_allclose(record['body_pose'], release[1][0][0].body_pose, atol=1e-6)
    assert (record['smpl_tail'] == 0.25).all() and not has(record, 'has_left_hand_pose') and not has(record, 'has_expression')
    sample = PersonDataset(make(root=copy, body_model_root=None))[0]
    assert sample['has_betas'] == 0 and sample['pose_valid'][:22].all() and not sample['pose_valid'][22:].any()


def test_samples(make, release):
    persons = PersonDataset(make(), PIPELINE)
    batch = hmr_collate([persons[i] for i in range(len(persons))])
    assert len(persons) == 5 and batch['inputs'].shape[0] == 5
    hands = HandDataset(make(), [dict(type='LoadImage'), dict(type='HandCrop'), dict(type='PackHandInputs')])
    keys = [hands[i]['data_samples'].key for i in range(len(hands))]
    assert len(keys) == 9 and f'humandata/train/{NO_LEFT_BOX:07d}/left' not in keys and 'humandata/train/0000000/right' in keys
    sample = hands.get_data_info(0)
    assert sample['has_body_pose'] == 1 and sample['has_betas'] == 0
    assert not check_store(persons.store.folder)
    again = pickle.loads(pickle.dumps(make()))
    assert np.array_equal(converted(again).records, converted(make()).records)


def test_images_that_cannot_be_used(make, copy):
    (copy / 'images' / '000.jpg').unlink()
    path = copy / 'images' / '001.jpg'
    path.write_bytes(path.read_bytes()[:300])
    edit(copy, lambda data: data['meta']['width'].__setitem__(2, 999))
    part = converted(make(root=copy))
    assert part.dropped == dict(missing_image=1, corrupt_image=1, image_of_other_size=1, not_finite=1)
    assert rows_of(part) == [4, 5]


def kid(data):
    data['smplx']['betas_extra'] = np.array([0, 1.0, 0, 0, 0, 0])


def outside(data):
    data['bbox_xywh'][0, 0] = 5000


@pytest.mark.parametrize('change, reason', [(kid, 'kid'), (outside, 'person_outside_image')])
def test_persons_left_out(make, copy, change, reason):
    edit(copy, change)
    part = converted(make(root=copy))
    assert part.dropped == {'not_finite': 1, reason: 1}


@pytest.mark.parametrize('change, said', [
    (lambda d: d.pop('bbox_xywh'), 'bbox_xywh'), (lambda d: d.update(misc='nothing'), 'misc is a'),
    (lambda d: d.update(bbox_xywh=d['bbox_xywh'][:3]), 'bbox_xywh has the shape'),
    (lambda d: d.update(keypoints2d_smplx=d['keypoints2d_smplx'][:, :20]), 'keypoints2d_smplx has the shape'),
    (lambda d: d['smplx'].update(left_hand_pose=np.zeros((6, 12))), 'left_hand_pose has 12 numbers'),
    (lambda d: d['smplx'].update(transl=np.zeros((5, 3))), 'transl is not one row'),
    (lambda d: d['meta'].update(gender=['robot'] * 6), 'robot'),
    (lambda d: d['meta'].update(focal_length=[1, 2, 3, 4]), 'focal')])
def test_files_of_another_form_are_named(make, copy, change, said):
    edit(copy, change)
    with pytest.raises(DamagedFileError, match='relative_train.npz') as error:
        converted(make(root=copy))
    assert said in str(error.value)


class Evil:
    def __reduce__(self):
        return print, ('ran',)


def test_code_is_not_run(make, copy, capsys):
    edit(copy, lambda data: data.update(misc=np.array(dict(flat_hand_mean=Evil()), dtype=object)))
    with pytest.raises(UnsafeFileError, match=r'relative_train\.npz asks to load .*print'):
        _ = make(root=copy).fingers
    assert 'ran' not in capsys.readouterr().out.splitlines()[1:]


def test_damage_of_any_byte_is_seen(make, copy, release):
    """Archives have checksums: a record is right, or the file is named."""
    raw, rng = (copy / 'relative_train.npz').read_bytes(), np.random.default_rng(0)
    truth = converted(make(root=release[0])).records
    for number in range(24):
        if number % 3 == 0:
            damaged = raw[:rng.integers(len(raw))]
        else:
            damaged = bytearray(raw)
            damaged[rng.integers(len(raw))] ^= 1 << rng.integers(8)
        (copy / 'relative_train.npz').write_bytes(bytes(damaged))
        try:
            records = converted(make(root=copy)).records
        except (DamagedFileError, UnsafeFileError) as error:
            assert 'relative_train.npz' in str(error)
        else:
            assert np.array_equal(records, truth)


def test_options(make, release, copy, tmp_path):
    assert make(None).file.name == 'relative_train.npz' and make(None, split='val').file.name == 'absolute_val.npz'
    (copy / 'absolute_val.npz').rename(copy / 'p1_train.npz')
    with pytest.raises(ValueError, match=r'p1_train\.npz, relative_train\.npz of the split .train.: set file'):
        _ = make(None, copy).file
    for wrong in (dict(stride=0), dict(body_padding=0.5), dict(split='all')):
        with pytest.raises(ValueError, match=f'{next(iter(wrong))} is '):
            make(**wrong)
    with pytest.raises(FileNotFoundError, match='none.npz does not exist'):
        _ = make('none.npz').file
    with pytest.raises(FileNotFoundError, match='<name>train<name>.npz'):
        _ = make(None, tmp_path / 'nowhere').file
    assert rows_of(converted(make(stride=2))) == [0, 2, 4]
    moved = copy / 'below'
    moved.mkdir()
    (copy / 'images').rename(moved / 'images')
    assert converted(make('relative_train.npz', copy, images='below')).paths[0] == 'below/images/000.jpg'
