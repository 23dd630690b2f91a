"""Laws of the errors: what each alignment removes, known numbers, and agreement with FreiHAND's and HInt's own definitions."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hmradapter.evaluation import errors
from hmradapter.evaluation.freihand import reflecting_align, server_joints, server_scores
from hmradapter.evaluation.keypoints_2d import crop_to_image_px, hint_pck
from hmradapter.geometry.rotations import axis_angle_to_rotmat

moves = arrays(np.float64, 3, elements=st.floats(-2, 2))
rotvecs = arrays(np.float64, 3, elements=st.floats(-3, 3))


def hands(seed: int, count: int = 3, points: int = 21) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 0.05, (count, points, 3))
    return true + rng.normal(0, 0.01, true.shape), true


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), moves, rotvecs, st.floats(0.2, 5))
def test_pa_errors_ignore_a_similarity_of_the_prediction(seed, move, rotvec, scale):
    pred, true = hands(seed)
    rotation = axis_angle_to_rotmat(torch.from_numpy(rotvec)).numpy()
    moved = scale * pred @ rotation.T + move
    for error in (errors.pa_mpjpe_mm, errors.pa_pve_mm):
        np.testing.assert_allclose(error(moved, true), error(pred, true), rtol=1e-7)
    assert (errors.pa_mpjpe_mm(scale * true @ rotation.T + move, true) < 1e-6).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), moves, rotvecs)
def test_root_aligned_errors_ignore_moves_and_a_common_rotation(seed, move, rotvec):
    pred, true = hands(seed)
    expected = errors.mpjpe_mm(pred, true)
    np.testing.assert_allclose(errors.mpjpe_mm(pred + move, true - move), expected, rtol=1e-7)
    rotation = axis_angle_to_rotmat(torch.from_numpy(rotvec)).numpy()
    np.testing.assert_allclose(errors.mpjpe_mm(pred @ rotation.T, true @ rotation.T), expected, rtol=1e-7)
    np.testing.assert_allclose(errors.pve_mm(pred + move, true, pred[:, 0] + move, true[:, 0]), expected, rtol=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999))
def test_pa_is_never_worse_in_the_least_squares_sense_and_a_reflection_helps_further(seed):
    pred, true = hands(seed)

    def squares(points):
        return ((points - true) ** 2).sum((1, 2))

    similar = errors.similarity_align(torch.from_numpy(pred), torch.from_numpy(true)).numpy()
    assert (squares(similar) <= squares(pred - pred.mean(1, keepdims=True) + true.mean(1, keepdims=True)) + 1e-12).all()
    assert (squares(reflecting_align(pred, true).numpy()) <= squares(similar) + 1e-9).all()


def test_known_numbers():
    true = np.zeros((1, 21, 3))
    true[0, 1:, 0] = 0.1
    pred = true.copy()
    pred[0, 5] += (0.003, 0, 0.004)
    assert errors.mpjpe_mm(pred, true).item() == pytest.approx(5 / 21)
    assert errors.mpjpe_mm(pred, true, valid=np.arange(21)[None] < 10).item() == pytest.approx(5 / 10)
    quarter = axis_angle_to_rotmat(torch.tensor([0, math.pi / 2, 0], dtype=torch.float64))
    assert errors.rotation_error_deg(quarter, torch.eye(3)).item() == pytest.approx(90)
    assert errors.pck(np.array([1., 2., 3., 4.]), [2., 4.]).tolist() == [0.5, 1.0]
    assert errors.auc(np.zeros(5), 50.).item() == pytest.approx(1)
    assert errors.auc(np.full(5, 60.), 50.).item() == 0


def test_mirrored_hand_is_not_aligned_by_a_similarity_but_by_freihands_procrustes():
    _, true = hands(0)
    mirrored = true * (-1, 1, 1)
    assert (errors.pa_mpjpe_mm(mirrored, true) > 1).all()
    assert np.abs(reflecting_align(mirrored, true).numpy() - true).max() < 1e-6


def test_f_score_counts_strictly_nearer_points_both_ways():
    true = torch.tensor([[0., 0, 0], [1, 0, 0]], dtype=torch.float64)
    pred = torch.tensor([[0., 0, 0.004], [5, 0, 0]], dtype=torch.float64)
    assert errors.f_score(pred, true, 0.005).item() == pytest.approx(0.5)
    assert errors.f_score(pred, true, 0.004).item() == 0
    assert errors.f_score(true, true, 0.001).item() == pytest.approx(1)


def test_float32_and_tensors_give_the_same_numbers_as_float64_arrays():
    pred, true = (points.astype(np.float32) for points in hands(3))
    for error in (errors.mpjpe_mm, errors.pa_mpjpe_mm):
        assert torch.equal(error(pred, true), error(torch.from_numpy(pred), torch.from_numpy(true)))


def test_hint_pck_counts_visible_joints_only():
    true, pred = np.zeros((2, 21, 2)), np.zeros((2, 21, 2))
    pred[0, :, 0], pred[1, :, 0] = 5, 20  # px, with boxes of 100 px: 0.05 and 0.2
    confidence = np.ones((2, 21))
    confidence[1, 3] = 0.5
    found = hint_pck(pred, true, confidence, np.array([100., 100.]))
    assert (found['kp0_pck_0.05'], found['kp3_pck_0.05']) == (0.5, 1.0)
    assert found['kpAvg_pck_0.05'] == pytest.approx((20 * 0.5 + 1) / 21)


def test_left_crops_go_back_to_the_unmirrored_image():
    points = np.full((2, 21, 2), 0.25)
    px = crop_to_image_px(points, np.array([[100., 50], [100, 50]]), np.array([80., 80]), np.array([1., 0]))
    assert px[0, 0].tolist() == [120, 70]
    assert px[1, 0].tolist() == [80, 70]


def test_server_scores_of_a_perfect_prediction_and_joint_order():
    pred, true = hands(1, count=4)
    scores = server_scores(true, true, true, true)
    assert scores['xyz']['mean_m'] == 0
    assert scores['mesh']['auc'] == pytest.approx(1)
    assert scores['f'] == (pytest.approx(1), pytest.approx(1))
    ho3d = server_joints(pred, 'ho3d')
    np.testing.assert_array_equal(ho3d[:, 16], pred[:, 4] - pred[:, 0])
    with pytest.raises(ValueError, match='freihand'):
        server_joints(pred, 'frei')
