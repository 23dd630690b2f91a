"""BEDLAM out into its npz and back through the reader; each trap and each fault planted once."""
import pickle
import shutil

import cv2
import numpy as np
import pytest
from layout_checks import assert_true, has, layer_of, project, records_of

from hmradapter.body_models.model_files import read_model_file
from hmradapter.datasets import HandDataset, PersonDataset
from hmradapter.datasets.sources import BEDLAMSource, bedlam
from hmradapter.datasets.transforms import LoadImage
from hmradapter.fileio import load_npz
from hmradapter.registry import DATASETS
from hmradapter.synthetic.layouts import write_bedlam
from hmradapter.synthetic.layouts.bedlam import CLOSE, FAST, PLAIN, UNSEEN

PIPELINE = [dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'),
            dict(type='PackPersonInputs')]


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('bedlam')
    return root, write_bedlam(root, open_body_models)


@pytest.fixture(autouse=True)
def one_layer(monkeypatch):
    """Reading a model takes a second; the tests share it."""
    monkeypatch.setattr(bedlam, 'SMPLXLayer', layer_of)


@pytest.fixture
def copy(release, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(release[0], root, ignore=shutil.ignore_patterns('prepared'))
    return root


@pytest.fixture
def source(release, open_body_models):
    return lambda root=None, models=open_body_models, **options: BEDLAMSource(root or release[0], models, **options)


def labels(root, scene=PLAIN):
    return root / 'training_labels' / 'all_npz_12_training' / f'{scene}.npz'


def edit(root, scene=PLAIN, **arrays):
    """Replace arrays of a scene; None takes one away."""
    content = load_npz(labels(root, scene)) | arrays
    np.savez(labels(root, scene), **{name: value for name, value in content.items() if value is not None})


def test_persons_come_back(source, release, open_body_models):
    store = source().prepare()
    records = records_of(store)
    assert set(records) == set(release[1])
    assert store.manifest['dropped'] == dict(scene_without_images=1) and not store.manifest['unlabelled']
    assert store.manifest['examples'] == dict(scene_without_images=[UNSEEN])
    for key, record in records.items():
        assert_true(record, release[1][key], open_body_models)
        scene, name, person = key.split('/')[1:]
        assert record['rot90'][0] == (scene == CLOSE) and record['person'][0] == int(person)
        assert [record[field][0] for field in ('view', 'frame')] == [int(part) for part in name.split('_')[1:]]
        assert has(record, 'has_betas', 'has_jaw', 'has_eyes', 'has_bbox_body', 'has_bbox_face')
        assert not has(record, 'has_extrinsics') and not has(record, 'has_expression') and not record['cam_R'].any()
        assert record['gender'][0] == 0 and record['num_betas'][0] == 10  # the open model has 10


def test_pictures_stand_upright(source, release):
    dataset, truth = PersonDataset(source()), release[1]
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        assert np.array_equal(LoadImage()(dict(info))['img'], truth[info['key']]['image'])


def test_the_eleventh_beta_is_used_where_the_model_has_it(source, tmp_path, open_body_models):
    """A model of the released layout: 300 shape directions, then 100 expressions."""
    arrays = read_model_file(open_body_models / 'smplx' / 'SMPLX_NEUTRAL.npz', 'SMPL-X')
    many = np.zeros((*arrays['shapedirs'].shape[:2], 400), np.float32)
    many[..., :10], many[..., 300:310] = arrays['shapedirs'][..., :10], arrays['shapedirs'][..., 10:]
    many[..., 10] = [0.004, 0, 0]
    (tmp_path / 'smplx').mkdir()
    np.savez(tmp_path / 'smplx' / 'SMPLX_NEUTRAL.npz', **dict(arrays, shapedirs=many))
    ours, theirs = (source(models=models).convert(PLAIN).records for models in (open_body_models, tmp_path))
    assert theirs['num_betas'][0] == 11 and theirs['betas'][:, 10].any() and not ours['betas'][:, 10].any()
    shifts = theirs['kpts3d'][:, :55, 0] - ours['kpts3d'][:, :55, 0]
    assert np.abs(shifts).max() > 0.002 and np.abs(shifts).max() < 0.02


def test_each_convention_matters(release):
    """What a reader gets that misses a trap: centimetres, so the tolerances above do hold the traps."""
    root, truth = release
    content = load_npz(labels(root))
    assert np.linalg.norm(content['cam_ext'][:, :3, 3], axis=1).min() > 0.05                # the other half of the translation
    first, second = content['cam_ext'][:2]
    assert content['imgname'][0] == content['imgname'][1] and np.abs(first - second).max() > 0.05  # each person's own
    assert np.abs(content['pose_world'][:, :3] - content['pose_cam'][:, :3]).max() > 0.1
    fingers = content['pose_cam'][:, 75:165].reshape(-1, 2, 45)
    assert np.abs(fingers.mean(axis=0)).max() > 0.1                                          # absolute: far from the mean's 0
    assert content['imgname'].tolist() != sorted(content['imgname'])
    one = truth[f'bedlam/{CLOSE}/seq_000000_0000/0']
    pixels = project(one['figure'].joints[:22], one['K'])
    turned = np.stack((pixels[:, 1], one['size'][0] - 1 - pixels[:, 0]), axis=1)
    assert np.linalg.norm(pixels - turned, axis=1).mean() > 10                               # the picture's quarter turn


def test_samples(release, source, open_body_models):
    dataset = DATASETS.build(dict(type='PersonDataset', pipeline=PIPELINE, source=dict(
        type='BEDLAMSource', data_root=str(release[0]), body_model_root=str(open_body_models))))
    sample = dataset[6]['data_samples']
    assert CLOSE in sample.key and sample.gt.has_betas and sample.gt.pose_valid.all() and not sample.gt.has_expression
    hands = HandDataset(source())
    assert len(hands) > 9 and hands.get_data_info(0)['has_body_pose'] == 1


def test_options(source, copy):
    assert sorted(source(stride=2).convert(PLAIN).keys) == [
        f'bedlam/{PLAIN}/seq_{seq:06d}_0000/{person}' for seq in (0, 1) for person in (0, 1)]
    for wrong in (dict(split='val'), dict(stride=0)):
        with pytest.raises(ValueError, match=f'{next(iter(wrong))} is '):
            source(**wrong)
    ours = source()
    first, again = ours.convert(CLOSE), pickle.loads(pickle.dumps(ours)).convert(CLOSE)
    assert first.keys == again.keys and (first.records == again.records).all()
    before = source(copy).about()
    edit(copy, shape=load_npz(labels(copy))['shape'] + 1)
    assert before != source(copy).about()


def test_frames_of_the_faster_release_serve(copy, source):
    images = copy / 'training_images'
    (images / PLAIN).rename(images / PLAIN.replace('6fps', '30fps'))
    part = source(copy).convert(PLAIN)
    assert len(part.records) == 6 and '30fps/png' in part.paths[0] and len(part.paths) == 3
    shutil.rmtree(images / FAST)
    assert source(copy).convert(FAST).dropped == dict(scene_without_images=1)


def test_turned_pictures_are_told_by_their_camera(copy, source, release):
    """A copy whose close-ups were already turned, and a scene that is called close-up but lies as its labels do."""
    for path in (copy / 'training_images' / CLOSE / 'png').rglob('*.png'):
        cv2.imwrite(str(path), np.rot90(cv2.imread(str(path)), -1))
    part = source(copy).convert(CLOSE)
    assert len(part.records) == 2 and not part.records['rot90'].any() and part.records['hw'].tolist() == [[256, 144]] * 2
    path = copy / 'training_images' / PLAIN / 'png' / 'seq_000000' / 'seq_000000_0000.png'
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (128, 72)))
    assert source(copy).convert(PLAIN).dropped == dict(image_of_other_size=2)


def test_faults_are_counted(copy, source):
    folder = copy / 'training_images' / PLAIN / 'png'
    shutil.rmtree(folder / 'seq_000001')
    cut = folder / 'seq_000000' / 'seq_000000_0005.png'
    cut.write_bytes(cut.read_bytes()[:-20])
    content = load_npz(labels(copy))
    row = content['imgname'].tolist().index('seq_000000/seq_000000_0000.png')
    content['trans_cam'][row, 0] = np.nan
    edit(copy, trans_cam=content['trans_cam'])
    part = source(copy).convert(PLAIN)
    assert part.dropped == dict(view_without_images=2, corrupt_image=2, not_finite=1)
    assert part.keys == [f'bedlam/{PLAIN}/seq_000000_0000/1']


def test_joints_are_compared_with_those_of_the_file(copy, source):
    content = load_npz(labels(copy))
    content['pose_cam'][0, 3 + 3 * 15] += 0.6       # another shoulder
    content['trans_cam'][1, 2] = -9                 # behind the camera, joints with it
    content['gtkps'][1] = 0
    content['trans_cam'][2, 0] += 0.5               # half a metre aside
    edit(copy, **{name: content[name] for name in ('pose_cam', 'trans_cam', 'gtkps')})
    part = source(copy).convert(PLAIN)
    assert part.dropped == dict(joints_away_from_2d=2, person_outside_image=1) and len(part.records) == 3 == len(part.keys)


@pytest.mark.parametrize('change', [
    dict(gtkps=None), dict(shape=np.zeros((6, 10))), dict(imgname=np.array(['../../x.png'] * 6)),
    dict(imgname=np.zeros((6, 2))), dict(cam_int=np.zeros((5, 3, 3))), dict(pose_cam=np.array([['x'] * 165] * 6))])
def test_a_damaged_scene_is_left_out(copy, source, change):
    edit(copy, **change)
    part = source(copy).convert(PLAIN)
    assert part.dropped == dict(damaged_scene=1) and not len(part.records)


def test_what_is_missing_is_said(copy, source, tmp_path):
    labels(copy).write_bytes(labels(copy).read_bytes()[:-100])
    assert source(copy).convert(PLAIN).dropped == dict(damaged_scene=1)
    with pytest.raises(FileNotFoundError, match=r'(?s)all_npz_12_training/<scene>.npz does not exist.*bedlam.is.tue.mpg.de'):
        source(tmp_path).prepare()
    with pytest.raises(FileNotFoundError, match='SMPL-X'):
        BEDLAMSource(copy, tmp_path).prepare()
