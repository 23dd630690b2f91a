"""RICH out into camera 0's frame and pickles and back through the reader; each trap and each fault planted once."""
import json
import pickle
import shutil

import cv2
import numpy as np
import pytest
import torch
from layout_checks import assert_same, assert_true, count_posed, has, layer_of, records_of

from hmradapter.body_models.model_files import BodyModelFileError
from hmradapter.datasets import HandDataset
from hmradapter.datasets.sources import RICHSource, rich
from hmradapter.datasets.sources.rich_files import read_body, read_calibration, subjects_of
from hmradapter.fileio import DamagedFileError, UnsafeFileError
from hmradapter.registry import DATASETS
from hmradapter.synthetic.layouts import write_rich
from hmradapter.synthetic.layouts.rich import ALONE, PAIR

PIPELINE = [dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'),
            dict(type='PackPersonInputs')]
PLANTED = dict(camera_without_calibration=1, image_without_body=1)


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('rich')
    return root, write_rich(root, open_body_models)


@pytest.fixture(autouse=True)
def one_layer(monkeypatch):
    """Reading a model takes a second; the tests share it."""
    monkeypatch.setattr(rich, 'SMPLXLayer', layer_of)


@pytest.fixture
def copy(release, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(release[0], root, ignore=shutil.ignore_patterns('prepared'))
    return root


@pytest.fixture
def source(release, open_body_models):
    return lambda root=None, **options: RICHSource(root or release[0], open_body_models, **options)


def body_path(root, frame=7, subject='003', split='train', sequence=PAIR):
    return root / 'data' / 'bodies' / split / sequence / f'{frame:05d}' / f'{subject}.pkl'


def edit(root, change, **where):
    path = body_path(root, **where)
    content = pickle.loads(path.read_bytes())
    change(content)
    path.write_bytes(pickle.dumps(content, protocol=2))


def calibration(root, camera, scene='Pavallion'):
    return root / 'data' / 'scan_calibration' / scene / 'calibration' / f'{camera:03d}.xml'


@pytest.mark.parametrize('split', ['train', 'val'])
def test_persons_come_back(source, release, open_body_models, split):
    store = source(split=split).prepare()
    records = records_of(store)
    assert set(records) == {key for key in release[1] if key.startswith(f'rich/{split}/')}
    assert store.manifest['dropped'] == (PLANTED if split == 'train' else {}) and not store.manifest['unlabelled']
    for key, record in records.items():
        assert_true(record, release[1][key], open_body_models)
        sequence, camera, frame, subject = key.split('/')[2:]
        assert store.path(int(record['offset'][0])).startswith(
            f'data/images/{split}/{sequence}/cam_{int(camera):02d}/{frame}_{int(camera):02d}.')
        assert [record[name][0] for name in ('view', 'frame')] == [int(camera), int(frame)]
        assert record['person'][0] == subjects_of(sequence).index(int(subject))
        assert record['gender'][0] == (1 if subject == '003' else 2)
        assert has(record, 'has_betas', 'has_jaw', 'has_eyes', 'has_expression', 'has_extrinsics', 'has_bbox_face',
                   'has_bbox_body')
        assert record['num_betas'][0] == 10 and not has(record, 'has_dist')
        assert record['body_pose_valid'].all() and np.abs(record['expression']).max() > 0.01


def test_each_convention_matters(source, release, open_body_models):
    """What a reader gets that misses a trap: millimetres or more, a hundred times what the tests allow."""
    root, truth = release
    body = read_body(body_path(root))
    layers = {gender: layer_of(str(open_body_models), gender, face_contour=False) for gender in ('male', 'female', 'neutral')}
    betas = torch.from_numpy(body['betas'][None]).float()
    rest = {gender: layer(betas=betas).joints for gender, layer in layers.items()}
    assert min((rest['male'] - rest[other]).norm(dim=-1).max() for other in ('female', 'neutral')) > 0.002    # gender
    true = truth[f'rich/train/{PAIR}/0/00007/003']['figure'].hand_pose[0].ravel()
    absolute = layers['male'].hand_pose('left', torch.from_numpy(body['left_hand_pose'][None]))[0].numpy()
    assert np.abs(absolute - true).max() < 1e-5
    with pytest.raises(BodyModelFileError, match='left hand has 45 components, not 46'):
        layers['male'].hand_pose('left', torch.zeros(1, 46))
    assert layers['male'].left_hand_mean.abs().max() > 0.1  # residual hands
    near, far = (truth[f'rich/train/{PAIR}/{camera}/00007/003']['figure'].joints for camera in (0, 3))
    assert np.linalg.norm(near - far, axis=1).min() > 0.1  # each its camera
    full = read_calibration(calibration(root, 0, 'LectureHall')).intrinsics
    assert full[0, 0] == pytest.approx(8 * 600) and full[0, 2] == pytest.approx(8 * 260.5 - 0.5)             # image size


def test_each_body_is_posed_once(source, copy, monkeypatch):
    """Cameras share bodies; each one's records are those that it gives alone."""
    posed = count_posed(monkeypatch)
    both = source().convert(PAIR)
    assert len(both.records) == 8 and posed == [2, 2]  # men, women
    alone = {0: None, 3: None}
    for camera, other in ((0, 3), (3, 0)):
        calibration(copy, other).rename(copy / 'aside.xml')
        alone[camera] = source(copy).convert(PAIR)
        (copy / 'aside.xml').rename(calibration(copy, other))
    for camera, part in alone.items():
        assert_same(both.records[both.records['view'] == camera], part.records)


def test_samples(release, open_body_models):
    source = dict(type='RICHSource', data_root=str(release[0]), body_model_root=str(open_body_models))
    sample = DATASETS.build(dict(type='PersonDataset', source=source, pipeline=PIPELINE))[0]['data_samples']
    assert not sample.gt.has_betas  # gendered: another space of shapes than the neutral model's
    assert sample.gt.pose_valid.all() and sample.gt.has_expression and sample.gt.has_boxes.all()
    hands = HandDataset(RICHSource(**{name: value for name, value in source.items() if name != 'type'}))
    assert len(hands) == 16
    info = hands.get_data_info(0)
    assert info['has_hand_pose'] and not info['has_betas'] and info['has_body_pose']


def test_options(source, copy):
    assert source(stride=2).convert(PAIR).records['frame'].tolist() == [8] * 4
    for wrong in (dict(split='validation'), dict(stride=0)):
        with pytest.raises(ValueError, match=f'{next(iter(wrong))} is '):
            source(**wrong)
    ours = source()
    first, again = ours.convert(PAIR), pickle.loads(pickle.dumps(ours)).convert(PAIR)
    assert first.keys == again.keys and (first.records == again.records).all()
    before = source(copy).about()
    edit(copy, lambda content: content.update(betas=content['betas'] + 1))
    assert before != source(copy).about()
    older = copy / 'data' / 'bodies' / 'train_body'  # as older copies name it
    (copy / 'data' / 'bodies' / 'train').rename(older)
    assert len(source(copy).convert(PAIR).records) == 8


def test_images_of_any_kind_and_size(copy, source):
    folder = copy / 'data' / 'images' / 'train' / PAIR / 'cam_00'
    image = cv2.imread(str(folder / '00007_00.jpeg'))
    cv2.imwrite(str(folder / '00007_00.png'), image)  # the smaller kind is read, where a frame is there twice
    cv2.imwrite(str(folder / '00008_00.PNG'), image)
    (folder / '00008_00.jpeg').unlink()
    part = source(copy).convert(PAIR)
    assert [path.rsplit('/', 1)[1] for path in part.paths] == ['00007_00.jpeg', '00008_00.PNG', '00007_03.bmp', '00008_03.bmp']
    cv2.imwrite(str(folder / '00008_00.PNG'), cv2.resize(image, (240, 240)))
    part = source(copy).convert(PAIR)
    assert part.dropped == dict(PLANTED, image_of_other_size=2) and len(part.records) == 6


def test_faults_are_counted(copy, source):
    images = copy / 'data' / 'images' / 'train' / PAIR
    (images / 'cam_00' / '00007_00.jpeg').unlink()
    cut = images / 'cam_03' / '00007_03.bmp'
    cut.write_bytes(cut.read_bytes()[:-60])
    body_path(copy, 8, '018').unlink()
    found = dict(PLANTED, missing_image=2, corrupt_image=2, subject_without_body=1)
    assert source(copy).convert(PAIR).dropped == found
    edit(copy, lambda content: content.update(transl=content['transl'] + np.float32('nan')), frame=8)
    part = source(copy).convert(PAIR)
    # nobody is left in frame 8, so its images have no body
    assert part.dropped == dict(found, not_finite=1, image_without_body=3) and not len(part.records)


def test_odd_bodies_and_subjects(copy, source):
    edit(copy, lambda content: content.update(left_hand_pose=np.zeros((1, 45), np.float32)))
    edit(copy, lambda content: content.update(transl=content['transl'] + np.float32([500, 0, 0])), frame=8)
    shutil.copy(body_path(copy, 8), body_path(copy, 8, '000'))
    path = copy / 'resource' / 'gender.json'
    genders = json.loads(path.read_text())
    del genders['18']
    path.write_text(json.dumps(genders))
    part = source(copy).convert(PAIR)
    assert part.dropped == dict(camera_without_calibration=1, image_without_body=3, damaged_body=1, subject_without_gender=2,
                                body_of_unknown_subject=1, person_outside_image=2, subject_without_body=2)
    path.write_text('{"3": "x"}')
    with pytest.raises(DamagedFileError, match='gender.json'):
        source(copy).convert(PAIR)


@pytest.mark.parametrize('raw', [
    b'', b'<opencv_storage/>', b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', b'<x>' + b' ' * 70000 + b'</x>', None])
def test_a_damaged_calibration_costs_its_camera(copy, source, raw):
    path = calibration(copy, 3)
    path.write_bytes(path.read_bytes().replace(b'<data>', b'<data> 2. ') if raw is None else raw)
    part = source(copy).convert(PAIR)
    assert part.dropped == dict(PLANTED, camera_with_damaged_calibration=2) and set(part.records['view']) == {0}


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16', 'utf-16-be', 'utf-8-sig'])
def test_a_calibration_that_declares_entities_is_refused(copy, encoding):
    path = calibration(copy, 0)
    head, body = '<?xml version="1.0"?>', path.read_text().partition('?>')[2]
    path.write_bytes((head + '<!-- <!DOCTYPE --> ' + body).encode(encoding))
    whole = read_calibration(path)                           # neither the encoding nor a remark is what it is refused for
    entity = '<!DOCTYPE opencv_storage [<!ENTITY one "1."><!ENTITY many "&one;&one;">]>'
    path.write_bytes((head + entity + body).encode(encoding))
    with pytest.raises(DamagedFileError, match='document type'):
        read_calibration(path)
    assert whole.intrinsics[0, 0] > 0


@pytest.mark.parametrize('old, new', [('CameraMatrix', 9.0), ('Intrinsics', -1.0), ('Intrinsics', float('nan'))])
def test_a_calibration_that_cannot_be(copy, old, new):
    path = calibration(copy, 0)
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    content = {name: storage.getNode(name).mat() for name in ('CameraMatrix', 'Intrinsics', 'Distortion')}
    storage.release()
    content[old][0, 0] = new
    rows = ''.join(f'<{name}><data>{" ".join(map(str, value.ravel()))}</data></{name}>' for name, value in content.items())
    path.write_text(f'<?xml version="1.0"?><opencv_storage>{rows}</opencv_storage>')
    with pytest.raises(DamagedFileError, match='000.xml'):
        read_calibration(path)


def test_what_is_missing_or_unsafe_is_said(copy, source, tmp_path, open_body_models):
    body_path(copy).write_bytes(b'cos\nsystem\n(S"true"\ntR.')
    with pytest.raises(UnsafeFileError, match='003.pkl'):
        source(copy).convert(PAIR)
    (copy / 'resource' / 'gender.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'(?s)gender.json does not exist.*rich_toolkit'):
        source(copy).prepare()
    with pytest.raises(FileNotFoundError, match=r'images/test does not exist'):
        source(copy, split='test').prepare()
    with pytest.raises(FileNotFoundError, match='SMPL-X'):
        RICHSource(source().data_root, tmp_path).prepare()


def test_scales_of_calibrations():
    K = np.array([[5000, 0, 2000], [0, 5000, 1500], [0, 0, 1]], float)
    assert rich.scaled_intrinsics(K, (4112, 3008)) is not K and (rich.scaled_intrinsics(K, (4112, 3008)) == K).all()
    half = rich.scaled_intrinsics(K, (2056, 1504))
    assert half.tolist() == [[2500, 0, 999.75], [0, 2500, 749.75], [0, 0, 1]]
    upright = np.array([[5000, 0, 1500], [0, 5000, 2000], [0, 0, 1]], float)
    assert rich.scaled_intrinsics(upright, (3008, 4112)).tolist() == upright.tolist()
    assert rich.scaled_intrinsics(upright, (4112, 3008)) is None       # lying, calibrated upright
    assert rich.scaled_intrinsics(K, (900, 900)) is None


def test_names_say_who():
    assert subjects_of(PAIR) == [3, 18] and subjects_of(ALONE) == [19] and subjects_of('ParkingLot1_004_pushup2') == [4]
