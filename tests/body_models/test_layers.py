"""Layers against the stock `smplx` package (the plain twin of our skinning) and against HaMeR's recorded outputs."""
import numpy as np
import pytest
import smplx
import torch
from torch.testing import assert_close

from hmradapter.body_models import MANOLayer, SMPLXLayer
from hmradapter.geometry.kinematics import move_root
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import BODY_MODELS

POSE = {'global_orient': 1, 'body_pose': 21, 'left_hand_pose': 15, 'right_hand_pose': 15, 'jaw_pose': 1, 'leye_pose': 1,
        'reye_pose': 1}


@pytest.fixture(scope='module')
def mano(open_body_models):
    return MANOLayer(open_body_models)


@pytest.fixture(scope='module')
def body(open_body_models):
    return SMPLXLayer(open_body_models)


def rotations(count, batch=3, size=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return axis_angle_to_rotmat(size * torch.randn(batch, count, 3, generator=generator))


def coefficients(batch=3, count=10, seed=0):
    return torch.randn(batch, count, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('fixture', ['small', 'small_ief', 'small_eps'])
def test_hamer_vertices_and_keypoints_are_reproduced(parity_file, fixture):
    file = np.load(parity_file(f'hamer/{fixture}_io.npz'))
    stored = {name: torch.from_numpy(file[name]) for name in file if name.startswith('out.')}
    layer = MANOLayer(parity_file('hamer/mano_synth.npz'))
    out = layer(stored['out.global_orient'], stored['out.hand_pose'], stored['out.betas'])
    assert_close(out.vertices, stored['out.vertices'], atol=2e-6, rtol=0)
    assert_close(out.keypoints, stored['out.keypoints_3d'], atol=2e-6, rtol=0)


@pytest.mark.parametrize('side', ['right', 'left'])
def test_mano_equals_stock_smplx(open_body_models, side):
    ours = MANOLayer(open_body_models, side)
    stock = smplx.MANOLayer(str(open_body_models / 'mano'), is_rhand=side == 'right')
    pose = dict(global_orient=rotations(1), hand_pose=rotations(15), betas=coefficients(), transl=coefficients(count=3))
    expected, out = stock(**pose), ours(**pose)
    assert_close(out.vertices, expected.vertices, atol=1e-6, rtol=0)
    assert_close(out.joints, expected.joints, atol=1e-6, rtol=0)


def test_smplx_equals_stock_smplx(open_body_models):
    pose = {name: rotations(count, seed=k) for k, (name, count) in enumerate(POSE.items())}
    pose.update(betas=coefficients(), expression=coefficients(seed=1), transl=coefficients(count=3))
    stock = smplx.create(str(open_body_models), model_type='smplx', gender='female', num_betas=10, num_expression_coeffs=10,
                         use_face_contour=True, use_pca=False, flat_hand_mean=True)
    layer = smplx.SMPLXLayer(str(open_body_models / 'smplx'), gender='female', num_betas=10, num_expression_coeffs=10,
                             use_face_contour=True)
    out, expected = SMPLXLayer(open_body_models, 'female')(**pose), layer(**pose)
    assert stock.faces.shape == layer.faces.shape
    assert out.joints.shape == (3, 144, 3)
    assert_close(out.vertices, expected.vertices, atol=2e-6, rtol=0)
    ours_only = slice(55, 76)  # smplx reads nose, toes and tips at the licensed mesh's vertex ids
    keep = np.delete(np.arange(144), ours_only)
    assert_close(out.joints[:, keep], expected.joints[:, keep], atol=2e-6, rtol=0)
    assert SMPLXLayer(open_body_models, face_contour=False)().joints.shape == (1, 127, 3)


def test_parts_that_are_not_given_are_at_rest_and_one_row_serves_a_batch(body):
    pose = rotations(21)
    assert_close(body(body_pose=pose).vertices,
                 body(body_pose=pose, jaw_pose=torch.eye(3).expand(1, 1, 3, 3), betas=torch.zeros(1, 10)).vertices)


@pytest.mark.parametrize('name', ['mano', 'body'])
def test_moving_the_root_moves_the_mesh(name, request):
    """FK(params moved by R, t) = R FK(params) + t, which fails by the root joint's distance if J0 is forgotten."""
    layer = request.getfixturevalue(name)
    rotation, translation = rotations(1, size=2.)[:, 0], coefficients(count=3, seed=2)
    betas, transl = coefficients(), coefficients(count=3)
    orient = rotations(1, seed=4)
    rest = dict(hand_pose=rotations(15)) if name == 'mano' else dict(body_pose=rotations(21))
    before = layer(global_orient=orient, betas=betas, transl=transl, **rest).vertices
    moved_orient, moved_transl = move_root(orient[:, 0], transl, layer.root_joint(betas), rotation, translation)
    after = layer(global_orient=moved_orient[:, None], betas=betas, transl=moved_transl, **rest).vertices
    assert layer.root_joint(betas).norm(dim=-1).min() > 0.05
    assert_close(after, before @ rotation.transpose(1, 2) + translation[:, None], atol=3e-6, rtol=0)


def test_nothing_is_stored_in_checkpoints_or_trained(mano, body):
    for layer in (mano, body):
        assert not layer.state_dict()
        assert not list(layer.parameters())
        assert BODY_MODELS.get(type(layer).__name__) is type(layer)


def test_autocast_does_not_reach_the_skinning(mano):
    pose = rotations(1), rotations(15), coefficients()
    with torch.autocast('cpu', torch.bfloat16):
        assert_close(mano(*pose).vertices, mano(*pose).vertices.float())
        half = mano(*pose).vertices
    assert_close(half, mano(*pose).vertices, atol=0, rtol=0)


def test_gradients_reach_pose_shape_and_translation(mano):
    inputs = [x.requires_grad_() for x in (rotations(1), rotations(15), coefficients(), torch.zeros(3, 3))]
    mano(*inputs).keypoints.square().sum().backward()
    assert all(x.grad.abs().sum() > 0 for x in inputs)


def test_a_twin_with_another_template_shares_everything_else(body):
    betas = coefficients(batch=1)
    shaped = body(betas=betas).vertices[0]
    twin = body.with_template(shaped.numpy())
    assert twin.directions is body.directions
    assert_close(twin().vertices[0], shaped, atol=1e-6, rtol=0)
    assert_close(twin.root_joint(), body.root_joint(betas), atol=1e-6, rtol=0)
    assert_close(body(betas=betas).vertices[0], shaped, atol=0, rtol=0)
    with pytest.raises(ValueError, match='same model'):
        body.with_template(np.zeros((10475, 3)))


def test_wrong_arguments_are_named(open_body_models, mano, body):
    with pytest.raises(ValueError, match='num_betas=12'):
        mano(rotations(1), rotations(15), torch.zeros(3, 12))
    with pytest.raises(ValueError, match='body_pose'):
        body(body_pose=torch.zeros(3, 63))
    with pytest.raises(ValueError, match="'centre'"):
        MANOLayer(open_body_models, 'centre')
    with pytest.raises(ValueError, match="'other'"):
        SMPLXLayer(open_body_models, 'other')
    with pytest.raises(ValueError, match='num_betas=11'):
        SMPLXLayer(open_body_models, num_betas=11)


@pytest.mark.parametrize('face_contour', [True, False])
def test_smplx_without_its_mesh_has_the_same_joints_and_gradients(open_body_models, face_contour):
    layer = SMPLXLayer(open_body_models, face_contour=face_contour)
    light = layer.landmarks_only()
    results = []
    for model in (layer, light):
        pose = {name: rotations(count, seed=k).requires_grad_() for k, (name, count) in enumerate(POSE.items())}
        out = model(**pose, betas=coefficients(), expression=coefficients(seed=1))
        out.joints.square().sum().backward()
        results.append((out.joints, *(value.grad for value in pose.values())))
    for expected, found in zip(*results, strict=True):
        assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert light(**pose).vertices.shape[1] < 0.1 * layer(**pose).vertices.shape[1]
