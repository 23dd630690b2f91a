"""What runs of several seeds say of a row: means, and what other seeds and other held-out sequences would do to them.

R runs, N samples, U sequences, D draws of the bootstrap. A run's number is the mean over samples (of hands: of the left ones
and of the right ones, averaged); a row's number is the mean of its runs. One draw takes as many seeds and as many sequences,
with replacement, the same sequences for all rows, so that differences between rows are paired.
"""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hmradapter.evaluation.comparison import bootstrap_means, units_of

DRAWS, SEED, TAIL = 4000, 0, 2.5
SEQUENCE = r'^.*?/.*?/[^/]+'  # of a key: data set, subject, sequence; frames and views of one resemble each other


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; draws (D,) are kept for differences."""
    mean: float
    low: float
    high: float
    draws: np.ndarray

    @classmethod
    def of(cls, mean: float, draws: np.ndarray) -> 'Estimate':
        low, high = np.percentile(draws[np.isfinite(draws)], (TAIL, 100 - TAIL))
        return cls(float(mean), float(low), float(high), draws)

    def relative_to(self, other: 'Estimate') -> 'Estimate':
        """Change in percent of the other's mean."""
        return Estimate.of(100 * (self.mean / other.mean - 1), 100 * (self.draws / other.draws - 1))

    def __str__(self) -> str:
        return f'{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]'

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def estimate(evaluations: Sequence[dict], measure: str, chosen: np.ndarray | None = None) -> Estimate:
    """A row's number from its runs' evaluations (`runs.summary_of`) on the same samples; `chosen` (N,) bool keeps some of them.

    Raises:
        ValueError: the runs saw different samples.
    """
    first = evaluations[0]
    if any(evaluation['key'] != first['key'] for evaluation in evaluations):
        raise ValueError('runs of one row were evaluated on different samples: run the row again.')
    units = units_of(np.array(first['key']), SEQUENCE)
    errors = np.array([[np.nan if value is None else value for value in evaluation['errors'][measure]]
                       for evaluation in evaluations])                                        # (R, N)
    groups = sides(first) if chosen is None else sides(first) & chosen                         # (G, N)
    valid = np.isfinite(errors)[:, None] & groups                                              # (R, G, N)
    values = np.where(valid, errors[:, None], 0)
    kept = valid.any((0, 2))
    valid, values = valid[:, kept], values[:, kept]
    means = (values.sum(2) / valid.sum(2)).mean(1)                                             # (R,)
    flat = [array.reshape(-1, array.shape[2]) for array in (values, valid)]
    sums, counts = (np.stack([np.bincount(units, row, minlength=units.max() + 1) for row in array], axis=1) for array in flat)
    drawn = _mean_of_known(bootstrap_means(sums, counts, DRAWS, SEED).reshape(DRAWS, *valid.shape[:2]))  # (D, R)
    seeds = np.random.default_rng(SEED + 1).integers(0, len(errors), (DRAWS, len(errors)))
    return Estimate.of(means.mean(), np.take_along_axis(drawn, seeds, axis=1).mean(1))


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is finite; NaN where nothing is: a draw may have no hand of a side, or none at all."""
    known = np.isfinite(values)
    with np.errstate(invalid='ignore'):
        return np.where(known, values, 0).sum(-1) / known.sum(-1)


def sides(evaluation: dict) -> np.ndarray:
    """Samples whose means are averaged: left and right hands (2, N), or all persons (1, N), bool."""
    if 'is_right' not in evaluation:
        return np.ones((1, len(evaluation['key'])), bool)
    right = np.array(evaluation['is_right']) > 0
    return np.stack((~right, right))


def occlusion_quartiles(evaluation: dict) -> list[tuple[str, np.ndarray]]:
    """Four groups of equal size, most visible first: (visible shares, members (N,) bool); none where nothing is known."""
    visibility = np.array([np.nan if value is None else value for value in evaluation['visibility']], dtype=float)
    known = np.flatnonzero(np.isfinite(visibility))
    order = known[np.argsort(-visibility[known], kind='stable')]
    groups = []
    for rows in np.array_split(order, 4) if len(order) >= 4 else ():
        members = np.zeros(len(visibility), bool)
        members[rows] = True
        groups.append((f'{100 * visibility[rows].max():.0f}-{100 * visibility[rows].min():.0f} %', members))
    return groups
