"""Scores of hands from a dump's arrays under a protocol: the one road that online evaluation and offline re-scoring share.
N hands."""
import math

import numpy as np

from hmradapter.evaluation import errors
from hmradapter.evaluation.freihand import server_scores
from hmradapter.evaluation.protocols import HAND_MEASURES, HandProtocol
from hmradapter.evaluation.scores import NAMES, Scores, exact_mean, visibility_quartiles

SIDES = ('left', 'right')
CHUNK = 512  # hands whose vertices are compared at once; bounds memory, changes no number


def score(arrays: dict[str, np.ndarray], protocol: HandProtocol) -> Scores:
    """Score a dump's arrays (see `dump`); rows must be sorted and unique already."""
    measures = [name for name in protocol.measures if name in HAND_MEASURES]
    if 'pred_global_orient' not in arrays or 'true_global_orient' not in arrays:
        measures = [name for name in measures if name != 'wrist_deg']  # other systems may give vertices alone
    rows = hand_errors(arrays, measures)
    is_right = arrays['is_right'] > 0
    means = {name: side_means(values, is_right) for name, values in rows.items()}
    of_side = {side: is_right == (side == 'right') for side in SIDES}
    counts = {name: {side: int((np.isfinite(values) & of_side[side]).sum()) for side in SIDES} for name, values in rows.items()}
    cells = {NAMES[name]: tuple(np.where(of_side[side], values, np.nan) for side in SIDES if side in means[name])
             for name, values in rows.items()}
    scores = Scores(protocol, rows, means, counts, columns=(*SIDES, 'mean'), main='mean', subject='hands', cells=cells)
    if np.isfinite(arrays.get('visibility', np.nan)).any():
        scores.occlusion = occlusion_quartiles(rows, is_right, arrays['visibility'])
    if 'freihand_server' in protocol.measures:
        scores.sets['freihand_server'] = freihand(arrays)
    return scores


def hand_errors(arrays: dict[str, np.ndarray], measures: list[str]) -> dict[str, np.ndarray]:
    """Error of every hand by measure, (N,) float64; NaN where the hand has no truth for it."""
    count = len(arrays['sample_idx'])
    rows = {name: np.full(count, np.nan) for name in measures}
    for start in range(0, count, CHUNK):
        part = {name: values[start:start + CHUNK] for name, values in arrays.items()}
        for name, values in rows.items():
            values[start:start + CHUNK] = _errors_of(part, name)
    return rows


def _errors_of(part: dict[str, np.ndarray], measure: str) -> np.ndarray:
    values = np.full(len(part['sample_idx']), np.nan)
    if measure == 'wrist_deg':
        valid = part['has_orient'] > 0 if 'has_orient' in part else np.ones(len(values), bool)
    else:
        # vertices are aligned at the wrist joint, so they need the joints as well
        valid = part['has_joints'] > 0 if measure.endswith('mpjpe') else (part['has_mesh'] > 0) & (part['has_joints'] > 0)
    if not valid.any():
        return values
    part = {name: value[valid] for name, value in part.items()}
    if measure == 'wrist_deg':
        found = errors.rotation_error_deg(part['pred_global_orient'], part['true_global_orient'])
    elif measure == 'pve':
        found = errors.pve_mm(part['pred_vertices'], part['true_vertices'],
                              part['pred_keypoints_3d'][:, 0], part['true_keypoints_3d'][:, 0])
    elif measure == 'pa_pve':
        found = errors.pa_pve_mm(part['pred_vertices'], part['true_vertices'])
    elif measure == 'mpjpe':
        found = errors.mpjpe_mm(part['pred_keypoints_3d'], part['true_keypoints_3d'])
    else:
        found = errors.pa_mpjpe_mm(part['pred_keypoints_3d'], part['true_keypoints_3d'])
    values[valid] = found.numpy()
    return values


def side_means(values: np.ndarray, is_right: np.ndarray) -> dict[str, float]:
    """Means of left and right hands, and their plain average ("average of both hands" of the paper). With hands of one side
    only, that side is the mean."""
    means = {side: exact_mean(values[is_right == (side == 'right')]) for side in SIDES}
    known = [mean for mean in means.values() if not math.isnan(mean)]
    return {side: mean for side, mean in means.items() if not math.isnan(mean)} | {
        'mean': sum(known) / len(known) if known else math.nan}


def occlusion_quartiles(rows: dict[str, np.ndarray], is_right: np.ndarray, visibility: np.ndarray) -> list[dict]:
    """`visibility_quartiles` of hands, with the mean of both sides by measure."""
    return visibility_quartiles(visibility, 'hands', lambda group: {
        NAMES[name]: side_means(values[group], is_right[group])['mean'] for name, values in rows.items()})


def freihand(arrays: dict[str, np.ndarray]) -> dict:
    """FreiHAND server numbers over the hands that have joints and mesh."""
    valid = (arrays['has_mesh'] > 0) & (arrays['has_joints'] > 0)
    if not valid.any():
        raise ValueError('no hand of this dump has both joints and vertices as truth; the FreiHAND protocol needs them.')
    return server_scores(*(arrays[name][valid] for name in ('pred_keypoints_3d', 'true_keypoints_3d', 'pred_vertices',
                                                            'true_vertices')))
