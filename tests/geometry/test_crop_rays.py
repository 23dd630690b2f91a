"""Laws of the rotation between a crop's long lens and the camera."""
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hmradapter.geometry import mirror
from hmradapter.geometry.cameras import intrinsic_matrix
from hmradapter.geometry.crop_rays import camera_from_crop, crop_from_crop, crop_ray
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle

from .strategies import rotmats, tensors

K = intrinsic_matrix(torch.tensor([800.0, 810], dtype=torch.float64), torch.tensor([320.0, 240], dtype=torch.float64))
EYE = torch.eye(3, dtype=torch.float64)
Z = EYE[2]
centers = tensors(2, scale=300)


@given(centers)
def test_the_correction_is_the_smallest_rotation_to_the_ray(center):
    ray = crop_ray(center, K)
    turn = camera_from_crop(ray)
    assert_close(turn @ turn.transpose(-1, -2), EYE.expand_as(turn))
    assert_close(turn[..., 2], ray)
    rotvec = rotmat_to_axis_angle(turn)
    assert_close(rotvec.norm(dim=-1), torch.atan2(ray[..., :2].norm(dim=-1), ray[..., 2]), rtol=0, atol=1e-7)
    assert rotvec[..., 2].abs().max() < 1e-7  # no roll


def test_the_worked_example_and_the_optical_axis():
    angle = math.radians(10)
    ray = torch.tensor([math.sin(angle), 0, math.cos(angle)], dtype=torch.float64)
    assert_close(camera_from_crop(ray), axis_angle_to_rotmat(torch.tensor([0, angle, 0], dtype=torch.float64)))
    assert_close(camera_from_crop(crop_ray(torch.tensor([320.0, 240], dtype=torch.float64), K)), EYE)


@given(centers, st.floats(0, 1))
def test_strength_scales_the_angle(center, strength):
    ray = crop_ray(center, K)
    assert_close(rotmat_to_axis_angle(camera_from_crop(ray, strength)), strength * rotmat_to_axis_angle(camera_from_crop(ray)),
                 rtol=0, atol=1e-7)


@pytest.mark.parametrize('strength', [0.0, 0.4])
def test_strength_on_the_axis_has_a_value_and_a_gradient(strength):
    ray = Z.clone().requires_grad_(True)
    turn = camera_from_crop(ray, strength)
    assert_close(turn.detach(), EYE)
    turn[0, 2].backward()
    assert_close(ray.grad, torch.tensor([strength, 0, 0], dtype=torch.float64))


@given(centers, rotmats())
def test_correcting_and_mirroring_commute(center, rotmat):
    ray, rotmat = crop_ray(center, K).reshape(-1, 3)[0], rotmat.reshape(-1, 3, 3)[0]
    unmirrored_first = camera_from_crop(ray) @ mirror.mirror_rotmat(rotmat)
    assert_close(mirror.mirror_rotmat(camera_from_crop(mirror.mirror_points(ray)) @ rotmat), unmirrored_first)


@given(centers, centers)
def test_between_crops_there_and_back(a, b):
    to, start = crop_ray(a.reshape(-1, 2)[0], K), crop_ray(b.reshape(-1, 2)[0], K)
    assert_close(crop_from_crop(to, start, 0.7, 0.2) @ crop_from_crop(start, to, 0.2, 0.7), EYE)
    assert_close(crop_from_crop(Z, start), camera_from_crop(start))
    assert_close(crop_from_crop(to, start, 0.0, 0.0), EYE)


def test_a_rigid_object_seen_in_its_crop_turns_by_the_correction():
    """Points of an object off the axis, seen by the camera, look like the object turned by C^T seen by a lens along the ray."""
    generator = torch.Generator().manual_seed(0)
    shape = 0.05 * torch.randn(50, 3, generator=generator, dtype=torch.float64)
    ray = torch.nn.functional.normalize(torch.tensor([0.35, -0.2, 1.0], dtype=torch.float64), dim=-1)
    points = shape + 1e4 * ray
    turn = camera_from_crop(ray)
    along = points @ turn  # the same points in the crop's own frame, where the lens looks along z
    flat = along[:, :2] / along[:, 2:] * 1e4
    assert_close(flat, (shape @ turn)[:, :2], rtol=0, atol=1e-5)
