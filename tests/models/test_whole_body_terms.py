"""What each loss of the whole body compares, and that what has no label costs nothing."""
import pytest
import torch

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.models.losses import KeypointMapLoss, MaskedL1Loss, RotationMatrixLoss, whole_body_terms

FRAME = BodyFrame()
BATCH = 2


def rotations(count, seed):
    return axis_angle_to_rotmat(torch.randn(BATCH, count, 3, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture
def pred():
    return dict(pose=torch.randn(BATCH, 53, 3), global_orient=rotations(1, 0), body_pose=rotations(21, 1),
                betas=torch.randn(BATCH, 10), features=torch.randn(BATCH, 8, 16, 12), boxes=torch.rand(BATCH, 3, 4),
                keypoints_3d=torch.randn(BATCH, 137, 3))


@pytest.fixture
def target():
    joints = torch.full((BATCH, 137, 3), 5.0)
    return dict(pose=torch.randn(BATCH, 53, 3), pose_valid=torch.ones(BATCH, 53, 1), global_orient=rotations(1, 2),
                body_pose=rotations(21, 3), betas=torch.randn(BATCH, 10), has_betas=torch.tensor([1.0, 0]),
                has_depth=torch.ones(BATCH, 137), heatmap_joints=joints, heatmap_joints_seen=torch.ones(BATCH, 137))


def test_rotations_are_compared_as_matrices_where_the_whole_body_is_labelled(pred, target):
    target['pose_valid'][1, 7] = 0
    found, true, valid = whole_body_terms(pred, target, FRAME)['rotations']()
    assert found.shape == true.shape == (BATCH, 22, 3, 3) and valid.tolist() == [1, 0]
    expected = (found[0] - true[0]).square().sum()
    assert RotationMatrixLoss(reduction='mean')(found, true, valid) == pytest.approx(float(expected) / BATCH, rel=1e-5)
    target['pose_valid'][1, 7], target['pose_valid'][:, 30] = 1, 0  # a finger's label is another matter
    assert whole_body_terms(pred, target, FRAME)['rotations']()[2].tolist() == [1, 1]


def test_the_encoders_map_is_told_where_heat_map_joints_are(pred, target):
    features, joints, _ = whole_body_terms(pred, target, FRAME)['keypoint_map']()
    # cell 5 of 12 across and of 16 down: a cell's number is its share of the crop times their count
    torch.testing.assert_close(joints[0, 0], torch.tensor([5 / 12 - 0.5, 5 / 16 - 0.5, 1.0]))
    assert features is pred['features'] and joints.shape == (BATCH, 65, 3)
    loss = KeypointMapLoss(channels=8, num_keypoints=65, width_share=1.0)
    assert loss(features, joints) > 0
    target['heatmap_joints_seen'].zero_()
    assert loss(*whole_body_terms(pred, target, FRAME)['keypoint_map']()) == 0


def test_a_missing_label_costs_nothing_and_leaves_no_gradient(pred, target):
    betas = pred['betas'].requires_grad_()
    loss = MaskedL1Loss()(*whole_body_terms(pred, target, FRAME)['betas']())
    loss.backward()
    assert loss > 0 and betas.grad[0].abs().min() > 0 and betas.grad[1].abs().max() == 0
