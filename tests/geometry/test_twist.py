"""Laws of the twist about a limb."""
import math

import pytest
import torch
from hypothesis import given
from torch.testing import assert_close

from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.geometry.twist import bounded_twist, twist_angle

from .strategies import generator, rotmats, rotvecs


def unit(*values, dtype=torch.float64):
    return torch.nn.functional.normalize(torch.tensor(values, dtype=dtype), dim=-1)


AXIS = unit(0.9, -0.3, 0.2)
ACROSS = torch.linalg.cross(AXIS, unit(0.0, 0.0, 1.0), dim=-1)
ACROSS = ACROSS / ACROSS.norm()


@given(rotmats())
def test_what_is_left_after_the_twist_has_none(rotmat):
    """R = T S: the swing S turns about an axis across a, as the smallest rotation from a to its image does."""
    twist, certainty = twist_angle(rotmat, AXIS)
    swing = axis_angle_to_rotmat(-twist.unsqueeze(-1) * AXIS) @ rotmat
    rotvec_along = ((swing - swing.transpose(-1, -2)) * axis_angle_to_rotmat(math.pi / 2 * AXIS)).sum((-1, -2))
    assert rotvec_along.abs().max() < 1e-6
    bend = torch.acos(((rotmat @ AXIS) @ AXIS).clamp(-1, 1))
    assert_close(certainty, torch.cos(bend / 2).square(), rtol=0, atol=1e-9)


@given(rotvecs())
def test_pure_twists_pure_bends_and_their_product(rotvec):
    turn = rotvec[..., 0]
    bend = axis_angle_to_rotmat(0.4 * rotvec[..., 1:2] * ACROSS)
    twisted = axis_angle_to_rotmat(turn.unsqueeze(-1) * AXIS)
    for rotmat, expected in ((twisted, turn), (bend, 0 * turn), (twisted @ bend, turn), (bend @ twisted, turn)):
        assert_close(twist_angle(rotmat, AXIS)[0], expected, rtol=0, atol=1e-7)


def test_axes_whose_components_add_up_to_zero():
    """Where PyMAF-X divides by the sum of the axis and answers NaN."""
    for axis in (unit(1.0, -1, 0), unit(1.0, 0, -1), unit(0.0, 1, -1)):
        assert_close(twist_angle(axis_angle_to_rotmat(2.2 * axis), axis)[0], torch.tensor(2.2, dtype=torch.float64))


def test_an_undefined_twist_is_zero_and_its_gradient_finite():
    rotvec = (math.pi * ACROSS).requires_grad_(True)
    for axis in (AXIS, torch.zeros_like(AXIS)):
        twist, certainty = twist_angle(axis_angle_to_rotmat(rotvec), axis)
        assert twist == 0 and certainty < 1e-12
        (gradient,) = torch.autograd.grad(twist + certainty, rotvec)
        assert torch.isfinite(gradient).all()


@given(rotvecs())
def test_gradients_of_the_twist(rotvec):
    rotvec = rotvec.reshape(-1, 3)[:1] * 0.9
    assert torch.autograd.gradcheck(lambda x: twist_angle(axis_angle_to_rotmat(x), AXIS)[0], rotvec.requires_grad_(True),
                                    atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize('twist, kept', [(0.0, 0.0), (1.0, 1.0), (-1.0, -1.0), (1.5, 1.2), (-1.5, -1.2), (math.pi - 0.25, 0.6),
                                         (-math.pi + 0.25, -0.6), (math.pi, 0.0), (-math.pi, 0.0)])
def test_the_bounded_twist(twist, kept):
    found = bounded_twist(torch.tensor(twist, dtype=torch.float64), limit=1.2, fade=0.5)
    assert_close(found, torch.tensor(kept, dtype=torch.float64), rtol=0, atol=1e-12)


def test_without_fading_the_bound_is_the_limit_up_to_half_a_turn():
    twist = math.pi * (2 * torch.rand(1000, generator=generator(0)) - 1)
    assert_close(bounded_twist(twist, 1.2), twist.clamp(-1.2, 1.2))


def test_the_slope_within_the_limit_is_one_also_at_zero():
    twist = torch.tensor([0.0, 0.5, 2.0], requires_grad=True)
    bounded_twist(twist, 1.2, 0.5).sum().backward()
    assert twist.grad.tolist() == [1.0, 1.0, 0.0]
