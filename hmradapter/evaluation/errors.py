"""Errors between predicted and true hands or bodies: pure functions of points, over any leading dimensions.

Convention: points are metres, tensors or arrays; everything is computed in float64 and returned as a float64 tensor, in
millimetres, degrees or plain fractions as the name says. "root" alignment moves both sets so that their root joint is the
origin; "pa" adds the best rotation and scale (a similarity with det +1, Umeyama).
A prediction that is the truth moved by 10 mm has mpjpe 0; one that is twice as large has pa_mpjpe 0.
"""
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hmradapter.geometry.procrustes import similarity_align
from hmradapter.geometry.rotations import geodesic_angle

MM_PER_M = 1000.0
Points = Tensor | np.ndarray


def as_double(points: Points) -> Tensor:
    return torch.as_tensor(points).to(device='cpu', dtype=torch.float64)


def mean_of_valid(distances: Tensor, valid: Points | None) -> Tensor:
    """Mean over the last axis, of the valid entries when `valid` (..., N) is given; NaN where none is."""
    if valid is None:
        return distances.mean(-1)
    weights = torch.as_tensor(valid).to(device='cpu') > 0
    return torch.where(weights, distances, 0).sum(-1) / weights.sum(-1)


def point_distances_mm(pred: Points, true: Points) -> Tensor:
    """Distance of each pair of points, (..., N, 3) x 2 in metres -> (..., N) mm."""
    return MM_PER_M * torch.linalg.vector_norm(as_double(pred) - as_double(true), dim=-1)


def mpjpe_mm(pred: Points, true: Points, root: int = 0, valid: Points | None = None) -> Tensor:
    """Mean joint error after moving joint `root` of both to the origin, (..., J, 3) x 2 -> (...) mm. valid (..., J) bool."""
    pred, true = as_double(pred), as_double(true)
    return mean_of_valid(point_distances_mm(pred - pred[..., root:root + 1, :], true - true[..., root:root + 1, :]), valid)


def pve_mm(pred: Points, true: Points, pred_root: Points, true_root: Points) -> Tensor:
    """Mean vertex error after moving the roots (..., 3) (a hand's wrist) to the origin, (..., V, 3) x 2 -> (...) mm."""
    return point_distances_mm(as_double(pred) - as_double(pred_root).unsqueeze(-2),
                              as_double(true) - as_double(true_root).unsqueeze(-2)).mean(-1)


def pa_error_mm(pred: Points, true: Points) -> Tensor:
    """Mean error after the similarity that brings `pred` closest to `true`, (..., N, 3) x 2 -> (...) mm."""
    pred, true = as_double(pred), as_double(true)
    return point_distances_mm(similarity_align(pred, true), true).mean(-1)


def pa_mpjpe_mm(pred: Points, true: Points) -> Tensor:
    """`pa_error_mm` of joints (..., J, 3)."""
    return pa_error_mm(pred, true)


def pa_pve_mm(pred: Points, true: Points) -> Tensor:
    """`pa_error_mm` of vertices (..., V, 3); the similarity is fitted to the vertices themselves."""
    return pa_error_mm(pred, true)


def rotation_error_deg(pred: Points, true: Points) -> Tensor:
    """Angle between two rotations, (..., 3, 3) x 2 -> (...) degrees in [0, 180]."""
    return torch.rad2deg(geodesic_angle(as_double(pred), as_double(true)))


def pck(distances: Points, thresholds: Sequence[float] | Points) -> Tensor:
    """Share of distances (..., N) that are at most each threshold (T,), same unit -> (..., T)."""
    limits = as_double(thresholds if isinstance(thresholds, (Tensor, np.ndarray)) else list(thresholds))
    return (as_double(distances).unsqueeze(-1) <= limits).double().mean(-2)


def auc(distances: Points, limit: float, steps: int = 100) -> Tensor:
    """Area under the PCK curve for `steps` thresholds 0..limit, divided by `limit`: (..., N) -> (...) in [0, 1]."""
    thresholds = torch.linspace(0, limit, steps, dtype=torch.float64)
    return torch.trapezoid(pck(distances, thresholds), thresholds, dim=-1) / limit


def f_score(pred: Points, true: Points, threshold_m: float) -> Tensor:
    """Harmonic mean of the shares of points whose nearest neighbour in the other set is nearer than `threshold_m`,
    (..., N, 3) x (..., M, 3) -> (...) in [0, 1]. Strictly nearer, as FreiHAND's server counts."""
    distances = torch.cdist(as_double(pred), as_double(true), compute_mode='donot_use_mm_for_euclid_dist')
    precision = (distances.amin(-1) < threshold_m).double().mean(-1)
    recall = (distances.amin(-2) < threshold_m).double().mean(-1)
    return 2 * precision * recall / (precision + recall).clamp(min=torch.finfo(torch.float64).tiny)
