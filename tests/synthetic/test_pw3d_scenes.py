"""The open 3DPW: SMPL's annotation is the rendered SMPL-X body, cameras and keypoints agree, runs go on."""
import hashlib
import pickle

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hmradapter.body_models import SMPLLayer, SMPLXLayer
from hmradapter.fileio.pickles import load_pickle
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.synthetic.pw3d_scenes import PW3DRecipe, generate_pw3d, moving_camera

KEYS = {'sequence', 'genders', 'poses', 'trans', 'betas', 'cam_poses', 'cam_intrinsics', 'campose_valid', 'poses2d',
        'jointPositions', 'poses_60Hz', 'trans_60Hz', 'img_frame_ids', 'betas_clothed', 'v_template_clothed', 'texture_maps'}


@pytest.fixture(scope='module')
def recipe(open_body_models):
    return PW3DRecipe(train=0, validation=0, test=2, frames=3, size=(180, 320), seed=1, body_models=str(open_body_models))


@pytest.fixture(scope='module')
def pw3d(recipe, tmp_path_factory):
    out = tmp_path_factory.mktemp('pw3d') / 'data'
    assert generate_pw3d(recipe, out)['images'] == 6
    return out


@pytest.fixture(scope='module')
def sequences(pw3d):
    """As readers of the real data set load them; our own reader gives the same."""
    found = []
    for path in sorted((pw3d / 'sequenceFiles' / 'test').glob('*.pkl')):
        with open(path, 'rb') as file:
            found.append(pickle.load(file, encoding='latin1'))
        np.testing.assert_array_equal(load_pickle(path)['poses'][0], found[-1]['poses'][0])
    return found


def test_files_and_keys_are_3dpws(pw3d, sequences):
    assert [content['sequence'] for content in sequences] == ['open_test_00', 'open_test_01']
    assert [len(content['genders']) for content in sequences] == [1, 2]
    for content, shape in zip(sequences, ((320, 180, 3), (180, 320, 3)), strict=True):
        assert set(content) == KEYS
        assert set(content['genders']) <= {'m', 'f'}
        for k in range(len(content['genders'])):
            assert content['poses'][k].shape == content['jointPositions'][k].shape == (3, 72)
            assert content['trans'][k].shape == (3, 3) and content['betas'][k].shape == (10,)
            assert content['poses2d'][k].shape == (3, 3, 18) and content['campose_valid'][k].shape == (3,)
            assert (content['campose_valid'][k] == 0).any() and content['poses_60Hz'][k].shape == (6, 72)
        names = sorted((pw3d / 'imageFiles' / content['sequence']).iterdir())
        assert [path.name for path in names] == [f'image_{k:05d}.jpg' for k in range(3)]
        assert cv2.imread(str(names[0])).shape == shape
        assert not np.allclose(content['cam_poses'][0], content['cam_poses'][1])  # the camera moves


def smpl_and_smplx(content, k, root):
    gender = dict(m='male', f='female')[content['genders'][k]]
    turns = axis_angle_to_rotmat(torch.from_numpy(content['poses'][k]).reshape(-1, 24, 3)).float()
    betas, transl = (torch.from_numpy(content[name][k]).float() for name in ('betas', 'trans'))
    betas = betas.expand(len(turns), -1)
    return (SMPLLayer(root, gender)(turns[:, :1], turns[:, 1:], betas, transl),
            SMPLXLayer(root, gender)(turns[:, :1], turns[:, 1:22], betas=betas, transl=transl))


def test_annotations_are_the_body_in_both_layouts(sequences, open_body_models):
    """Below 0.01 mm, the figure that the layout's docstring tells."""
    matrix = torch.from_numpy(load_pickle(open_body_models / 'smplx2smpl.pkl')['matrix']).float()
    for content in sequences:
        for k in range(len(content['genders'])):
            smpl, body = smpl_and_smplx(content, k, open_body_models)
            assert_close(matrix @ body.vertices, smpl.vertices, atol=1e-5, rtol=0)
            assert_close(smpl.joints.flatten(1), torch.from_numpy(content['jointPositions'][k]).float(), atol=1e-5, rtol=0)


def test_joints_project_onto_the_keypoints_where_the_camera_is_valid(sequences, open_body_models):
    """To 0.01 px; and where campose_valid is 0, far off."""
    for content in sequences:
        for k in range(len(content['genders'])):
            joints = smpl_and_smplx(content, k, open_body_models)[1].joints.double().numpy()
            camera = np.einsum('nij,nkj->nki', content['cam_poses'][:, :3, :3], joints) + content['cam_poses'][:, None, :3, 3]
            pixels = camera @ content['cam_intrinsics'].T
            pixels = (pixels[..., :2] / pixels[..., 2:])[:, [17, 19, 21, 16, 18, 20]]  # shoulders, elbows, wrists
            told = content['poses2d'][k].swapaxes(1, 2)[:, [2, 3, 4, 5, 6, 7]]
            off = np.where(told[..., 2] > 0, np.linalg.norm(pixels - told[..., :2], axis=-1), np.nan)
            valid = content['campose_valid'][k] > 0
            assert np.nanmax(off[valid]) < 0.01
            assert np.nanmin(off[~valid]) > 1
            assert (told[..., 2] > 0).mean() > 0.9


def test_a_lost_sequence_is_made_again_bit_for_bit(recipe, pw3d):
    before = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in pw3d.rglob('*') if path.is_file()}
    (pw3d / 'sequenceFiles/test/open_test_00.pkl').unlink()
    (pw3d / 'imageFiles/open_test_00/image_00001.jpg').unlink()
    assert generate_pw3d(recipe, pw3d)['images'] == 3
    assert {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in pw3d.rglob('*') if path.is_file()} == before


def test_two_people_stand_apart(sequences):
    a, b = (joints.reshape(3, 24, 3) for joints in sequences[1]['jointPositions'])
    assert np.linalg.norm((a - b)[:, 0, :2], axis=-1).min() > 0.4


def test_the_moving_camera_keeps_its_subject_in_sight():
    centre = np.array([0.2, -0.1, 1.0]) + np.linspace(0, 1, 20)[:, None] * (0, -1, 0)
    for camera, point in zip(moving_camera(20, centre, (540, 960), 1.0, np.random.default_rng(0)), centre, strict=True):
        assert ((camera.project(point) > (100, 200)) & (camera.project(point) < (440, 760))).all()


def test_bad_recipes_of_3dpw_are_named():
    with pytest.raises(ValueError, match='at least one sequence'):
        PW3DRecipe(train=0, validation=0, test=0)
