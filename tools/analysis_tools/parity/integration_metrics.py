"""Measures that show where hands are on a body: our errors against metrics.npz."""
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmradapter.evaluation.errors import point_distances_mm, pve_mm, rotation_error_deg
from hmradapter.evaluation.whole_body_errors import regress

from .report import Row, compare

INPUTS = ('vertices', 'target_*', 'ids_*', 'regressor', 'kind', 'left_missing', 'rot_a', 'rot_b')
MILLIMETRES, DEGREES = 1e-3, 1e-6
WRIST = 0           # row of the regressor
HANDS = ('right', 'left')


def check(folder: Path) -> Iterator[Row]:
    """Every measure of metrics.npz; a sample that the reference does not count must not be counted here, either."""
    with np.load(folder / 'metrics.npz') as data:
        arrays = {name: data[name] for name in data.files}
    for name, value in _measures(arrays).items():
        if name in arrays:
            ours, expected = np.asarray(value), arrays[name]
            uncounted = np.isnan(ours) & np.isnan(expected)
            yield compare(name, np.where(uncounted, 0, ours), np.where(uncounted, 0, expected),
                          DEGREES if name == 'rot_error_deg' else MILLIMETRES)


def _measures(arrays: dict) -> dict[str, Tensor]:
    """mrrpe: the way from right to left wrist; rrve: vertices of both hands from the right wrist; mpvpe: vertices of a hand
    from its wrist, of single hands and of hands in pairs."""
    kind, seen = arrays['kind'], {'right': True, 'left': ~arrays['left_missing']}
    pred = {side: arrays['vertices'][:, arrays[f'ids_{side}']] for side in HANDS}
    true = {side: arrays[f'target_{side}'] for side in HANDS}
    wrists = [{side: regress(arrays['regressor'], hands[side])[:, WRIST] for side in HANDS} for hands in (pred, true)]
    between = [side['left'] - side['right'] for side in wrists]
    pair = kind == 'interacting'
    both = [torch.from_numpy(np.concatenate([hands[side] for side in HANDS], axis=1)) for hands in (pred, true)]
    pve = {side: pve_mm(pred[side], true[side], wrists[0][side], wrists[1][side]) for side in HANDS}
    single = sum(torch.where(torch.from_numpy(kind == side), pve[side], 0) for side in HANDS)
    return dict(mrrpe_mm=_counted(point_distances_mm(*between), pair),
                rrve_mm=_counted(pve_mm(*both, wrists[0]['right'], wrists[1]['right']), pair & seen['left']),
                mpvpe_single_mm=_counted(single, ~pair),
                mpvpe_interacting_mm=torch.stack([_counted(pve[side], pair & seen[side]) for side in HANDS], dim=1),
                rot_error_deg=rotation_error_deg(arrays['rot_a'], arrays['rot_b']))


def _counted(values: Tensor, where: np.ndarray) -> Tensor:
    return torch.where(torch.from_numpy(where), values, torch.nan)
