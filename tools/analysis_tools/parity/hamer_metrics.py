"""HaMeR's metrics and losses and FreiHAND's server: our functions against metrics.npz and metrics.json.

Two of the file's numbers are not what their names say; both are checked for what they are and listed as documented differences,
with an infinite tolerance on the plain comparison:
- hint_metrics.mode_kpl2: run together with PCK, which mirrors left hands' predictions in place first. The slip reproduced must
  give the file's number; ours compares unmirrored predictions with unmirrored labels.
- eval_pose.mpjpe_mm is not root-aligned and was taken before the evaluator moved the stored predictions to their wrists, in
  place; where the file's predictions have their wrists at the origin, the number cannot be computed from them.
"""
import json
from collections.abc import Iterator
from math import inf
from pathlib import Path

import numpy as np
import torch

from hmradapter.evaluation import errors
from hmradapter.evaluation.freihand import server_joints, server_scores
from hmradapter.evaluation.keypoints_2d import crop_to_image_px, hint_pck, keypoint_l2
from hmradapter.evaluation.scores import flatten
from hmradapter.geometry.procrustes import similarity_align
from hmradapter.models.losses import Keypoint2DLoss, Keypoint3DLoss, RotationMatrixLoss

Row = tuple[str, float, float]  # array, max abs error, tolerance
INPUTS = ('pa.pred', 'pa.gt', 'evaluator.batch.*', 'evaluator.pred_*', 'loss.*', 'freihand.gt_*', 'freihand.pred_*')
POINTS_M, RELATIVE = 1e-6, 1e-5
POINTS_MM = 1e3 * POINTS_M


def check(path) -> list[Row]:
    """Every array of metrics.npz and every number of metrics.json beside it, with error and tolerance."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    numbers = json.loads(Path(path).with_suffix('.json').read_text())
    return [*_check_procrustes(arrays), *_check_evaluator(arrays, numbers['hint_metrics']),
            *_check_losses(arrays, numbers['losses']), *_check_freihand(arrays, numbers['freihand'])]


def _check_procrustes(arrays: dict) -> Iterator[Row]:
    pred, true = arrays['pa.pred'], arrays['pa.gt']
    aligned = similarity_align(torch.from_numpy(pred), torch.from_numpy(true)).numpy()
    yield _row('pa.aligned', aligned, arrays['pa.aligned'], POINTS_M)
    yield _row('pa.re_metres', errors.pa_mpjpe_mm(pred, true).numpy() / errors.MM_PER_M, arrays['pa.re_metres'], POINTS_M)
    yield _row('eval_pose.pa_mpjpe_mm', errors.pa_mpjpe_mm(pred, true), arrays['eval_pose.pa_mpjpe_mm'], POINTS_MM)
    plain = errors.point_distances_mm(pred, true).mean(-1)
    if (pred[:, 0] == 0).all():
        name, tolerance = 'eval_pose.mpjpe_mm (documented difference: pa.pred was moved to its wrist after it)', inf
    else:
        name, tolerance = 'eval_pose.mpjpe_mm', POINTS_MM
    yield _row(name, plain, arrays['eval_pose.mpjpe_mm'], tolerance)


def _check_evaluator(arrays: dict, numbers: dict) -> Iterator[Row]:
    batch = {name.removeprefix('evaluator.batch.'): value for name, value in arrays.items() if '.batch.' in name}
    pred_3d, true_3d = arrays['evaluator.pred_keypoints_3d'], batch['keypoints_3d'][..., :3]
    yield _row('evaluator.mode_mpjpe', errors.mpjpe_mm(pred_3d, true_3d), arrays['evaluator.mode_mpjpe'], POINTS_MM)
    yield _row('evaluator.mode_re', errors.pa_mpjpe_mm(pred_3d, true_3d), arrays['evaluator.mode_re'], POINTS_MM)
    for dataset in ('freihand', 'ho3d'):
        name = f'evaluator.{dataset.upper()}-VAL.keypoints_3d'
        yield _row(name, server_joints(pred_3d, dataset), arrays[name], POINTS_M)

    pred_2d, right = arrays['evaluator.pred_keypoints_2d'], batch['right']
    side_px = batch['box_size'].astype(np.float64) / batch['bbox_expand_factor']
    thresholds = tuple(sorted({float(name.rsplit('_', 1)[1]) for name in numbers if name.startswith('kpAvg_pck_')}))
    found = hint_pck(crop_to_image_px(pred_2d, batch['box_center'], batch['box_size'], right),
                     batch['orig_keypoints_2d'][..., :2], batch['keypoints_2d'][..., 2], side_px, thresholds)
    for name, expected in numbers.items():
        if name != 'mode_kpl2':
            yield _row(f'hint_metrics.{name}', found[name], expected, POINTS_M)

    slip = pred_2d * np.where(right[:, None, None] > 0, 1, np.array([-1, 1]))
    expected = numbers['mode_kpl2']
    for name, points, tolerance in (('with the slip reproduced', slip, RELATIVE * abs(expected)),
                                    ('(documented difference: left hands are mirrored before it)', pred_2d, inf)):
        value = keypoint_l2(points, batch['keypoints_2d'][..., :2], batch['keypoints_2d'][..., 2]).sum()
        yield _row(f'hint_metrics.mode_kpl2 {name}', value, expected, tolerance)


def _check_losses(arrays: dict, numbers: dict) -> Iterator[Row]:
    tensors = {name.removeprefix('loss.'): torch.from_numpy(arrays[name]) for name in arrays if name.startswith('loss.')}
    found = {'param': RotationMatrixLoss()(tensors['pred_param'], tensors['gt_param'], tensors['has_param'])}
    for kind in ('l1', 'l2'):
        found[f'kp2d_{kind}'] = Keypoint2DLoss(kind)(tensors['pred_2d'], tensors['gt_2d'])
        found[f'kp3d_{kind}_root0'] = Keypoint3DLoss(kind, root_needs_label=False)(tensors['pred_3d'], tensors['gt_3d'])
    for name, expected in numbers.items():
        yield _row(f'losses.{name}', found[name], expected, RELATIVE * abs(expected))


def _check_freihand(arrays: dict, numbers: dict) -> Iterator[Row]:
    found = server_scores(*(arrays[f'freihand.{name}'] for name in ('pred_xyz', 'gt_xyz', 'pred_verts', 'gt_verts')))
    found = dict(flatten({**found, 'f_5mm_15mm': found['f'], 'f_aligned_5mm_15mm': found['f_aligned']}))
    for name, expected in flatten(numbers):
        yield _row(f'freihand.{name}', found[name], expected, POINTS_M)


def _row(name: str, value, expected, tolerance: float) -> Row:
    value, expected = np.asarray(value, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    difference = np.where(np.isnan(value) & np.isnan(expected), 0, np.abs(value - expected))  # a joint never visible is NaN
    return name, float(difference.max()), float(tolerance)
