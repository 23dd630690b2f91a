"""3DPW out into the world and the pickles and back through the reader; each trap and each fault planted once."""
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pw3d_fixture import COUNT, INVALID, TEST, dump, write_pw3d

from hmradapter.body_models import SMPLLayer
from hmradapter.datasets import PersonDataset
from hmradapter.datasets.record import check_records
from hmradapter.datasets.sources import PW3DSource
from hmradapter.fileio import DamagedFileError, UnsafeFileError, load_pickle
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import DATASETS
from hmradapter.structures import hmr_collate
from hmradapter.structures.joints import WHOLE137_FROM_SMPLX144

PIPELINE = [dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'),
            dict(type='PackPersonInputs')]


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('pw3d')
    return root, write_pw3d(root, open_body_models)


@pytest.fixture
def copy(release, tmp_path):
    """A release that a test may damage."""
    root = tmp_path / 'data'
    shutil.copytree(release[0], root, ignore=shutil.ignore_patterns('prepared'))
    return root


@pytest.fixture
def build(release, open_body_models):
    def make(root=None, pipeline=(), test_mode=True, **options):
        return PersonDataset(PW3DSource(str(root or release[0]), str(open_body_models), **options), pipeline,
                             test_mode=test_mode)
    return make


def edit(root, sequence, change, split='test'):
    path = Path(root) / 'sequenceFiles' / split / f'{sequence}.pkl'
    content = load_pickle(path)
    change(content)
    dump(path, content)


def project(points, K):
    return (points @ K.T)[:, :2] / points[:, 2:]


@pytest.mark.parametrize('form', ['official', 'coco'])
def test_persons_come_back(build, release, open_body_models, form):
    dataset, truth = build(annotations=form), release[1]
    wanted = {key: one for key, one in truth.items() if key.startswith('3dpw/test')}
    invalid = f'3dpw/test/{INVALID[0]}/{INVALID[2]:05d}/{INVALID[1]}'  # the json knows nothing of invalid camera poses
    keys = [dataset.get_data_info(i)['key'] for i in range(len(dataset))]
    assert sorted(keys) == sorted([*wanted, invalid] if form == 'coco' else wanted)
    layers = {gender: SMPLLayer(open_body_models / 'smpl', gender=gender) for gender in ('male', 'female')}
    for i, key in enumerate(keys):
        if key == invalid:
            continue
        info, record, one = dataset.get_data_info(i), dataset.store.record(i), wanted[key]
        check_records(np.array([record]))
        vertices = info['vertices'].numpy()
        assert np.abs(vertices - one['vertices']).max() < 1e-5
        K = np.array([[info['focal'][0], 0, info['princpt'][0]], [0, info['focal'][1], info['princpt'][1]], [0, 0, 1]])
        assert np.abs(project(vertices, K) - project(one['vertices'], one['K'])).max() < 0.01
        shape = torch.from_numpy(record['betas'][None, :10])
        body_pose = torch.cat((info['pose'][1:22], _turns(record['smpl_tail'])))[None]
        out = layers[info['gender']](info['pose'][None, :1], body_pose, shape, info['transl'][None])
        assert (out.vertices[0] - info['vertices']).abs().max() < 1e-5  # the parameters are the mesh's, moved about the root
        labelled = [row for row, joint in enumerate(WHOLE137_FROM_SMPLX144) if joint < 22]
        order = [WHOLE137_FROM_SMPLX144[row] for row in labelled]
        assert np.abs(info['keypoints_3d'][labelled, :3].numpy() - one['joints'][order]).max() < 1e-5
        assert np.abs(info['keypoints_2d'][labelled, :2].numpy() - project(one['joints'], one['K'])[order]).max() < 0.01
        assert info['keypoints_3d'][:, 3].sum() == len(labelled)  # nothing else
        low, high = project(one['vertices'], one['K']).min(0), project(one['vertices'], one['K']).max(0)
        margin = 3 if form == 'coco' else 0
        if form == 'official':
            low, high = low.clip(0), high.clip(max=np.array(one['size']) - 1)
        np.testing.assert_allclose(info['bbox_xywh'], [*(low - margin), *(high - low + 2 * margin)], atol=0.01)
        assert info['img_size'].tolist() == list(one['size']) and key.split('/')[2] in info['img_path']
        assert info['pose_valid'].tolist() == [1] * 22 + [0] * 31 and not info['has_betas'] and not info['betas'].any()
    assert dataset.metainfo['annotations'] == form


def _turns(values):
    return axis_angle_to_rotmat(torch.from_numpy(values))


def test_detections_are_nose_eyes_and_ears_only(build):
    dataset = build()
    by_key = {dataset.get_data_info(i)['key']: i for i in range(len(dataset))}
    record = dataset.store.record(by_key['3dpw/test/downtown_walk_00/00001/1'])
    np.testing.assert_allclose(record['kpts2d'][55], [31, 20, 0.5])
    np.testing.assert_allclose(record['kpts2d'][58], [40, 26, 1.0])  # the right ear; confidence stays in 0..1
    assert not record['kpts2d'][[56, 57, 59]].any() and record['kpts2d'][19, 2] == 1  # an elbow is the body's
    unseen = dataset.store.record(by_key['3dpw/test/courtyard_box_01/00003/0'])
    assert not unseen['kpts2d'][55:60].any()
    manifest = dataset.store.manifest
    assert manifest['dropped'] == dict(camera_pose_not_valid=1) and manifest['unlabelled'] == dict(no_face_in_2d=1)
    assert manifest['persons'] == 2 * COUNT - 1 + COUNT


def test_each_convention_matters(release, open_body_models):
    """What a reader gets that misses a trap: centimetres, so the tolerances above do hold the traps."""
    content = load_pickle(release[0] / 'sequenceFiles' / 'test' / 'downtown_walk_00.pkl')
    assert isinstance(content['sequence'], str) and content['genders'] == ['m', 'f']
    layers = {gender: SMPLLayer(open_body_models / 'smpl', gender=gender) for gender in ('male', 'female')}
    roots = {gender: layer.root_joint() for gender, layer in layers.items()}
    assert min(root.norm() for root in roots.values()) > 0.05                                     # about the root
    assert (layers['male'].v_template - layers['female'].v_template).abs().max() > 0.01           # gender
    assert np.abs(np.diff(content['cam_poses'], axis=0)).max() > 0.05                             # a camera for each frame
    assert np.shape(content['betas'][0]) == (12,) and np.shape(content['poses2d'][0]) == (COUNT, 3, 18)


def test_splits_stride_and_meshes(build, release):
    train = build(split='train', test_mode=False, pipeline=PIPELINE)
    assert len(train) == COUNT and not train.store.has_vertices and 'vertices' not in train[0]['data_samples'].gt
    assert len(build(stride=3)) == 2 + 2 + 2 and build(stride=3).metainfo['stride'] == 3
    kept = build(split='train', keep_vertices=True)
    key = kept.get_data_info(1)['key']
    np.testing.assert_allclose(kept.get_data_info(1)['vertices'], release[1][key]['vertices'], atol=1e-5)


def test_samples_of_a_batch(release, open_body_models):
    source = dict(type='PW3DSource', data_root=str(release[0]), body_model_root=str(open_body_models))
    dataset = DATASETS.build(dict(type='PersonDataset', source=source, pipeline=PIPELINE, test_mode=True))
    batch = hmr_collate([dataset[i] for i in range(len(dataset))])
    sample = batch['data_samples']
    assert sample.gt.has_vertices.all() and set(sample.metainfo['gender']) == {'male', 'female'}
    assert (sample.gt.heatmap_joints[:, 0, :3] - torch.tensor([6.0, 8, 8])).abs().max() < 5  # pelvises are in their crops
    assert not torch.stack([value.float().isnan().any() for *_, value in sample.tensors()]).any()


def test_faults_are_counted(copy, build):
    walk, box = TEST
    images = copy / 'imageFiles' / walk
    (images / 'image_00000.jpg').unlink()
    cut = (images / 'image_00001.jpg').read_bytes()[:-50]
    (images / 'image_00001.jpg').write_bytes(cut)

    def spoil(content):
        content['poses'][0][3, 5] = np.nan
        content['trans'][1][3, 0] = 1e200
    edit(copy, walk, spoil)

    def move(content):
        content['jointPositions'][0][0] += 0.2          # another body's joints
        content['trans'][0][1] += [50, 0, 0]            # far beside the image, joints with it
        content['jointPositions'][0][1].reshape(24, 3)[:] += [50, 0, 0]
    edit(copy, box, move)
    dataset = build(copy)
    assert dataset.store.manifest['dropped'] == dict(
        missing_image=2, corrupt_image=2, not_finite=2, camera_pose_not_valid=1, joints_away_from_model=1,
        person_outside_image=1)
    assert len(dataset) == 1 + 2


@pytest.mark.parametrize('change', [
    lambda content: content.pop('cam_poses'), lambda content: content['genders'].append('x'),
    lambda content: content['poses'].pop(), lambda content: content['betas'].__setitem__(0, np.zeros(4)),
    lambda content: content['cam_poses'].__imul__(2), lambda content: content.__setitem__('genders', [])])
def test_a_damaged_sequence_is_left_out(copy, build, change):
    edit(copy, 'downtown_walk_00', change)
    dataset = build(copy)
    assert dataset.store.manifest['dropped'] == dict(damaged_sequence=1) and len(dataset) == COUNT


@pytest.mark.parametrize('nothing', [0.0, np.nan])
def test_a_frame_that_nobody_has_a_camera_for_costs_itself_only(copy, build, nothing):
    def lose(content):
        for valid in content['campose_valid']:
            valid[1] = 0
        content['cam_poses'][1] = nothing
    edit(copy, 'downtown_walk_00', lose)
    dataset = build(copy)
    assert dataset.store.manifest['dropped'] == dict(camera_pose_not_valid=3)  # two actors, and the one of the release
    assert len(dataset) == 3 * COUNT - 3
    edit(copy, 'downtown_walk_00', lambda content: content['campose_valid'][0].__setitem__(1, 1))
    assert build(copy).store.manifest['dropped'] == dict(damaged_sequence=1)  # somebody calls it valid


def test_readme_spelling_and_old_files(copy, build):
    edit(copy, 'downtown_walk_00', lambda content: content.update(gender=content.pop('genders')))
    assert build(copy).store.manifest['persons'] == 3 * COUNT - 1
    (copy / 'sequenceFiles' / 'test' / 'courtyard_box_01.pkl').write_bytes(b'cos\nsystem\n(S"true"\ntR.')
    with pytest.raises(UnsafeFileError, match='courtyard_box_01.pkl'):
        build(copy)


def test_json_with_other_sizes_or_boxes_outside(copy, build):
    path = copy / '3DPW_test.json'
    content = json.loads(path.read_text())
    content['images'][0]['width'] += 1
    content['annotations'][-1]['bbox'] = [500, 20, 30, 30]
    del content['annotations'][-2]['smpl_param']['gender']
    path.write_text(json.dumps(content))
    dataset = build(copy, annotations='coco')
    assert dataset.store.manifest['dropped'] == dict(image_of_other_size=2, person_outside_image=1)
    assert 'neutral' in [dataset.get_data_info(i)['gender'] for i in range(len(dataset))]
    del content['annotations'][-2]['smpl_param']
    path.write_text(json.dumps(content))
    assert build(copy, annotations='coco').store.manifest['dropped']['damaged_sequence'] == 1
    content['images'][1]['id'] = content['images'][0]['id']
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedFileError, match='one id'):
        build(copy, annotations='coco')


def test_what_cannot_be_used_is_said(copy, build, open_body_models, tmp_path):
    with pytest.raises(FileNotFoundError, match='sequenceFiles/test.*pkl does not exist'):
        build(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match='3DPW_train.json'):
        build(copy, split='train', annotations='coco')
    for wrong in (dict(split='val'), dict(annotations='smplx'), dict(stride=0)):
        with pytest.raises(ValueError, match=f'{next(iter(wrong))} is '):
            build(copy, **wrong)
    with pytest.raises(FileNotFoundError, match='SMPL'):
        PersonDataset(PW3DSource(str(copy), str(tmp_path)))
    assert cv2.imread(str(copy / 'imageFiles' / 'courtyard_box_01' / 'image_00000.jpg')).shape[:2] == (192, 108)
