"""EHF out into the scanner's frame and back through the reader; each trap and each fault planted once."""
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
import trimesh
from ehf_fixture import BROW, CHIN, FRAMES, LEFT_THUMB_TIP, LEFT_WRIST, NOSE, OFFSET, RIGHT_EYE, project, write_ehf

from hmradapter.datasets import PersonDataset
from hmradapter.datasets.record import check_records
from hmradapter.datasets.sources import EHFSource
from hmradapter.fileio import DamagedFileError
from hmradapter.registry import DATASETS
from hmradapter.structures import hmr_collate
from hmradapter.structures.joints import WHOLE137_FROM_SMPLX144

PIPELINE = [dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'),
            dict(type='PackPersonInputs')]


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('ehf')
    return root, write_ehf(root, open_body_models)


@pytest.fixture
def copy(release, tmp_path):
    """A release that a test may damage."""
    root = tmp_path / 'data'
    shutil.copytree(release[0], root, ignore=shutil.ignore_patterns('prepared'))
    return root


def ehf(root, test_mode=True, **options):
    return PersonDataset(EHFSource(root, **options), test_mode=test_mode)


def counts(dataset):
    return dataset.store.manifest['dropped'], dataset.store.manifest['unlabelled']


@pytest.mark.parametrize('boxes', ['json', 'mesh'])
def test_meshes_come_back(release, boxes):
    root, truth = release
    dataset = ehf(str(root), boxes=boxes)
    assert len(dataset) == 3 and counts(dataset) == ({}, {}) and dataset.metainfo['boxes'] == boxes
    for i, name in enumerate(FRAMES):
        info = dataset.get_data_info(i)
        vertices = truth[name]['vertices']
        assert info['has_vertices'] == 1 and np.abs(info['vertices'].numpy() - vertices).max() < 1e-5
        seen = info['vertices'].numpy()[:, :2] / info['vertices'].numpy()[:, 2:] * info['focal'] + info['princpt']
        assert np.abs(seen - project(vertices)).max() < 0.01
        low, high = project(vertices).min(0), project(vertices).max(0)
        margin = 7 if boxes == 'json' else 0
        np.testing.assert_allclose(info['bbox_xywh'], [*(low - margin), *(high - low + 2 * margin)], atol=0.01)
        assert info['has_part_boxes'].tolist() == ([1, 0, 1] if boxes == 'json' else [0, 0, 0])
        assert info['img_path'].endswith(f'{name}_img.jpg' if boxes == 'json' else f'{name}_img.png')
        assert info['key'] == f'ehf/test/{name}' and info['gender'] == 'neutral' and info['visibility'] is None
        assert not info['pose_valid'].any() and not info['has_betas'] and not info['keypoints_3d'].any()
        check_records(np.array([dataset.store.record(i)]))


def test_the_move_matters(release):
    """What a reader gets that forgets the camera's turn or shift: metres, so the tolerance above holds them."""
    raw = trimesh.load(release[0] / '01_align.ply', process=False).vertices
    vertices = release[1]['01']['vertices']
    assert np.abs(raw - vertices).max() > 1 and np.linalg.norm(OFFSET) > 1


def test_openpose_joints_by_name(release):
    info = ehf(str(release[0])).get_data_info(1)
    pixels, found = project(release[1]['02']['joints']), info['keypoints_2d'].numpy()
    confidence = {NOSE: 0.9, LEFT_WRIST: 0.9, RIGHT_EYE: 0.9, CHIN: 0.8, BROW: 0.7, LEFT_THUMB_TIP: 1.0}
    expected = np.zeros((137, 3))
    for row, joint in enumerate(WHOLE137_FROM_SMPLX144):
        if joint in confidence:
            expected[row] = [*pixels[joint], confidence[joint]]
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert (found[:, 2] > 0).sum() == 7  # the eye is a body and a face joint


def test_samples_of_a_batch(release):
    source = dict(type='EHFSource', data_root=str(release[0]))
    dataset = DATASETS.build(dict(type='PersonDataset', source=source, pipeline=PIPELINE, test_mode=True))
    batch = hmr_collate([dataset[i] for i in range(3)])
    sample = batch['data_samples']
    assert batch['inputs'].shape == (3, 3, 256, 192) and batch['inputs'].float().mean((1, 2, 3)).diff().gt(20).all()
    assert sample.gt.has_vertices.tolist() == [1, 1, 1]
    np.testing.assert_allclose(sample.gt.vertices[2], release[1]['10']['vertices'], atol=1e-5)
    assert not torch.stack([value.float().isnan().any() for *_, value in sample.tensors()]).any()


def test_faults_are_counted(copy, open_body_models):
    write_ehf(copy / 'more', open_body_models, seed=1)
    for number, source in zip(range(20, 29), [*FRAMES] * 3, strict=True):
        for kind in ('img.png', 'align.ply', '2Djnt.json'):
            shutil.copy(copy / 'more' / f'{source}_{kind}', copy / f'{number}_{kind}')
    (copy / '20_img.png').unlink()
    (copy / '21_align.ply').unlink()
    (copy / '22_align.ply').write_bytes((copy / '22_align.ply').read_bytes()[:5000])
    cv2.imwrite(str(copy / '23_img.png'), np.zeros((120, 160, 3), np.uint8))
    (copy / '24_img.png').write_bytes((copy / '24_img.png').read_bytes()[:500])
    mesh = trimesh.load(copy / '25_align.ply', process=False)
    trimesh.Trimesh(mesh.vertices + [0, 0, 50.0], mesh.faces, process=False).export(copy / '25_align.ply')
    trimesh.creation.box().export(copy / '26_align.ply')
    (copy / '27_2Djnt.json').unlink()
    (copy / '28_2Djnt.json').write_text(json.dumps(dict(people=[])))
    dataset = ehf(str(copy), boxes='mesh')
    assert counts(dataset) == (dict(missing_image=1, missing_mesh=1, damaged_mesh=1, image_of_other_size=1, corrupt_image=1,
                                    mesh_outside_image=1, mesh_of_other_topology=1),
                               dict(joints_file_missing=1, joints_file_damaged=1))
    assert [dataset.get_data_info(i)['key'][-2:] for i in range(len(dataset))] == ['01', '02', '10', '27', '28']
    assert not dataset.get_data_info(3)['keypoints_2d'].any()
    listed = ehf(str(copy), boxes='json')  # frames that EHF.json does not list have no box
    assert len(listed) == 3 and counts(listed)[0]['frame_without_box'] == 2


def test_what_cannot_be_used_is_said(copy, tmp_path):
    with pytest.raises(FileNotFoundError, match='(?s)NN_align.ply.*smpl-x.is.tue.mpg.de'):
        ehf(str(tmp_path))
    with pytest.raises(ValueError, match="boxes is 'coco'"):
        ehf(str(copy), boxes='coco')
    with pytest.raises(ValueError, match='evaluation only'):
        ehf(str(copy), test_mode=False)
    (copy / 'EHF.json').write_text(json.dumps(dict(images=[dict(id=1)])))
    with pytest.raises(DamagedFileError, match='EHF.json'):
        ehf(str(copy))
    (copy / 'EHF.json').unlink()
    assert ehf(str(copy)).metainfo['boxes'] == 'mesh'
    with pytest.raises(FileNotFoundError, match='EHF.json'):
        ehf(str(copy), boxes='json')


def test_no_usable_frame_is_an_error(copy):
    for name in FRAMES:
        (copy / f'{name}_img.png').unlink(), (copy / f'{name}_img.jpg').unlink()
    with pytest.raises(ValueError, match="would have no record.*3 x missing_image"):
        ehf(str(copy))
