"""UBody out into its files and back through the reader; each trap and each fault planted once."""
import json
import pickle
import shutil

import numpy as np
import pytest
from coco_checks import check_fit, check_marks, has, records_of

from hmradapter.datasets import HandDataset, PersonDataset
from hmradapter.datasets.sources import UBodySource
from hmradapter.evaluation import get_protocol
from hmradapter.fileio import DamagedFileError, UnsafeFileError
from hmradapter.synthetic.layouts import write_ubody

pytest.importorskip('xtcocotools', reason='xtcocotools is not installed: requirements/runtime.txt')


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('ubody')
    return root, write_ubody(root, open_body_models)


@pytest.fixture
def copy(release, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(release[0], root, ignore=shutil.ignore_patterns('prepared'))
    return root


@pytest.fixture
def build(release, open_body_models):
    def make(root=None, split='test', stride=1, kind=PersonDataset, **options):
        return kind(UBodySource(root or release[0], open_body_models, split, stride=stride, **options), test_mode=True)
    return make


@pytest.mark.parametrize('split', ['train', 'test'])
def test_persons_come_back(build, release, open_body_models, split):
    dataset, truth = build(split=split), {key: one for key, one in release[1].items() if f'/{split}/' in key}
    records = records_of(dataset)
    assert sorted(records) == sorted(truth)
    for i in range(len(dataset)):
        info, one = dataset.get_data_info(i), truth[dataset.get_data_info(i)['key']]
        record = records[info['key']]
        assert info['img_path'].endswith(one['image'])
        check_marks(record, one)
        if not one['has_fit']:
            assert not has(record, 'has_body_pose') and not has(record, 'has_K')
            continue
        parts = [part for part, name in (('left_hand', 'lefthand'), ('right_hand', 'righthand'), ('face', 'face'))
                 if one['annotation'][f'{name}_valid']]
        check_fit(record, one, open_body_models, parts)
        if split == 'test' and len(parts) == 3:  # the fit's mesh, eyes at rest
            assert info['has_vertices'] == 1
            off = np.abs(info['vertices'].numpy() - one['figure'].vertices).max(1)
            assert np.median(off) < 1e-5 and off.max() < 0.02
    manifest = dataset.store.manifest
    assert manifest['dropped'] == (dict(of_another_split=2, not_valid_label=1) if split == 'test' else dict(of_another_split=4))
    assert manifest['unlabelled'] == (dict(no_fit=1) if split == 'train' else {})
    assert (manifest['meshes'] is None) == (split == 'train')


def test_boxes_of_hands_are_tight_ones(build, release):
    for key, record in records_of(build()).items():
        for i, side in enumerate(('left', 'right')):
            mark = release[1][key]['annotation']
            points = np.reshape(mark[f'{side}hand_kpts'], (-1, 3))
            points = points[points[:, 2] > 0.3, :2]
            if len(points) >= 3:
                np.testing.assert_allclose(record['bbox_hand'][i], [*points.min(0), *points.max(0)], atol=1e-3)
                assert mark[f'{side}hand_box'][2] > 1.4 * np.ptp(points[:, 0])  # the trap
    assert len(build(kind=HandDataset)) >= 4


def test_splits_and_strides(build):
    """A stride counts a scene's annotations as they lie in the file, the first being number 1."""
    assert [key for key in records_of(build(stride=2))] == ['ubody/test/Speech/101/7003', 'ubody/test/TalkShow/101/7003']
    inter = records_of(build(protocol='inter-scene', split='train'))
    assert all('/Speech/' in key for key in inter) and len(inter) == 3
    source = build(split='train', stride=1).source
    assert source.metainfo == dict(dataset='ubody', protocol='intra-scene', split='train', stride=1, keep_vertices=False)
    official = UBodySource('x', 'y').metainfo
    protocol = get_protocol('ubody')
    assert protocol.on(official) is protocol                              # no star: 'intra-scene test', every 100th
    assert UBodySource('x', 'y', 'train').stride == 10


def test_faults_are_counted(copy, build):
    path = copy / 'annotations' / 'Speech' / 'keypoint_annotation.json'
    content = json.loads(path.read_text())
    del content['annotations'][0]['valid_label']
    path.write_text(json.dumps(content))
    (copy / 'annotations' / 'TalkShow' / 'smplx_annotation.json').write_text('{"7000": ')
    dataset = build(copy)
    assert dataset.store.manifest['dropped'] == dict(damaged_annotation=1, damaged_scene=1, of_another_split=1)
    (copy / 'annotations' / 'TalkShow' / 'smplx_annotation.json').unlink()
    assert build(copy).store.manifest['dropped'] == dict(damaged_annotation=1, scene_without_fits=1, of_another_split=1)


def test_what_cannot_be_used_is_said(copy, build, tmp_path, open_body_models):
    with pytest.raises(FileNotFoundError, match='keypoint_annotation.json does not exist'):
        build(tmp_path / 'nowhere')
    for wrong in (dict(split='val'), dict(protocol='intra'), dict(stride=0)):
        with pytest.raises(ValueError, match=f'{next(iter(wrong))} is '):
            build(copy, **wrong)
    names = copy / 'splits' / 'intra_scene_test_list.npy'
    np.save(names, np.array(['Speech_V100']))
    with pytest.raises(ValueError, match='intra_scene_test_list.npy names.*Speech_V100.*not the names of the videos'):
        build(copy, split='train')
    np.save(names, np.array([['Speech_V1']]))
    with pytest.raises(DamagedFileError, match='intra_scene_test_list'):
        build(copy)
    np.save(names, np.array(['Speech_V1', 'TalkShow_V8'], object))  # objects, read without running them
    assert len(build(copy)) == 3
    names.write_bytes(_evil(names.read_bytes()))
    with pytest.raises(UnsafeFileError, match='intra_scene_test_list'):
        build(copy)
    names.unlink()
    with pytest.raises(FileNotFoundError, match='intra_scene_test_list.npy does not exist'):
        build(copy)
    with pytest.raises(FileNotFoundError, match='No SMPL-X model at'):
        PersonDataset(UBodySource(copy, tmp_path, protocol='inter-scene'), test_mode=True)


def _evil(npy: bytes) -> bytes:
    """The same header before a pickle that asks for a program."""
    return npy[:npy.index(b'\n') + 1] + b'cos\nsystem\n(S"true"\ntR.'


def test_a_source_travels(release, open_body_models):
    source = UBodySource(release[0], open_body_models, stride=1)
    assert len(source.units) == 2
    twin = pickle.loads(pickle.dumps(source))
    for unit in source.units:
        assert twin(unit).records.tobytes() == source(unit).records.tobytes()
