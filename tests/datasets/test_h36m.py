"""Human3.6M out into the world and Moon's json and back through the reader; each trap and each fault planted once."""
import json
import pickle
import shutil

import numpy as np
import pytest
from layout_checks import assert_same, assert_true, count_posed, has, layer_of, project, records_of

from hmradapter.datasets import HandDataset, PersonDataset
from hmradapter.datasets.sources import H36MSource, h36m
from hmradapter.fileio import load_json
from hmradapter.registry import DATASETS
from hmradapter.structures.joints import BODY_NAMES
from hmradapter.synthetic.layouts import write_h36m

PIPELINE = [dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'),
            dict(type='PackPersonInputs')]
SEQUENCE = 's_01_act_02_subact_01'


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('h36m')
    return root, write_h36m(root, open_body_models)


@pytest.fixture(autouse=True)
def one_layer(monkeypatch):
    """Reading a model takes a second; the tests share it."""
    monkeypatch.setattr(h36m, 'SMPLXLayer', layer_of)


@pytest.fixture
def copy(release, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(release[0], root, ignore=shutil.ignore_patterns('prepared'))
    return root


@pytest.fixture
def source(release, open_body_models):
    return lambda root=None, **options: H36MSource(root or release[0], open_body_models, **options)


def annotations(root, kind, subject=1):
    return root / 'annotations' / f'Human36M_subject{subject}_{kind}.json'


def edit(root, kind, change, subject=1):
    path = annotations(root, kind, subject)
    content = load_json(path)
    change(content)
    path.write_text(json.dumps(content))


def converted(source, unit=SEQUENCE):
    return source.convert(unit)


@pytest.mark.parametrize('split', ['train', 'test'])
def test_persons_come_back(source, release, open_body_models, split):
    store = source(split=split).prepare()
    records = records_of(store)
    wanted = {key for key in release[1] if key.startswith(f'h36m/{split}')}
    if split == 'train':
        wanted = {key for key in wanted if not key.endswith('000003')}   # not of the stride
    else:
        wanted = {key for key in wanted if '/4/' in key}                 # the frontal camera
    assert set(records) == wanted and not store.manifest['dropped'] and not store.manifest['unlabelled']
    for key, record in records.items():
        one = release[1][key]
        assert_true(record, one, open_body_models, hands=())
        # only the fit's body is believed: no fingers, no face, no feet's points, no turns of wrists and ankles
        assert np.flatnonzero(record['kpts3d'][0, :, 3]).tolist() == [*range(22), *range(55, 60)]
        off = [name for name, valid in zip(BODY_NAMES[1:], record['body_pose_valid'][0], strict=True) if not valid]
        assert sorted(off) == ['left_ankle', 'left_wrist', 'right_ankle', 'right_wrist']
        assert has(record, 'has_betas', 'has_body_pose', 'has_global_orient', 'has_bbox_body', 'has_extrinsics')
        assert not any(has(record, name) for name in ('has_jaw', 'has_eyes', 'has_expression', 'has_bbox_face'))
        # the file's box, which is wider than the joints, within the picture
        box, pixels = record['bbox_body'][0], project(one['figure'].joints[[1, 2, 4, 5, 16, 17]], one['K'])
        inside = ((pixels >= 0) & (pixels <= 199)).all(1)
        assert (pixels[inside] > box[:2]).all() and (pixels[inside] < box[2:]).all()
        assert box.min() >= 0 and box.max() <= 199
        path = store.path(int(record['offset'][0]))
        assert path.endswith(f'{int(key[-6:]) + 1:06d}.jpg') and f'_ca_0{key.split("/")[3]}/' in path


def test_each_convention_matters(release):
    """What a reader gets that misses a trap: centimetres at least."""
    root = release[0]
    camera, fit = load_json(annotations(root, 'camera'))['1'], load_json(annotations(root, 'SMPLX_NeuralAnnot'))['2']['1']['0']
    assert np.linalg.norm(camera['t']) > 100 and np.linalg.norm(fit['trans']) < 20              # mm beside m
    R, t, x = np.array(camera['R']), np.array(camera['t']) / 1000, np.array(fit['trans'])
    assert np.linalg.norm((R @ x + t) - R @ (x - t)) > 0.1                                       # the direction of t
    one = release[1][f'h36m/train/{SEQUENCE}/1/000000']['figure']
    root_joint = one.joints[0] - one.transl
    assert np.linalg.norm(R @ root_joint - root_joint) > 0.05                                    # about the pelvis
    other = release[1][f'h36m/train/{SEQUENCE}/1/000005']['figure']
    assert np.linalg.norm(one.joints - other.joints, axis=1).max() > 0.1                         # the number of the image
    assert isinstance(next(iter(load_json(annotations(root, 'joint_3d')))), str)


def test_each_body_is_posed_once(source, monkeypatch):
    """Cameras share frames; each one's records are those that it gives alone."""
    posed = count_posed(monkeypatch)
    both = converted(source())
    assert len(both.records) == 4 and posed == [2]
    for camera in (1, 4):
        assert_same(both.records[both.records['view'] == camera], converted(source(views=(camera,))).records)


def test_samples(source, release, open_body_models):
    dataset = DATASETS.build(dict(type='PersonDataset', pipeline=PIPELINE, source=dict(
        type='H36MSource', data_root=str(release[0]), body_model_root=str(open_body_models))))
    sample = dataset[0]['data_samples']
    assert sample.gt.has_betas and sample.gt.betas.any() and not sample.gt.has_boxes.any() and not sample.gt.has_expression
    assert sample.gt.pose_valid.sum() == 22 - 4 and 'has_vertices' not in sample.gt
    assert dataset.metainfo == dict(dataset='h36m', split='train', stride=5, views=(1, 2, 3, 4))
    with pytest.raises(ValueError, match='hand of the sides'):
        HandDataset(source())


def test_options(source, release):
    assert len(PersonDataset(source(stride=1, views=(4,)))) == 7
    test = source(split='test', views=(1, 4), stride=1)
    assert len(PersonDataset(test)) == 6 and test.protocol == dict(split='test', stride=1, views=(1, 4))
    for wrong in (dict(split='val'), dict(stride=0), dict(views=(0,)), dict(views=())):
        with pytest.raises(ValueError, match=f'{next(iter(wrong))} is '):
            source(**wrong)
    ours = source()
    first, again = ours.convert(SEQUENCE), pickle.loads(pickle.dumps(ours)).convert(SEQUENCE)
    assert first.keys == again.keys and (first.records == again.records).all()
    assert ours.about() == source().about() != source(stride=1).about()


def test_faults_are_counted(copy, source):
    folder = copy / 'images' / f'{SEQUENCE}_ca_01'
    (folder / f'{folder.name}_000001.jpg').unlink()
    cut = folder / f'{folder.name}_000006.jpg'
    cut.write_bytes(cut.read_bytes()[:-60])
    shutil.rmtree(copy / 'images' / f'{SEQUENCE}_ca_04')
    assert converted(source(copy)).dropped == dict(missing_image=1, corrupt_image=1, view_without_images=2)
    edit(copy, 'SMPLX_NeuralAnnot', lambda content: content['2']['1'].pop('0'), subject=5)
    edit(copy, 'data', lambda content: content['annotations'].pop(), subject=6)
    edit(copy, 'data', lambda content: content['images'][0].update(width=180), subject=7)
    edit(copy, 'SMPLX_NeuralAnnot', lambda content: content['2']['1']['0']['trans'].__setitem__(0, float('nan')), subject=8)
    found = {n: converted(source(copy), f's_{n:02d}_act_02_subact_01').dropped for n in (5, 6, 7, 8)}
    assert found == {5: dict(frame_without_fit=2), 6: dict(image_without_box=1), 7: dict(image_of_other_size=1),
                     8: dict(not_finite=2)}
    edit(copy, 'data', lambda content: content['annotations'][0].update(bbox=[900, 900, 50, 50]), subject=9)
    test = source(copy, split='test', views=(1, 4))
    assert converted(test, 's_09_act_02_subact_01').dropped == dict(person_outside_image=1)


def test_bodies_are_compared_with_mocap_and_boxes(copy, source):
    def lift(content):
        content['2']['1']['0'] = (np.array(content['2']['1']['0']) + [0, 0, 300]).tolist()
    edit(copy, 'joint_3d', lift)
    assert converted(source(copy)).dropped == dict(joints_away_from_mocap=2)
    edit(copy, 'joint_3d', lambda content: content['2']['1']['5'][16].__setitem__(0, 9000))  # one wrist
    assert converted(source(copy)).dropped == dict(joints_away_from_mocap=4)
    annotations(copy, 'joint_3d').unlink()
    assert not converted(source(copy)).dropped
    edit(copy, 'data', lambda content: content['annotations'][0].update(bbox=[0, 0, 30, 20]))
    part = converted(source(copy))
    assert part.dropped == dict(joints_outside_box=1) and len(part.keys) == 3 == len(part.records) == len(part.paths)
    edit(copy, 'camera', lambda content: [one.update(t=[x / 1000 for x in one['t']]) for one in content.values()])
    with pytest.raises(ValueError, match='camera.json.*cameras in mm'):  # metres would be another edition
        converted(source(copy))


def test_numbers_of_images_are_held_to_their_frames(copy, source):
    edit(copy, 'data', lambda content: content['images'][0].update(frame_idx=10))
    with pytest.raises(ValueError, match='frame_idx 10.*frame_idx [+] 1'):
        converted(source(copy))
    folder = copy / 'images' / 's_05_act_02_subact_01_ca_04'
    (folder / f'{folder.name}_000001.jpg').rename(folder / f'{folder.name}_000000.jpg')
    with pytest.raises(ValueError, match='000000.jpg exists.*numbered from 1'):
        converted(source(copy), 's_05_act_02_subact_01')
    edit(copy, 'data', lambda content: content['images'][0].update(action_idx=1), subject=6)
    with pytest.raises(ValueError, match='action 1'):
        converted(source(copy), 's_06_act_02_subact_01')


@pytest.mark.parametrize('kind, change', [
    ('data', lambda content: content.pop('images')), ('data', lambda content: content['images'][0].pop('cam_idx')),
    ('data', lambda content: content['annotations'][0].update(bbox=[1, 2])), ('camera', lambda content: content.pop('4')),
    ('camera', lambda content: content['1'].update(R=[[2, 0, 0], [0, 1, 0], [0, 0, 1]])),
    ('SMPLX_NeuralAnnot', lambda content: content['2']['1']['0'].update(shape=[0])),
    ('SMPLX_NeuralAnnot', lambda content: content.update({'2': []})),
    ('joint_3d', lambda content: content['2']['1'].update({'0': [[1, 2, 3]]}))])
def test_damaged_files_leave_their_sequence_out(copy, source, kind, change):
    edit(copy, kind, change)
    part = converted(source(copy))
    assert part.dropped == dict(sequence_with_damaged_files=1) and not len(part.records)


def test_what_is_missing_is_said(copy, source, tmp_path, open_body_models):
    annotations(copy, 'camera', 8).unlink()
    with pytest.raises(FileNotFoundError, match=r'(?s)subject8_camera.json does not exist.*NeuralAnnot'):
        source(copy).prepare()
    with pytest.raises(FileNotFoundError, match='vision.imar.ro'):
        source(tmp_path).prepare()
    with pytest.raises(FileNotFoundError, match='SMPL-X'):
        H36MSource(copy, tmp_path).prepare()
