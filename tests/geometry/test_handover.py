"""The way of a hand to SMPL-X's arm and back: 10,000 random poses, both hands, absolute and residual fingers."""
import math

import pytest
import roma
import torch
from hypothesis import given
from torch.testing import assert_close

from hmradapter.geometry import handover, mirror
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from hmradapter.structures.joints import ARM_CHAIN

from .strategies import generator, rotmats

POSES = 10_000
RADIANS = 1e-5
MEAN = 0.4 * torch.randn(2, 45, generator=generator(3), dtype=torch.float64)  # left, right
DTYPES = pytest.mark.parametrize('dtype', [torch.float32, torch.float64])


def random_rotations(*shape, seed=0, dtype=torch.float64):
    """Uniform over all rotations."""
    quat = torch.randn(*shape, 4, generator=generator(seed), dtype=torch.float64)
    return roma.unitquat_to_rotmat(torch.nn.functional.normalize(quat, dim=-1)).to(dtype)


def angle(a, b):
    """Largest angle between two sets of rotations, rad; computed so that float32 shows."""
    return rotmat_to_axis_angle(a.double().transpose(-1, -2) @ b.double()).norm(dim=-1).max()


@DTYPES
def test_orientation_to_wrist_and_back(dtype):
    body, hands = random_rotations(POSES, 22, dtype=dtype), random_rotations(POSES, 2, seed=1, dtype=dtype)
    wrists = handover.wrist_from_hand(hands, body)
    posed = torch.cat((body[:, :20], wrists), dim=1)
    assert angle(handover.hand_from_body(posed), hands) < RADIANS
    assert angle(handover.wrist_from_hand(handover.hand_from_body(body), body), body[:, 20:]) < RADIANS


@DTYPES
def test_a_right_hand_networks_answers_to_the_body_and_back(dtype):
    """The whole way: mirrored left hand, un-mirrored, onto the arm, off it, mirrored again; wrist and fingers."""
    body, answers = random_rotations(POSES, 22, dtype=dtype), random_rotations(POSES, 2, 16, seed=2, dtype=dtype)
    hands = handover.mirror_left_hand(answers)
    posed = torch.cat((body[:, :20], handover.wrist_from_hand(hands[:, :, 0], body)), dim=1)
    residual = [handover.residual_from_fingers(hands[:, i, 1:], MEAN[i].to(dtype)) for i in range(2)]
    fingers = torch.stack([handover.fingers_from_residual(residual[i], MEAN[i].to(dtype)) for i in range(2)], dim=1)
    back = torch.cat((handover.hand_from_body(posed).unsqueeze(2), fingers), dim=2)
    assert angle(handover.mirror_left_hand(back), answers) < RADIANS


@DTYPES
@pytest.mark.parametrize('side', [0, 1])
def test_residuals_come_back_as_numbers_within_half_a_turn(dtype, side):
    mean = MEAN[side].to(dtype)
    absolute = torch.nn.functional.normalize(torch.randn(POSES, 15, 3, generator=generator(4), dtype=dtype), dim=-1)
    absolute = absolute * (math.pi - 1e-3) * torch.rand(POSES, 15, 1, generator=generator(5), dtype=dtype)
    residual = absolute - mean.view(15, 3)
    found = handover.residual_from_fingers(handover.fingers_from_residual(residual, mean), mean)
    assert (found - residual).abs().max() < RADIANS
    assert_close(handover.fingers_from_residual(residual, mean), axis_angle_to_rotmat(absolute))


def test_the_mean_is_added_as_smplx_adds_it():
    """Adding axis-angle numbers is not composing rotations; only one of them undoes the layer."""
    residual = 0.5 * torch.randn(15, 3, generator=generator(6), dtype=torch.float64)
    fingers = handover.fingers_from_residual(residual, MEAN[1])
    composed = axis_angle_to_rotmat(MEAN[1].view(15, 3)) @ axis_angle_to_rotmat(residual)
    assert angle(fingers, composed) > 0.05
    assert_close(handover.residual_from_fingers(fingers, MEAN[1].view(15, 3)), residual)


@given(rotmats(2, 16))
def test_only_the_left_hand_is_mirrored_and_twice_is_once(hands):
    found = handover.mirror_left_hand(hands)
    assert_close(found[..., 1, :, :, :], hands[..., 1, :, :, :])
    assert_close(found[..., 0, :, :, :], mirror.mirror_rotmat(hands[..., 0, :, :, :]))
    assert_close(handover.mirror_left_hand(found), hands)


@given(rotmats(22))
def test_a_mirrored_body_has_mirrored_and_exchanged_hands(body):
    expected = mirror.mirror_rotmat(handover.hand_from_body(body)).flip(-3)
    assert_close(handover.hand_from_body(mirror.mirror_body_pose(body)), expected)


def test_the_worked_example_and_the_order_of_hands():
    body = torch.eye(3).repeat(22, 1, 1)
    turn = axis_angle_to_rotmat(torch.tensor([0.0, 0, 0.3]))
    body[ARM_CHAIN['left'][-2]] = turn
    found = handover.wrist_from_hand(torch.eye(3).expand(2, 3, 3), body)
    assert_close(found, torch.stack((turn.T, torch.eye(3))))
    assert handover.ELBOWS == (18, 19) and handover.WRISTS == (20, 21)
