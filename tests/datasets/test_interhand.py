"""InterHand2.6M out into its world and files and back through the reader; each trap and each fault planted once."""
import json
import pickle
import shutil

import cv2
import numpy as np
import pytest
from hand_samples import LOSSES, posed, project, rows, train_once

from hmradapter.body_models import MANOLayer
from hmradapter.body_models.model_files import read_model_file
from hmradapter.datasets import HandDataset
from hmradapter.datasets.record import FLAGS, HAND, SIDES, check_records
from hmradapter.datasets.sources import InterHandSource
from hmradapter.fileio import DamagedFileError, load_json
from hmradapter.structures.joints import HAND21_FROM_INTERHAND
from hmradapter.synthetic.layouts import write_interhand
from hmradapter.synthetic.layouts.interhand import LYING, SPLITS, UPRIGHT

TOUCH = 'interhand/train/Capture0/0390_dh_touchROM/cam{}/{}'
LACKING = dict(left_wrist_not_known=2, left_hand_without_mano=4)


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('interhand')
    return root, write_interhand(root, open_body_models)


@pytest.fixture
def copy(release, tmp_path):
    """A release that a test may damage."""
    root = tmp_path / 'data'
    shutil.copytree(release[0], root, ignore=shutil.ignore_patterns('prepared'))
    return root


@pytest.fixture
def source(release, open_body_models):
    return lambda root=None, models=None, **options: InterHandSource(str(root or release[0]), str(models or open_body_models),
                                                                     **options)


@pytest.fixture(scope='module')
def layers(open_body_models):
    return [MANOLayer(str(open_body_models / 'mano'), side) for side in SIDES]


def edit(root, name, change, split='train'):
    path = root / 'annotations' / split / f'InterHand2.6M_{split}_{name}.json'
    content = load_json(path)
    change(content)
    path.write_text(json.dumps(content))


def has(record, label) -> list[bool]:
    """Whether (left, right) hands of a record have a label."""
    return [bool(int(record['flags']) >> FLAGS.index(f'has_{side}_hand_{label}') & 1) for side in SIDES]


@pytest.mark.parametrize('split', SPLITS)
def test_hands_come_back(source, release, layers, split):
    store = source(split=split).prepare()
    wanted = {key: one for key, one in release[1].items() if key.startswith(f'interhand/{split}/')}
    assert sorted(row[0] for row in rows(store)) == sorted(wanted) and len(wanted) == 2 * len(SPLITS[split])
    assert store.manifest['dropped'] == {} and store.manifest['unlabelled'] == (LACKING if split == 'train' else {})
    for key, record in rows(store):
        check_records(record[None])
        one = wanted[key]
        assert record['hw'].tolist() == list(one['size'][::-1]) and record['kind'] == HAND
        K = np.array([[record['focal'][0], 0, record['princpt'][0]], [0, record['focal'][1], record['princpt'][1]], [0, 0, 1]])
        np.testing.assert_allclose(K, one['K'], atol=1e-4)
        for i, side in enumerate(SIDES):
            hand = one['hands'].get(side)
            if hand is None:
                assert not any(record[name][i].any() for name in record.dtype.names if name.startswith(('hand_', 'bbox_hand')))
                assert not any(has(record, label)[i] for label in ('pose', 'global', 'betas', 'transl', 'kpts2d', 'kpts3d'))
                continue
            known = hand['known'].astype(float)
            pixels = project(hand['joints'], one['K'])
            assert np.abs(record['hand_kpts2d'][i] - np.c_[pixels, np.ones(21)] * known[:, None]).max() < 0.01
            deep = known * known[0]
            assert np.abs(record['hand_kpts3d'][i] - np.c_[hand['joints'], np.ones(21)] * deep[:, None]).max() < 1e-5
            inner = pixels[known > 0]
            np.testing.assert_allclose(record['bbox_hand'][i], [*inner.min(0), *inner.max(0)], atol=0.01)
            assert has(record, 'pose')[i] == has(record, 'betas')[i] == has(record, 'transl')[i] == hand['has_mano']
            if hand['has_mano']:
                vertices, joints = posed(layers[i], record, i)
                assert np.abs(vertices - hand['vertices']).max() < 1e-5
                assert np.abs(project(vertices, K) - project(hand['vertices'], one['K'])).max() < 0.01
                assert 1e-4 < np.abs(joints - hand['joints']).max() < 0.01  # joints are not the model's


def test_what_a_frame_lacks(source, layers):
    found = dict(rows(source().prepare()))
    for camera in (UPRIGHT, LYING):
        assert has(found[TOUCH.format(camera, 17)], 'pose') == [True, True]
        lost, wristless = found[TOUCH.format(camera, 20)], found[TOUCH.format(camera, 23)]
        assert has(lost, 'pose') == [False, True] and has(lost, 'kpts3d') == [True, True]
        assert has(wristless, 'kpts3d') == [False, True] and has(wristless, 'kpts2d') == [True, True]
        assert not wristless['hand_kpts3d'][0].any() and wristless['hand_kpts2d'][0, :, 2].tolist() == [0, *[1] * 20]
        assert wristless['hand_kpts2d'][1, :, 2].tolist() == [1, 0, *[1] * 19]  # thumb1, in data.json valid, in joint_3d not
        assert has(wristless, 'pose') == [True, True]
    upright, lying = (found[TOUCH.format(camera, 17)] for camera in (UPRIGHT, LYING))
    assert upright['hw'].tolist() == [512, 334] and lying['hw'].tolist() == [334, 512] and int(lying['view']) == LYING
    left = posed(layers[0], upright, 0)[1] - posed(layers[1], upright, 1)[1]
    assert left[0] @ upright['cam_R'][0] != 0 and (left[:, 0] > 0).mean() > 0.5  # left hands are right in the picture, mostly


def test_each_convention_matters(release, open_body_models, layers):
    """What a reader gets that misses a trap: centimetres, so the tolerances above do hold the traps."""
    folder, key = release[0] / 'annotations' / 'train', TOUCH.format(UPRIGHT, 17)
    files = {name: load_json(folder / f'InterHand2.6M_train_{name}.json') for name in
             ('data', 'camera', 'joint_3d', 'MANO_NeuralAnnot')}
    cameras, joints = files['camera']['0'], files['joint_3d']
    rotation, position = (np.array(cameras[name][str(UPRIGHT)]) for name in ('camrot', 'campos'))
    assert np.abs(position).max() > 50                                                   # millimetres
    assert np.abs(rotation @ position - position).max() > 100                            # R (X - c), not R X + c
    assert joints['0']['17'] != joints['3']['17']                                        # frames are numbered by capture
    hand = files['MANO_NeuralAnnot']['0']['17']['left']
    rest = layers[0].root_joint(layers[0].hand_mean.new_tensor(hand['shape'])[None])[0].numpy()
    assert np.linalg.norm(rotation @ rest - rest) > 0.02                                 # a hand turns about its wrist
    assert layers[0].hand_mean.norm() > 0.3                                              # residual fingers
    world = np.array(joints['0']['17']['world_coord'])
    truth = release[1][key]['hands']['left']['joints']
    seen = (world[21:] - position) @ rotation.T / 1000
    np.testing.assert_allclose(seen[list(HAND21_FROM_INTERHAND)], truth, atol=1e-9)      # tips first, left hand last
    assert np.linalg.norm(seen - truth, axis=1).max() > 0.05
    box = files['data']['annotations'][0]['bbox']
    both = project(np.concatenate([one['joints'] for one in release[1][key]['hands'].values()]), release[1][key]['K'])
    assert (np.array(box[2:]) > np.ptp(both, axis=0)).all()                              # one box is around both hands
    assert np.shape(files['data']['annotations'][0]['joint_valid']) == (42, 1)
    assert files['data']['images'][0]['capture'] == 0 and files['data']['images'][1]['camera'] == str(LYING)  # numbers and text
    assert cv2.imread(str(release[0] / 'images/train' / files['data']['images'][1]['file_name']), -1).ndim == 2  # grey


def test_left_hands_of_the_released_model(source, release, open_body_models, layers, tmp_path):
    """MANO_LEFT as it is released has a sign error in its shapes, which must not move left hands."""
    (tmp_path / 'mano').mkdir()
    for side in ('LEFT', 'RIGHT'):
        arrays = read_model_file(open_body_models / 'mano' / f'MANO_{side}.pkl', 'MANO')
        if side == 'LEFT':
            arrays = dict(arrays, shapedirs=arrays['shapedirs'] * np.array([-1.0, 1, 1])[:, None])
        np.savez(tmp_path / 'mano' / f'MANO_{side}.npz', **arrays)
    for key, record in rows(source(models=tmp_path).prepare()):
        left = release[1][key]['hands'].get('left')
        if left is not None and left['has_mano']:
            assert np.abs(posed(layers[0], record, 0)[0] - left['vertices']).max() < 1e-5
    (tmp_path / 'mano' / 'MANO_RIGHT.npz').unlink()
    with pytest.warns(UserWarning, match='cannot tell'):  # as it is, for lack of a right one to compare it with
        wrong = MANOLayer(str(tmp_path / 'mano'), 'left')
    key, record = next(row for row in rows(source().prepare()) if row[0] == TOUCH.format(UPRIGHT, 17))
    assert np.abs(posed(wrong, record, 0)[0] - release[1][key]['hands']['left']['vertices']).max() > 1e-3


def test_options(source):
    assert len(source(hand_types=('right', 'interacting')).prepare()) == 8
    assert len(source(camera_stride=2).prepare()) == 6
    strided = source(stride=2).prepare()  # of each sequence: frames 17 and 23; 90; 17
    assert [int(row[1]['frame']) for row in rows(strided)] == [17, 17, 23, 23, 90, 90, 17, 17]
    keypoints = source(mano=False).prepare()
    assert len(keypoints) == 12 and keypoints.manifest['unlabelled'] == dict(left_wrist_not_known=2)
    assert not any(any(has(row[1], 'pose')) for row in rows(keypoints)) and keypoints.manifest['body_models'] == {}


def test_keypoints_alone_need_no_body_model(release, source):
    alone = pickle.loads(pickle.dumps(InterHandSource(str(release[0]), mano=False)))
    assert [alone(unit).records.tobytes() for unit in alone.units] == [source(mano=False)(unit).records.tobytes()
                                                                      for unit in alone.units]
    with pytest.raises(ValueError, match='needs body_model_root'):
        InterHandSource(str(release[0]))


def test_faults_of_images_are_counted(copy, source):
    def spoil(content):
        images = content['images']                # 17, 20 and 23 of touchROM, each upright and lying, and so on
        images[2]['height'] += 2
        images[3]['frame_idx'] = 17               # the list says another frame than the path
        content['images'].append(dict(images[4], id=1))
        content['annotations'].append(dict(content['annotations'][4], id=1, image_id=1))
        del content['annotations'][5]             # of images[5]
    edit(copy, 'data', spoil)
    touch = copy / 'images/train/Capture0/0390_dh_touchROM'
    (touch / f'cam{UPRIGHT}/image17.jpg').unlink()
    path = touch / f'cam{LYING}/image17.jpg'
    path.write_bytes(path.read_bytes()[:-20])
    shutil.rmtree(copy / f'images/train/Capture0/ROM03_RT_No_Occlusion/cam{LYING}')
    assert source(copy).prepare().manifest['dropped'] == dict(
        image_of_other_size=1, image_of_other_name=1, image_listed_twice=1, image_without_annotation=1, missing_image=1,
        corrupt_image=1, view_without_images=1)


def test_faults_of_labels_are_counted(copy, source):
    def spoil_cameras(content):
        content['3']['camrot'][str(LYING)][0][0] += 0.5
        del content['0']['campos'][str(LYING)]
    edit(copy, 'camera', spoil_cameras)

    def spoil_joints(content):
        del content['0']['20']
        content['0']['90']['world_coord'][7][1] = 1e200
        content['3']['17']['world_coord'][21][0] += 100_000.0       # a left thumb's tip, far from its hand
    edit(copy, 'joint_3d', spoil_joints)

    def spoil_hands(content):
        content['0']['17']['left']['pose'] = content['0']['17']['left']['pose'][:45]
        content['0']['17']['right']['trans'][1] += 0.03             # centimetres away
        content['0']['23']['right']['shape'][0] = float('nan')
        content['0']['23']['left']['pose'][5] += 2.0
    edit(copy, 'MANO_NeuralAnnot', spoil_hands)
    store = source(copy).prepare()
    assert store.manifest['dropped'] == dict(image_without_camera=6, frame_without_joints=1, joints_not_finite=1,
                                             joints_apart=1)
    assert store.manifest['unlabelled'] == dict(left_mano_damaged=1, right_mano_away_from_joints=1, right_mano_damaged=1,
                                                left_mano_away_from_joints=1, left_wrist_not_known=1,
                                                left_hand_without_mano=1)
    assert len(store) == 3 and not any(any(has(record, 'pose')) or record['hand_pose'].any() for _, record in rows(store))


def test_hands_outside_their_image(copy, source):
    """A camera that looks elsewhere; a hand that lies beside the picture while the other is in it."""
    edit(copy, 'camera', lambda content: content['3']['princpt'].update({str(UPRIGHT): [5000.0, 50.0]}))
    edit(copy, 'joint_3d', lambda content: [content['0']['17']['world_coord'].__setitem__(joint, [1e5, 1e5, 1e5])
                                            for joint in range(21)])
    edit(copy, 'data', lambda content: content['annotations'][6].update(bbox=[5, 5, 10, 10]))
    store = source(copy).prepare()
    assert store.manifest['dropped'] == dict(no_hand_in_image=2, joints_outside_box=1)
    assert store.manifest['unlabelled']['right_hand_outside_image'] == 2
    assert store.manifest['unlabelled']['right_mano_away_from_joints'] == 2


@pytest.mark.parametrize('name, change', [
    ('data', lambda content: content['images'][0].pop('camera')),
    ('data', lambda content: content['images'][0].__setitem__('frame_idx', -1)),
    ('data', lambda content: content['images'][0].__setitem__('id', 1001)),
    ('data', lambda content: content['images'].__setitem__(0, 7)),
    ('data', lambda content: content['images'].clear()),
    ('data', lambda content: content['annotations'][0].__setitem__('hand_type', 'both')),
    ('data', lambda content: content['annotations'][0].__setitem__('image_id', 7)),
    ('data', lambda content: content['annotations'][0]['joint_valid'].pop()),
    ('camera', lambda content: content['0'].pop('focal')),
    ('camera', lambda content: content.__setitem__('0', [])),
    ('camera', lambda content: content['0']['campos'].update(cam=[0, 0, 0])),
    ('joint_3d', lambda content: content.__setitem__('first', {'17': {}})),
    ('joint_3d', lambda content: content.__setitem__('4', None)),
    ('MANO_NeuralAnnot', lambda content: content['0'].__setitem__('1x', dict(left=1)))])
def test_damaged_files_are_named(copy, source, name, change):
    edit(copy, name, change)
    with pytest.raises(DamagedFileError, match=f'InterHand2.6M_train_{name}.json cannot be read as'):
        source(copy).prepare()


@pytest.mark.parametrize('name', ['data', 'camera', 'joint_3d', 'MANO_NeuralAnnot'])
def test_cut_and_missing_files_are_named(copy, source, name):
    path = copy / 'annotations' / 'train' / f'InterHand2.6M_train_{name}.json'
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedFileError, match=path.name):
        source(copy).prepare()
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf'{path.name} does not exist[\s\S]*mks0601[\s\S]*CC BY-NC'):
        source(copy).prepare()


def test_frames_of_another_form_are_counted(copy, source):
    edit(copy, 'joint_3d', lambda content: content['0'].update({'17': 3, '20': {}, '23': dict(content['0']['23'], joint_valid=1)
                                                                }))
    edit(copy, 'MANO_NeuralAnnot', lambda content: content['0'].update({'90': None}) or content['3']['17'].update(left=[1]))
    store = source(copy).prepare()
    assert store.manifest['dropped'] == dict(joints_not_finite=6)
    assert store.manifest['unlabelled'] == dict(right_hand_without_mano=2, left_mano_damaged=2, left_hand_without_mano=2)


def test_what_cannot_be_used_is_said(copy, source, tmp_path):
    for wrong in (dict(split='testing'), dict(hand_types=()), dict(hand_types='right'), dict(hand_types=('both',))):
        with pytest.raises(ValueError, match=f'{next(iter(wrong))} is '):
            source(copy, **wrong)
    with pytest.raises(ValueError, match='stride is 0'):
        source(copy, camera_stride=0)
    with pytest.raises(FileNotFoundError, match='No MANO model'):
        source(models=tmp_path).prepare()


def test_a_source_travels_without_what_it_read(source):
    one = source()
    parts = [one.convert(unit) for unit in one.units]
    raw = pickle.dumps(one)
    assert len(raw) < 2000
    twin = pickle.loads(raw)
    assert all(np.array_equal(twin.convert(unit).records, part.records) for unit, part in zip(one.units, parts, strict=True))


def test_samples_are_hands_on_their_side(source, release):
    dataset = HandDataset(source())
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert sum(info['hand'] == 'left' for info in infos) == 10 and sum(info['hand'] == 'right' for info in infos) == 8
    assert not any(info['has_body_pose'] or info['body_pose'].any() for info in infos)
    lost = next(info for info in infos if info['key'] == TOUCH.format(UPRIGHT, 20) + '/left')
    assert lost['has_betas'] == lost['has_hand_pose'] == lost['has_global_orient'] == 0 and lost['keypoints_3d'][:, 3].all()


@pytest.mark.filterwarnings('ignore:.*RANDOM WEIGHTS')
def test_an_expert_learns_from_what_is_labelled(source, open_body_models):
    samples, losses = train_once(source(), open_body_models)
    assert not samples.guidance.body_pose.any() and not samples.guidance.has_body_pose.any()
    assert samples.gt.has_hand_pose.sum() == samples.gt.has_betas.sum() == 14 and len(samples.gt.has_betas) == 18
    assert set(losses) == {f'loss_{name}' for name in LOSSES} and all(0 < loss < np.inf for loss in losses.values())
    _, keypoints = train_once(source(mano=False), open_body_models)
    assert keypoints['loss_keypoints_2d'] > 0 and keypoints['loss_keypoints_3d'] > 0
    assert keypoints['loss_hand_pose'] == keypoints['loss_betas'] == keypoints['loss_vertices'] == 0
