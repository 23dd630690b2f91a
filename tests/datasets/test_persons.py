"""Person samples: ARCTIC's bodies and true meshes come back, and the whole-body expert takes them."""
import copy
import pickle
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from arctic_fixture import IMAGES, OFFSET, SEQUENCES, write_arctic

from hmradapter.body_models import SMPLXLayer
from hmradapter.datasets import HandDataset, PersonDataset, PreparedStore
from hmradapter.datasets.person_boxes import part_boxes, person_box
from hmradapter.datasets.persons import person_labels
from hmradapter.datasets.record import GENDERS, MODELS, SIDES, empty_records, set_flag
from hmradapter.datasets.sources import ArcticSource
from hmradapter.geometry import cameras
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.models.estimators import WholeBodyExpert
from hmradapter.structures import hmr_collate
from hmradapter.structures.joints import POSE53_PARTS, WHOLE137_FROM_SMPLX144

PIPELINE = [dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'),
            dict(type='PackPersonInputs')]
AUGMENTED = [PIPELINE[0], dict(type='RandomPersonAugmentation'), PIPELINE[1], dict(type='ColorJitter'), PIPELINE[2],
             dict(type='HandJointNoise', cells=0.5, dropout=0.5), PIPELINE[3]]
LOSSES = ('pose', 'betas', 'expression', 'joints_3d', 'part_joints_3d', 'joints_proj', 'joints_img')
BOX_LOSSES = ('left_hand_box', 'right_hand_box', 'face_box')


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('arctic')
    return root, write_arctic(root, open_body_models)


@pytest.fixture
def build(release, open_body_models):
    def make(pipeline=(), test_mode=True, indices=None, split='val', **options):
        options = dict(stride=1, truth=None if split == 'train' else 'template') | options
        return PersonDataset(ArcticSource(str(release[0]), str(open_body_models), split=split, **options), pipeline,
                             test_mode=test_mode, indices=indices)
    return make


def world_mesh(release, layer, frame, **transl):
    """The raw file's body through a layer, without the reader."""
    raw = np.load(release[0] / 'raw_seqs' / f'{SEQUENCES["s05"]}.smplx.npy', allow_pickle=True).item()
    params = {name: torch.from_numpy(value[frame:frame + 1]) for name, value in raw.items()}
    rotations = {name: axis_angle_to_rotmat(value.unflatten(1, (-1, 3))) for name, value in params.items() if name != 'transl'}
    return layer(**rotations, transl=transl.get('transl', params['transl'])).vertices[0].double(), params['transl']


@pytest.mark.parametrize('truth', ['template', 'neutral'])
def test_true_meshes(build, release, open_body_models, truth):
    dataset, kept = build(truth=truth), release[1]['s05']
    neutral = SMPLXLayer(open_body_models / 'smplx')
    own = SMPLXLayer(open_body_models / 'smplx', gender='female').with_template(kept['template'])
    assert len(dataset) == 8 * len(IMAGES) and dataset.metainfo['truth'] == truth
    assert dataset.store.mesh_size == len(kept['template'])
    for i in range(0, len(dataset), 11):
        info, record = dataset.get_data_info(i), dataset.store.record(i)
        matrix = torch.tensor(kept['cameras']['world2cam'][int(record['view']) - 1], dtype=torch.float64)
        frame = int(record['frame']) - OFFSET
        mesh, transl = world_mesh(release, own, frame)
        if truth == 'neutral':
            moved = transl + own.root_joint() - neutral.root_joint()
            mesh, _ = world_mesh(release, neutral, frame, transl=moved)
        expected = cameras.transform_points(mesh, matrix[:3, :3], matrix[:3, 3])
        assert info['has_vertices'] == 1 and (info['vertices'] - expected).abs().max() < 1e-5
        pelvis = (own if truth == 'template' else neutral).J_regressor[0] @ info['vertices']
        assert (pelvis - info['keypoints_3d'][0, :3]).norm() < 0.01  # either mesh stands where the person does


def test_labels(build, release):
    dataset = build(split='train', test_mode=False)
    truth = release[1]['s01']
    assert 'vertices' not in dataset.get_data_info(0) and not dataset.store.has_vertices
    for i in range(len(dataset)):
        info, record = dataset.get_data_info(i), dataset.store.record(i)
        matrix = torch.tensor(truth['cameras']['world2cam'][int(record['view']) - 1], dtype=torch.float64)
        joints = torch.from_numpy(truth['joints'][int(record['frame']) - OFFSET]).double()
        joints = cameras.transform_points(joints, matrix[:3, :3], matrix[:3, 3])[list(WHOLE137_FROM_SMPLX144)]
        K = torch.tensor(truth['cameras']['intris_mat'][int(record['view']) - 1], dtype=torch.float64)
        known = info['keypoints_3d'][:, 3] > 0
        assert known.tolist() == [joint < 127 for joint in WHOLE137_FROM_SMPLX144]  # the contour has no label
        assert (info['keypoints_3d'][known, :3] - joints[known]).abs().max() < 1e-5
        assert (info['keypoints_2d'][known, :2] - cameras.project(joints, K)[known]).abs().max() < 0.01
        assert info['pose_valid'].all() and not info['has_betas'] and not info['has_expression']
        for side, at in zip(SIDES, (0, 1), strict=True):
            hand = axis_angle_to_rotmat(torch.from_numpy(record['hand_pose'][at]))  # absolute
            torch.testing.assert_close(info['pose'][POSE53_PARTS[f'{side}_hand_pose']], hand)
        torch.testing.assert_close(info['pose'][0], axis_angle_to_rotmat(torch.from_numpy(record['global_orient'])))
        face = cameras.project(joints, K)[65 + 4:]
        shown = torch.cat((face[:51].amin(0), face[:51].amax(0)))
        if info['has_part_boxes'][2]:
            np.testing.assert_allclose(record['bbox_face'], shown, atol=0.01)
            tight = np.concatenate((record['bbox_face'][:2], record['bbox_face'][2:] - record['bbox_face'][:2]))
            box = person_box(tight, info['img_size'], 1.2)
            np.testing.assert_allclose(info['part_boxes'][2], [*box[:2], *(box[:2] + box[2:])], atol=1e-4)
        x, y, w, h = info['bbox_xywh']
        width, height = info['img_size']
        assert min(x, y) >= 0 and x + w <= width - 1 + 1e-4 and y + h <= height - 1 + 1e-4  # a body is cut at the image


def test_what_has_no_label_is_masked():
    record = empty_records(1, '3dpw')
    record['betas'], record['body_pose'] = 0.5, 0.1
    labels = person_labels(record[0])
    assert not labels['pose_valid'].any() and not labels['betas'].any() and labels['has_betas'] == 0
    for flag in ('has_betas', 'has_body_pose', 'has_left_hand_pose', 'has_expression'):
        set_flag(record, flag)
    record['body_pose_valid'][0, :20] = 1  # one joint of the body is not labelled
    for gender, model, wanted in (('neutral', 'smplx', 1), ('male', 'smplx', 0), ('neutral', 'smpl', 0)):
        record['gender'], record['model'] = GENDERS.index(gender), MODELS.index(model)
        labels = person_labels(record[0])
        assert labels['has_betas'] == wanted and bool(labels['betas'].any()) == bool(wanted)
    assert labels['pose_valid'].tolist() == [0] + [1] * 20 + [0] + [1] * 15 + [0] * 16 and labels['has_expression'] == 1


def test_part_boxes_that_are_not_there():
    found = part_boxes([None, [10, 10, 0, 5], [10, 20, 31, 41]], (100, 100))
    assert found['has_part_boxes'].tolist() == [0, 0, 1] and not found['part_boxes'][:2].any()
    np.testing.assert_allclose(found['part_boxes'][2], [25 - 18, 40 - 24, 25 + 18, 40 + 24])  # 30 x 40, times 1.2


def test_one_store_for_hands_and_persons(build, release, open_body_models):
    """The same records; only true meshes make another store."""
    hands = HandDataset(ArcticSource(str(release[0]), str(open_body_models), split='val', stride=1))
    persons = build(truth=None)
    assert hands.store.folder == persons.store.folder and len(hands) == 2 * len(persons)
    assert 'vertices' not in persons.get_data_info(0) and persons.metainfo['truth'] is None
    other = build()
    assert other.store.folder != hands.store.folder and build(truth='neutral').store.folder != other.store.folder
    np.testing.assert_array_equal(other.store.record(3)['kpts2d'], hands.store.record(3)['kpts2d'])
    twin = pickle.loads(pickle.dumps(other))
    torch.testing.assert_close(twin.get_data_info(4)['vertices'], other.get_data_info(4)['vertices'])
    PreparedStore(other.store.folder).verify()


def test_indices_and_errors(build):
    assert [build(indices=[7, 3]).get_data_info(i)['key'] for i in (0, 1)] == [build().get_data_info(i)['key'] for i in (7, 3)]
    with pytest.raises(ValueError, match="truth is 'mean'"):
        build(truth='mean')
    with pytest.raises(ValueError, match="split is 'test'"):
        build(split='test')
    with pytest.raises(TypeError, match='hands'):
        build(hands=('left',))
    with pytest.raises(ValueError, match='true mesh.*RandomPersonAugmentation'):
        build(pipeline=AUGMENTED)[0]


@pytest.fixture(scope='module')
def expert(open_body_models):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        losses = dict.fromkeys(LOSSES, dict(type='MaskedL1Loss')) | dict.fromkeys(BOX_LOSSES, dict(type='BoxL1Loss'))
        return WholeBodyExpert(
            backbone=dict(type='SMPLerXViT', embed_dim=32, depth=1, num_heads=2), frozen_dtype='fp32',
            head=dict(type='SMPLerXHead', context_dim=32, boxes=dict(type='BoxHead', dim=16),
                      hand_rotation=dict(type='HandRotationHead', dim=24)),
            body_model=dict(type='SMPLXLayer', model_path=str(open_body_models / 'smplx')), losses=losses)


def test_the_expert_takes_them(build, expert):
    np.random.seed(0)
    dataset = build(split='train', test_mode=False, pipeline=AUGMENTED)
    batch = hmr_collate([dataset[i] for i in range(6)])
    inputs = batch['inputs'].float() / 255
    losses = expert(inputs, batch['data_samples'], mode='loss')
    assert set(losses) == {f'loss_{name}' for name in (*LOSSES, *BOX_LOSSES)}
    assert all(value.isfinite() for value in losses.values())
    assert losses['loss_betas'] == 0 and losses['loss_expression'] == 0  # ARCTIC has neither
    assert losses['loss_pose'] > 0.01 and losses['loss_joints_3d'] > 0.01
    assert set(batch['data_samples'].guidance.has_hands.unique().tolist()) == {0, 1}
    evaluated = hmr_collate([build(pipeline=PIPELINE)[i] for i in range(2)])
    samples = expert.eval()(evaluated['inputs'].float() / 255, evaluated['data_samples'], mode='predict')
    assert samples[0].pred.vertices.shape == samples[0].gt.vertices.shape and samples[1].gt.has_vertices == 1
    assert samples[0].metainfo['gender'] == 'female' and samples[0].metainfo['visibility'] is None


def test_fingers_are_absolute_here_and_residual_for_the_loss(build, expert):
    batch = hmr_collate([build(pipeline=PIPELINE)[i] for i in range(4)])['data_samples']
    targets = expert.targets(batch.gt)
    for side in SIDES:
        residual = targets['pose'][:, POSE53_PARTS[f'{side}_hand_pose']]
        absolute = axis_angle_to_rotmat(residual + expert._hand_mean(side))
        torch.testing.assert_close(absolute, batch.gt.get(f'{side}_hand_pose'), atol=1e-5, rtol=0)


def test_mirrored_and_turned_samples_agree_with_themselves(build):
    """Joints in 3D, projected by the camera of the image and cropped, are the joints in 2D, also after a mirror and a turn."""
    dataset = build(split='train', test_mode=False, pipeline=PIPELINE)
    for draw in (dict(scale=1.0, degrees=0.0, flip=False), dict(scale=1.1, degrees=25.0, flip=True)):
        info = copy.deepcopy(dataset.get_data_info(5))
        width = float(info['img_size'][0])
        info['augmentation'] = draw
        sample = dataset.pipeline(info)['data_samples']
        points = sample.gt.keypoints_3d[:, :3].clone()
        angle = np.deg2rad(draw['degrees'])
        back = torch.tensor([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]).float()
        points = points @ back.T  # the turn of the camera undone
        focal, princpt = sample.crop.focal, sample.crop.princpt
        if draw['flip']:
            princpt = torch.tensor([width - 1 - princpt[0], princpt[1]])
        pixels = points[:, :2] / points[:, 2:] * focal + princpt
        if draw['flip']:
            pixels[:, 0] = width - 1 - pixels[:, 0]
        crop = torch.cat((pixels, torch.ones(137, 1)), 1) @ sample.crop.crop_from_image.T
        seen = sample.gt.heatmap_joints[:, 3] > 0
        assert seen.sum() > 20
        torch.testing.assert_close(sample.gt.heatmap_joints[seen, :2], crop[seen, :2] / 32, atol=2e-3, rtol=0)


def test_a_picture_of_the_release_is_what_is_read(build, release):
    info = build().get_data_info(0)
    assert Path(info['img_path']).is_relative_to(release[0]) and cv2.imread(info['img_path']).shape[:2] == (100, 140)
