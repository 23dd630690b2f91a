"""Laws of the losses: values, masks, independence of samples."""
import pytest
import torch
from torch.testing import assert_close

from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.models.losses import (
    BetasLoss,
    HandPoseLoss,
    Keypoint2DLoss,
    Keypoint3DLoss,
    RotationMatrixLoss,
    VertexLoss,
)
from hmradapter.registry import LOSSES


def rotations(batch, joints, seed):
    return axis_angle_to_rotmat(torch.randn(batch, joints, 3, generator=torch.Generator().manual_seed(seed)))


def points(batch, count, dim, seed, confidence=True):
    found = torch.randn(batch, count, dim, generator=torch.Generator().manual_seed(seed))
    return torch.cat((found, torch.ones(batch, count, 1)), dim=-1) if confidence else found


CASES = {
    'Keypoint2DLoss': (points(4, 21, 2, 0, False), points(4, 21, 2, 1)),
    'Keypoint3DLoss': (points(4, 21, 3, 0, False), points(4, 21, 3, 1)),
    'VertexLoss': (points(4, 50, 3, 0, False), points(4, 50, 3, 1, False)),
    'HandPoseLoss': (rotations(4, 16, 0), rotations(4, 16, 1)),
    'RotationMatrixLoss': (rotations(4, 16, 0), rotations(4, 16, 1)),
    'BetasLoss': (points(4, 10, 1, 0, False)[..., 0], points(4, 10, 1, 1, False)[..., 0])}
VARIANTS = [(name, options) for name in CASES for options in (
    {}, dict(reduction='mean'), dict(weight=0.3), *([dict(kind='l2')] if name.startswith(('Key', 'Vertex')) else []),
    *([dict(representation='axis_angle'), dict(representation='rotmat')] if name == 'HandPoseLoss' else []))]


def value_and_gradient(name, options, valid, target):
    pred = CASES[name][0].clone().requires_grad_(True)
    value = LOSSES.build(dict(type=name, **options))(pred, target, valid)
    value.backward()
    return value.detach(), pred.grad


@pytest.mark.parametrize('name, options', VARIANTS)
def test_what_has_no_label_contributes_exactly_zero_even_if_it_is_nan(name, options):
    target = CASES[name][1].clone()
    target[1], target[3] = torch.nan, torch.nan
    valid = torch.tensor([1.0, 0, 1, 0])
    value, gradient = value_and_gradient(name, options, valid, target)
    assert torch.isfinite(value) and value > 0
    assert (gradient[[1, 3]] == 0).all() and (gradient[[0, 2]] != 0).any()
    value, gradient = value_and_gradient(name, options, torch.zeros(4), target)
    assert value == 0 and (gradient == 0).all()


@pytest.mark.parametrize('name, options', VARIANTS)
def test_no_gradient_depends_on_the_labels_of_other_samples(name, options):
    target = CASES[name][1]
    _, all_labelled = value_and_gradient(name, options, torch.ones(4), target)
    _, first_only = value_and_gradient(name, options, torch.tensor([1.0, 0, 0, 0]), target)
    assert torch.equal(all_labelled[0], first_only[0])


@pytest.mark.parametrize('name', CASES)
def test_samples_add_up_and_mean_divides_by_the_batch(name):
    pred, target = CASES[name]
    loss = LOSSES.build(dict(type=name))
    parts = sum(loss(pred[i:i + 1], target[i:i + 1]) for i in range(4))
    assert_close(loss(pred, target), parts)
    assert_close(LOSSES.build(dict(type=name, reduction='mean', weight=2.0))(pred, target), parts / 2)
    assert_close(loss(pred, target, torch.ones(4)), loss(pred, target))


@pytest.mark.parametrize('loss, dim', [(Keypoint2DLoss(), 2), (Keypoint3DLoss(), 3)])
def test_a_joint_without_confidence_is_left_out(loss, dim):
    pred, target = points(2, 21, dim, 0, False), points(2, 21, dim, 1)
    expected = loss(pred[:, :5], target[:, :5])
    target[:, 5:] = torch.nan
    target[:, 5:, dim] = 0
    assert_close(loss(pred, target), expected)
    target[:, 0, dim] = 0.5
    halved = loss(pred, target)
    if dim == 2:
        assert halved < expected
    else:  # the root is its own reference and adds nothing
        assert_close(halved, expected)


def test_3d_joints_are_relative_to_a_root_that_must_be_labelled():
    pred, target = points(2, 21, 3, 0, False), points(2, 21, 3, 1)
    assert_close(Keypoint3DLoss()(pred + 5, target), Keypoint3DLoss()(pred, target))
    target[1, 0] = torch.tensor([torch.nan, 0, 0, 0])
    assert_close(Keypoint3DLoss()(pred, target), Keypoint3DLoss()(pred[:1], target[:1]))
    target[1, 0] = torch.tensor([0.0, 0, 0, 0])
    assert Keypoint3DLoss(root_needs_label=False)(pred, target) > Keypoint3DLoss()(pred, target)


def test_hand_pose_is_squared_distance_plus_cosine_distance():
    pred, target = axis_angle_to_rotmat(torch.tensor([[[0.3, 0, 0]]])), axis_angle_to_rotmat(torch.tensor([[[0, 0.4, 0]]]))
    assert_close(HandPoseLoss('axis_angle')(pred, target), torch.tensor(0.3 ** 2 + 0.4 ** 2 + 1.0))
    assert_close(HandPoseLoss()(target, target), torch.tensor(0.0), rtol=0, atol=1e-6)


def test_hand_written_values():
    assert VertexLoss()(torch.ones(2, 3, 3), torch.zeros(2, 3, 3)) == 18
    assert RotationMatrixLoss()(torch.ones(2, 1, 3, 3), 3 * torch.ones(2, 1, 3, 3), torch.tensor([1.0, 0])) == 36
    assert BetasLoss(weight=0.5)(torch.ones(1, 10), torch.zeros(1, 10)) == 5
    assert Keypoint2DLoss('l2')(torch.full((1, 1, 2), 3.0), torch.tensor([[[0, 0, 0.5]]])) == 9


@pytest.mark.parametrize('build, words', [
    (lambda: Keypoint2DLoss(kind='l3'), "kind is 'l3'.*l1"), (lambda: BetasLoss(reduction='none'), "reduction is 'none'.*sum"),
    (lambda: HandPoseLoss('quaternion'), "representation is 'quaternion'.*axis_angle")])
def test_a_wrong_option_is_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_keypoint_map_finds_the_cell_of_a_joint_and_ignores_those_outside():
    loss = LOSSES.build(dict(type='KeypointMapLoss', channels=4, num_keypoints=3))
    joints = torch.tensor([[[0.0, 0.0, 1.0], [-0.375 + 0.75 / 12, -0.5 + 1 / 16, 0.5], [0.49, 0.0, 1.0]]])
    place = loss.place(joints, 8, 6).unflatten(-1, (8, 6))
    assert place[0, 0].sum() == 1 and torch.equal(place[0, 0, 3:5, 2:4], torch.full((2, 2), 0.25))  # shared by four
    assert place[0, 1, 0, 0] == pytest.approx(0.5)  # the first cell, half trusted
    assert place[0, 2].sum() == 0  # beyond the middle columns


def test_keypoint_map_of_unlabelled_joints_costs_nothing():
    loss = LOSSES.build(dict(type='KeypointMapLoss', channels=4, num_keypoints=3))
    features = torch.randn(2, 4, 8, 6, requires_grad=True)
    joints = torch.full((2, 3, 3), float('nan'))
    joints[..., 2] = 0
    value = loss(features, joints, torch.ones(2))
    value.backward()
    assert value == 0 and features.grad.abs().max() == 0
