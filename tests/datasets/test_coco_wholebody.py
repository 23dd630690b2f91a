"""COCO-WholeBody out into its json and back through the reader; each trap and each fault planted once."""
import json
import pickle
import shutil
import warnings

import numpy as np
import pytest
import torch
from coco_checks import check_fit, check_marks, has, marked, records_of
from tiny_experts import BODY, HAND, HAND_ADAPTER

from hmradapter.datasets import HandDataset, PersonDataset
from hmradapter.datasets.sources import CocoWholeBodySource
from hmradapter.evaluation import CocoWholeBodyMetric
from hmradapter.fileio import DamagedFileError, load_coco
from hmradapter.registry import MODELS
from hmradapter.structures import hmr_collate
from hmradapter.structures.joints import COCO133_PARTS
from hmradapter.synthetic.layouts import write_coco_wholebody

pytest.importorskip('xtcocotools', reason='xtcocotools is not installed: requirements/runtime.txt')
FRAME = BODY['head']['frame']
PERSON_PIPELINE = [dict(type='LoadImage'), dict(type='PersonCrop', size=(256, 192), ratio=1.25),
                   dict(type='HeatmapTargets', frame=FRAME), dict(type='PackPersonInputs')]
HAND_PIPELINE = [dict(type='LoadImage'), dict(type='HandCrop', image_size=128), dict(type='PackHandInputs')]
FITTED, HALF_FITTED, GUIDED, UNFITTED = (f'coco_wholebody/train/{place}' for place in
                                         ('40083/198196', '40100/198217', '40117/198224', '40134/198231'))


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('coco')
    return root, write_coco_wholebody(root, open_body_models)


@pytest.fixture(scope='module')
def val(release):
    return PersonDataset(CocoWholeBodySource(release[0]), PERSON_PIPELINE, test_mode=True)


@pytest.fixture(scope='module')
def fitted(release, open_body_models):
    source = CocoWholeBodySource(release[0], 'train', fits=True, body_model_root=open_body_models)
    return PersonDataset(source, PERSON_PIPELINE)


@pytest.fixture
def copy(release, tmp_path):
    """A release that a test may damage."""
    root = tmp_path / 'data'
    shutil.copytree(release[0], root, ignore=shutil.ignore_patterns('prepared'))
    return root


def edit(root, change, name='coco_wholebody_val_v1.0.json'):
    path = root / 'annotations' / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_marks_come_back_in_their_places(val, release):
    records = records_of(val)
    assert sorted(records) == sorted(key for key in release[1] if '/val/' in key)
    for key, record in records.items():
        check_marks(record, release[1][key])
        x, y, w, h = release[1][key]['annotation']['bbox']
        np.testing.assert_allclose(record['bbox_body'], (x, y, x + w, y + h), atol=1e-3)
        for name in ('has_K', 'has_extrinsics', 'has_kpts3d', 'has_body_pose', 'has_betas', 'has_transl'):
            assert not has(record, name)
        assert not record['focal'].any() and not record['kpts3d'].any()
        assert [record['frame'], record['person']] == [int(part) for part in key.split('/')[-2:]]
    assert val.store.manifest['dropped'] == dict(crowd=1, no_keypoints=1) and not val.store.manifest['unlabelled']
    assert val.metainfo['split'] == 'val' and val.metainfo['fits'] is False


def test_confidences_hips_and_a_hand_that_is_not_there(val, release):
    records = records_of(val)
    one = records['coco_wholebody/val/785/198196']
    joints = marked(release[1]['coco_wholebody/val/785/198196']['annotation'])
    assert joints[:, 2].max() == 2 and joints[COCO133_PARTS['right_hand'].start + 8, 2] == 0.1
    assert one['kpts2d'][:, 2].max() == 1 and not one['kpts2d'][72].any() and not one['hand_kpts2d'][1, 8].any()
    assert not one['kpts2d'][[0, 1, 2]].any()                                 # neither hips nor what follows from them
    assert np.linalg.norm(joints[11, :2] - release[1]['coco_wholebody/val/785/198196']['pixels'][1]) > 4
    assert not has(one, 'has_left_hand_kpts2d') and not has(one, 'has_bbox_left_hand') and not one['bbox_hand'][0].any()
    assert has(one, 'has_bbox_right_hand') and val.store.manifest['hands'] == dict(left=3, right=4)


def test_boxes_are_those_of_the_file_where_it_calls_them_valid(copy, val, release):
    key = 'coco_wholebody/val/802/198224'
    mark = release[1][key]['annotation']
    record = records_of(val)[key]
    places = dict(lefthand=record['bbox_hand'][0], righthand=record['bbox_hand'][1], face=record['bbox_face'])
    for name, place in places.items():
        x, y, w, h = mark[f'{name}_box']
        np.testing.assert_allclose(place, (x, y, x + w, y + h), atol=1e-3)

    def change(content):
        found = next(one for one in content['annotations'] if one['id'] == 198224)
        found['lefthand_valid'] = False                      # joints are there all the same
        found['righthand_box'] = [0, 0, 5, 5]                # of somebody else
        found['face_box'] = [20, 20, 0, 0]
    edit(copy, change)
    dataset = PersonDataset(CocoWholeBodySource(copy), test_mode=True)
    other = records_of(dataset)[key]
    for i, name in enumerate(('lefthand', 'righthand')):
        points = np.reshape(mark[f'{name}_kpts'], (-1, 3))
        points = points[points[:, 2] > 0.3, :2]
        np.testing.assert_allclose(other['bbox_hand'][i], [*points.min(0), *points.max(0)], atol=1e-3)
    assert has(other, 'has_bbox_face') and other['bbox_face'][2] > other['bbox_face'][0]
    assert dataset.store.manifest['unlabelled'] == dict(right_hand_box_away_from_joints=1, face_box_away_from_joints=1)


def test_fits_come_back(fitted, release, open_body_models):
    records, truth = records_of(fitted), release[1]
    for key in (FITTED, HALF_FITTED, GUIDED, UNFITTED):
        check_marks(records[key], truth[key])
    check_fit(records[FITTED], truth[FITTED], open_body_models, ('right_hand', 'face'))  # the annotation says so
    check_fit(records[HALF_FITTED], truth[HALF_FITTED], open_body_models, ('left_hand', 'face'))
    sides = [f'{side}_hand' for side in ('left', 'right') if truth[GUIDED]['annotation'][f'{side}hand_valid']]
    check_fit(records[GUIDED], truth[GUIDED], open_body_models, (*sides, 'face'))
    assert not has(records[UNFITTED], 'has_body_pose') and not has(records[UNFITTED], 'has_K')
    assert fitted.store.manifest['unlabelled'] == dict(no_fit=1)
    hips = records[GUIDED]['kpts2d'][[1, 2]]                                  # SMPL-X's own, projected
    np.testing.assert_allclose(hips[:, :2], truth[GUIDED]['pixels'][[1, 2]], atol=0.01)
    assert fitted.get_data_info(0)['has_betas'] == 1


def test_each_trap_matters(release):
    """What a reader gets that misses it: far more than the tolerances above."""
    fits = json.loads((release[0] / 'annotations' / 'MSCOCO_train_SMPLX.json').read_text())
    one = release[1][FITTED]
    stored = np.reshape(fits['198196']['smplx_param']['lhand_pose'], (15, 3))
    assert np.abs(stored - one['figure'].hand_pose[0]).max() > 0.1            # residual
    joints = marked(one['annotation'])
    left, right = (joints[COCO133_PARTS[f'{side}_hand'], :2] for side in ('left', 'right'))
    assert np.abs(joints[[5, 7, 9], :2] - joints[[6, 8, 10], :2]).max() > 10 and np.abs(left - right).max() > 10


def test_faults_of_fits_are_counted(copy, open_body_models):
    def spoil(content):
        content['198196']['smplx_param']['trans'][0] += 2                     # another person's
        content['198217']['smplx_param']['body_pose'].pop()
        content['198224']['cam_param']['R'] = np.eye(3).tolist()              # another frame
    edit(copy, spoil, 'MSCOCO_train_SMPLX.json')
    dataset = PersonDataset(CocoWholeBodySource(copy, 'train', fits=True, body_model_root=open_body_models))
    assert dataset.store.manifest['unlabelled'] == dict(fit_away_from_joints=1, damaged_fit=2, no_fit=1)
    for record in records_of(dataset).values():
        assert not has(record, 'has_body_pose') and not record['kpts3d'].any() and has(record, 'has_kpts2d')

    def odd(content):
        content['198196'] = [1, 2]
    edit(copy, odd, 'MSCOCO_train_SMPLX.json')
    with pytest.raises(DamagedFileError, match='MSCOCO_train_SMPLX.json.*198196'):
        PersonDataset(CocoWholeBodySource(copy, 'train', fits=True, body_model_root=open_body_models))


def expert(config, losses, **more):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return MODELS.build(dict(config, losses={name: dict(type=kind) for name, kind in losses.items()}, **more))


def test_persons_without_3d_teach_in_2d_alone(val, fitted, open_body_models):
    losses = dict.fromkeys(('joints_img', 'joints_proj', 'joints_3d', 'part_joints_3d', 'pose', 'betas', 'expression'),
                           'MaskedL1Loss') | dict(face_box='BoxL1Loss', right_hand_box='BoxL1Loss')
    model = expert(BODY, losses, body_model=dict(type='SMPLXLayer', model_path=str(open_body_models)))
    with torch.no_grad():
        for size in model.head.boxes.to_size.values():
            size[-1].bias.fill_(8.0)  # cells: hands fall into boxes that cover the crop
    batch = model.data_preprocessor(hmr_collate([val[i] for i in range(len(val))]), True)
    found = model(**batch, mode='loss')
    assert all(value.isfinite() for value in found.values())
    active = {name.removeprefix('loss_') for name, value in found.items() if value.item() != 0}
    assert active == {'joints_img', 'joints_proj', 'face_box', 'right_hand_box'}
    sum(found.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
    batch = model.data_preprocessor(hmr_collate([fitted[i] for i in range(len(fitted))]), True)
    found = model(**batch, mode='loss')
    assert all(value.isfinite() and value > 0 for value in found.values())


def test_predictions_without_a_camera_are_scored(val, release, open_body_models):
    model = expert(BODY, {}, body_model=dict(type='SMPLXLayer', model_path=str(open_body_models))).eval()
    metric = CocoWholeBodyMetric(str(release[0] / 'annotations' / 'coco_wholebody_val_v1.0.json'), frame=FRAME)
    metric.dataset_meta = val.metainfo
    for i in range(len(val)):
        samples = model.test_step(hmr_collate([val[i]]))
        metric.process(None, [sample.to_dict() for sample in samples])
    found = metric.evaluate(len(val))
    assert found['coco/AP/wholebody'] < 0.5 and np.isfinite(list(found.values())).all()


def test_hands_without_3d_teach_in_2d_alone(release, open_body_models):
    dataset = HandDataset(CocoWholeBodySource(release[0]), HAND_PIPELINE)
    losses = dict(keypoints_2d='Keypoint2DLoss', keypoints_3d='Keypoint3DLoss', vertices='VertexLoss', hand_pose='HandPoseLoss',
                  rotations='RotationMatrixLoss', betas='BetasLoss')
    model = expert(HAND, losses, adapter=HAND_ADAPTER, body_model=dict(type='MANOLayer', model_path=str(open_body_models)))
    assert [dataset.get_data_info(i)['has_body_pose'] for i in range(len(dataset))] == [0] * 7
    found = model(**model.data_preprocessor(hmr_collate([dataset[i] for i in range(len(dataset))]), True), mode='loss')
    assert {name for name, value in found.items() if value.item() != 0} == {'loss_keypoints_2d'}
    assert found['loss_keypoints_2d'].isfinite()


def test_faults_are_counted(copy):
    edit(copy, _spoil)
    (copy / 'val2017' / '000000000802.jpg').write_bytes((copy / 'val2017' / '000000000802.jpg').read_bytes()[:-60])
    dataset = PersonDataset(CocoWholeBodySource(copy), test_mode=True)
    assert dataset.store.manifest['dropped'] == dict(crowd=1, no_keypoints=1, damaged_annotation=2, missing_image=1,
                                                     corrupt_image=2, person_outside_image=1, image_of_other_size=1)
    assert len(dataset) == 1


def test_a_joint_far_from_its_person_is_not_believed(copy, release):
    key = 'coco_wholebody/val/802/198224'
    x = release[1][key]['annotation']['bbox'][0]

    def change(content):
        found = next(one for one in content['annotations'] if one['id'] == 198224)
        found['bbox'] = [x + 10, found['bbox'][1], 20, 30]
        found['keypoints'][:3] = [x - 6, 2, 2]
    edit(copy, change)
    dataset = PersonDataset(CocoWholeBodySource(copy), test_mode=True)
    assert dataset.store.manifest['unlabelled']['joints_away_from_person'] == 1
    assert not records_of(dataset)[key]['kpts2d'][55].any()


def _spoil(content):
    good = content['annotations'][0]
    content['images'].append(dict(id=3, file_name='000000000003.jpg', width=256, height=192))
    content['images'].append(dict(id=4, file_name='000000000785.jpg', width=255, height=192))
    for number, change in enumerate((dict(image_id=3), dict(image_id=4), dict(bbox=[-90, 20, 40, 50]),
                                     dict(face_kpts=good['face_kpts'][:-3]))):
        content['annotations'].append(good | dict(id=10 + number) | change)
    content['annotations'][1]['keypoints'][0] = 1e200


@pytest.mark.parametrize(('change', 'message'), [
    (lambda content: content['annotations'][0].update(image_id=99), 'image 99'),
    (lambda content: content['annotations'][0].update(id=content['annotations'][1]['id']), 'two annotations have one id'),
    (lambda content: content['annotations'][0].pop('image_id'), 'image_id'),
    (lambda content: content['images'][0].pop('file_name'), 'file_name'),
    (lambda content: content.pop('images'), 'images')])
def test_a_damaged_file_is_named(copy, change, message):
    edit(copy, change)
    with pytest.raises(DamagedFileError, match=f'coco_wholebody_val_v1.0.json.*{message}'):
        PersonDataset(CocoWholeBodySource(copy), test_mode=True)


def test_what_cannot_be_used_is_said(copy, tmp_path, open_body_models):
    with pytest.raises(FileNotFoundError, match='coco_wholebody_val_v1.0.json does not exist.*\n.*joints and boxes'):
        PersonDataset(CocoWholeBodySource(tmp_path / 'nowhere'), test_mode=True)
    with pytest.raises(ValueError, match='split is '):
        CocoWholeBodySource(copy, 'test')
    for wrong in (dict(split='val', body_model_root=open_body_models), dict(split='train')):
        with pytest.raises(ValueError, match='fits is True'):
            CocoWholeBodySource(copy, fits=True, **wrong)
    (copy / 'annotations' / 'MSCOCO_train_SMPLX.json').unlink()
    with pytest.raises(FileNotFoundError, match='MSCOCO_train_SMPLX.json'):
        PersonDataset(CocoWholeBodySource(copy, 'train', fits=True, body_model_root=open_body_models))
    (copy / 'annotations' / 'coco_wholebody_val_v1.0.json').write_text('{"images": [')
    with pytest.raises(DamagedFileError, match='coco_wholebody_val'):
        load_coco(copy / 'annotations' / 'coco_wholebody_val_v1.0.json')


def test_a_source_travels(release, open_body_models):
    source = CocoWholeBodySource(release[0], 'train', fits=True, body_model_root=open_body_models)
    unit, = source.units
    assert source.fits_index
    twin = pickle.loads(pickle.dumps(source))
    assert {'index', 'fits_index'} <= set(vars(twin)) and 'units' not in vars(twin)  # no second pass over the files
    assert twin(unit).records.tobytes() == source(unit).records.tobytes()
