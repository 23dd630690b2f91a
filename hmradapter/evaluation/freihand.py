"""FreiHAND's and HO3D's evaluation servers: their numbers, and the files they take.

Source: `lmb-freiburg/freihand` eval.py. Differences from `errors`: no root alignment; the aligned numbers come from an
orthogonal Procrustes that may reflect, fitted to joints and to vertices separately; means, medians and AUC are taken by point,
then averaged.
"""
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmradapter.evaluation.errors import MM_PER_M, Points, as_double, auc, f_score, point_distances_mm
from hmradapter.fileio import atomic_write

AUC_LIMIT_MM = 50.0
F_THRESHOLDS_M = (0.005, 0.015)
# HO3D's joint order, as indices into HAND21 (HaMeR `utils/pose_utils.py`).
HO3D_FROM_HAND21 = (0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20)


def reflecting_align(pred: Points, true: Points) -> Tensor:
    """`pred` (..., N, 3) moved, scaled and turned or reflected onto `true` (orthogonal Procrustes of normalised sets)."""
    pred, true = as_double(pred), as_double(true)
    pred = pred - pred.mean(-2, keepdim=True)
    center = true.mean(-2, keepdim=True)
    true = true - center
    size = torch.linalg.matrix_norm(true)[..., None, None] + 1e-8
    pred = pred / (torch.linalg.matrix_norm(pred)[..., None, None] + 1e-8)
    u, singular, vh = torch.linalg.svd(pred.transpose(-1, -2) @ (true / size))
    return pred @ (u @ vh) * singular.sum(-1)[..., None, None] * size + center


def server_measures(pred: Points, true: Points) -> dict[str, float]:
    """mean_m, median_m and auc (0..50 mm) of points (B, N, 3) x 2, each by point over the samples, then averaged."""
    distances = point_distances_mm(pred, true).transpose(0, 1)  # (N, B)
    return dict(mean_m=float(distances.mean(-1).mean() / MM_PER_M),
                median_m=float(np.median(distances.numpy(), axis=-1).mean() / MM_PER_M),
                auc=float(auc(distances, AUC_LIMIT_MM).mean()))


def server_scores(pred_joints: Points, true_joints: Points, pred_vertices: Points, true_vertices: Points) -> dict:
    """All numbers of the FreiHAND server from joints (B, 21, 3) and vertices (B, V, 3) in metres.

    Returns:
        xyz, xyz_aligned, mesh, mesh_aligned: dicts of mean_m, median_m, auc; f and f_aligned: F-score at 5 and 15 mm.
    """
    aligned_joints = reflecting_align(pred_joints, true_joints)
    aligned_vertices = reflecting_align(pred_vertices, true_vertices)
    return dict(xyz=server_measures(pred_joints, true_joints), xyz_aligned=server_measures(aligned_joints, true_joints),
                mesh=server_measures(pred_vertices, true_vertices),
                mesh_aligned=server_measures(aligned_vertices, true_vertices),
                f=_mean_f_scores(pred_vertices, true_vertices), f_aligned=_mean_f_scores(aligned_vertices, true_vertices))


def _mean_f_scores(pred: Points, true: Points) -> tuple[float, ...]:
    # sample by sample: the distance matrix of a whole evaluation set would not fit into memory
    pairs = list(zip(as_double(pred), as_double(true), strict=True))
    return tuple(float(torch.stack([f_score(p, t, limit) for p, t in pairs]).mean()) for limit in F_THRESHOLDS_M)


def server_joints(keypoints_3d: Points, dataset: str = 'freihand') -> np.ndarray:
    """HAND21 joints (B, 21, 3) as HaMeR hands them in: wrist-relative, float64, in the dataset's own order."""
    if dataset not in ('freihand', 'ho3d'):
        raise ValueError(f"dataset is {dataset!r}, but joints are handed in for 'freihand' or 'ho3d' only.")
    joints = as_double(keypoints_3d).numpy()
    joints = joints - joints[:, :1]
    return joints[:, HO3D_FROM_HAND21] if dataset == 'ho3d' else joints


def write_server_json(path: str | Path, keypoints_3d: Points, vertices: Points, dataset: str = 'freihand') -> None:
    """Write the file that the evaluation servers take, [joints N x 21 x 3, vertices N x 778 x 3] in metres."""
    with atomic_write(path, 'w') as file:
        json.dump([server_joints(keypoints_3d, dataset).tolist(), as_double(vertices).numpy().tolist()], file)
