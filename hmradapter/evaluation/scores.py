"""Numbers of one evaluation, of hands or of whole bodies, and how rows become means. N samples.

A number depends on the set of samples alone: not on batches, on the number of processes or on the order in which they finished.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hmradapter.evaluation.protocols import Protocol

NAMES = dict(pve='PVE', pa_pve='PA-PVE', mpjpe='MPJPE', pa_mpjpe='PA-MPJPE', mrrpe='MRRPE', wrist_deg='wrist-rotation')
UNITS = dict(pve='mm', pa_pve='mm', mpjpe='mm', pa_mpjpe='mm', mrrpe='mm', wrist_deg='deg')


def logged_name(measure: str, column: str, main: str) -> str:
    """'PVE' of the main column, 'PVE/hands' of others."""
    return NAMES[measure] if column == main else f'{NAMES[measure]}/{column}'


def unit_of(name: str) -> str:
    """Unit of a logged name."""
    return UNITS[next(measure for measure, plain in NAMES.items() if plain == name.split('/')[0])]


@dataclass
class Scores:
    """Numbers of one evaluation under `protocol`.

    rows: error of each sample by row name (N,) float64, NaN where there is no truth.
    means: {measure: {column: mean}} and counts: {measure: {column: samples behind it}}, columns as in `columns`.
    columns: parts that a table shows side by side. main: the column that is logged under the measure's plain name.
    cells: {logged name: one array (N,) for each group, NaN outside of it}; the number is the mean of the groups' means.
    subject: what is counted, 'hands' or 'persons'. occlusion: one dict per quartile. sets: numbers of whole sets.
    """
    protocol: Protocol
    rows: dict[str, np.ndarray]
    means: dict[str, dict[str, float]]
    counts: dict[str, dict[str, int]]
    columns: tuple[str, ...]
    main: str
    subject: str
    cells: dict[str, tuple[np.ndarray, ...]]
    occlusion: list[dict] = field(default_factory=list)
    sets: dict = field(default_factory=dict)

    def flat(self) -> dict[str, float]:
        """{'PVE': the main column's mean, 'PVE/left': ..., 'PVE/occlusion-q4': ...} and so on, as MMEngine logs them.
        Rounded to 0.001 (mm, degrees) or 1e-6 (fractions), well above float32 noise."""
        result = {}
        for measure, values in self.means.items():
            result.update({logged_name(measure, column, self.main): round(values[column], 3)
                           for column in (self.main, *self.columns) if column in values})
        result.update({f'{name}/occlusion-q{group["quartile"]}': round(value, 3)
                       for group in self.occlusion for name, value in group['means'].items()})
        result.update({name: round(value, 6) for name, value in flatten(self.sets)})
        return result


def exact_mean(values: np.ndarray) -> float:
    """Mean of the finite values, summed without rounding and so independent of order; NaN where there is none."""
    finite = values[np.isfinite(values)]
    return math.fsum(finite.tolist()) / len(finite) if len(finite) else math.nan


def visibility_quartiles(visibility: np.ndarray, subject: str,
                         means_of: Callable[[np.ndarray], dict[str, float]]) -> list[dict]:
    """Samples of known visibility (N,), most visible first, cut into four groups of equal size; equal visibilities stay in the
    order of the dump. Each group says its range of visible shares, its count and its means: `means_of(its row numbers)` by
    logged name."""
    known = np.flatnonzero(np.isfinite(visibility))
    order = known[np.argsort(-visibility[known], kind='stable')]
    return [dict(quartile=quartile, visible_from=float(visibility[group].min()), visible_to=float(visibility[group].max()),
                 means=means_of(group), **{subject: len(group)})
            for quartile, group in enumerate(np.array_split(order, 4), start=1) if len(group)]


def flatten(tree: dict, prefix: str = '') -> list[tuple[str, float]]:
    """Nested dicts and tuples of numbers to ('a/b', value) pairs."""
    pairs = []
    for key, value in tree.items():
        name = f'{prefix}{key}'
        if isinstance(value, dict):
            pairs += flatten(value, f'{name}/')
        elif isinstance(value, (tuple, list)):
            pairs += [(f'{name}/{i}', float(item)) for i, item in enumerate(value)]
        else:
            pairs.append((name, float(value)))
    return pairs
