"""Laws of the rotation maps."""
import math

import pytest
import torch
from hypothesis import given
from torch.testing import assert_close

from hmradapter.geometry.rotations import (
    axis_angle_to_rotmat,
    axis_angles_to_rotmats,
    degrees_to_radians,
    geodesic_angle,
    interleaved_rot6d_to_rotmat,
    quat_wxyz_to_rotmat,
    rot6d_to_rotmat,
    rotation_about_z,
    rotmat_to_axis_angle,
    rotmat_to_interleaved_rot6d,
    rotmat_to_rot6d,
)

from .strategies import rotmats, rotvecs, tensors

EYE = torch.eye(3, dtype=torch.float64)


@given(tensors(6))
def test_rot6d_gives_rotations_for_every_leading_shape(rot6d):
    rotmat = rot6d_to_rotmat(rot6d)
    assert_close(rotmat.transpose(-1, -2) @ rotmat, EYE.expand_as(rotmat))
    assert_close(torch.linalg.det(rotmat), torch.ones(rot6d.shape[:-1], dtype=torch.float64))


@given(rotmats())
def test_rot6d_layouts_round_trip_and_differ(rotmat):
    assert_close(rot6d_to_rotmat(rotmat_to_rot6d(rotmat)), rotmat)
    assert_close(interleaved_rot6d_to_rotmat(rotmat_to_interleaved_rot6d(rotmat)), rotmat)
    assert_close(rotmat_to_interleaved_rot6d(rotmat)[..., [0, 2, 4, 1, 3, 5]], rotmat_to_rot6d(rotmat))


def test_rot6d_holds_columns():
    quarter = rot6d_to_rotmat(torch.tensor([0.0, 1, 0, -1, 0, 0]))
    assert_close(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


def test_a_zero_vector_gives_zero_columns_and_finite_gradients():
    rot6d = torch.zeros(2, 6, requires_grad=True)
    rotmat = rot6d_to_rotmat(rot6d)
    rotmat.sum().backward()
    assert rotmat.abs().max() == 0 and torch.isfinite(rot6d.grad).all()


@given(rotvecs())
def test_axis_angle_round_trip(rotvec):
    assert_close(rotmat_to_axis_angle(axis_angle_to_rotmat(rotvec)), rotvec, rtol=0, atol=1e-7)


@given(rotvecs(5))
def test_labels_of_a_sample_are_turned_alike(rotvec):
    rotvec = rotvec.reshape(-1, 3)
    assert_close(axis_angles_to_rotmats(rotvec.numpy()), axis_angle_to_rotmat(rotvec), rtol=0, atol=1e-9)
    single = axis_angles_to_rotmats(rotvec.float().numpy())
    assert single.dtype == torch.float32
    assert_close(single, axis_angle_to_rotmat(rotvec).float(), rtol=0, atol=1e-6)


@given(rotvecs())
def test_angle_to_the_identity_is_the_length(rotvec):
    angle = geodesic_angle(axis_angle_to_rotmat(rotvec), EYE.expand(*rotvec.shape, 3))
    assert_close(angle, rotvec.norm(dim=-1), rtol=0, atol=1e-6)


@given(rotvecs())
def test_more_than_half_a_turn_comes_back_as_the_shorter_one(rotvec):
    longer = rotvec * (1 + 2 * math.pi / rotvec.norm(dim=-1, keepdim=True))
    assert_close(rotmat_to_axis_angle(axis_angle_to_rotmat(longer)), rotvec, rtol=0, atol=1e-7)


@pytest.mark.parametrize('length', [0.0, 1e-9, 1e-4, 1.0])
def test_axis_angle_gradients(length):
    rotvec = (length * torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)).requires_grad_(True)
    assert torch.autograd.gradcheck(axis_angle_to_rotmat, rotvec, atol=1e-5)


@given(tensors(6))
def test_rot6d_gradients(rot6d):
    assert torch.autograd.gradcheck(rot6d_to_rotmat, rot6d.requires_grad_(True), atol=1e-4, rtol=1e-3)


@given(rotvecs(), tensors(1).map(lambda x: 0.1 + x.abs()))
def test_quaternions_of_any_length(rotvec, length):
    half = rotvec.norm(dim=-1, keepdim=True) / 2
    quat = torch.cat((torch.cos(half), torch.sinc(half / math.pi) / 2 * rotvec), dim=-1)
    assert_close(quat_wxyz_to_rotmat(quat * length.reshape(-1)[0]), axis_angle_to_rotmat(rotvec))


def test_about_z_turns_x_towards_y():
    quarter = rotation_about_z(degrees_to_radians(torch.tensor(90.0)))
    assert_close(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))
