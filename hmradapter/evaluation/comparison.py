"""Systems side by side on the same samples: differences, and what chance would do to them (paired bootstrap).

N samples of a file, U units that are drawn together (a sample, or all samples of a sequence), C cells of numbers, G groups of a
cell whose means are averaged (the two sides of hands; else one).
"""
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hmradapter.evaluation.dump_scoring import ScoredFile
from hmradapter.evaluation.scores import unit_of

CONFIDENCE = 0.95
_DRAWS_AT_ONCE = 1 << 24  # bounds memory, changes no number


@dataclass
class Difference:
    """One number of a system and of the reference.

    difference: value - reference, negative where the system is better; low, high: its 95 % interval; p: two-sided, of no
    difference; better: share of samples with a smaller error.
    """
    name: str
    unit: str
    system: str
    samples: int
    reference: float
    value: float
    difference: float
    low: float
    high: float
    p: float
    better: float


def compare(files: dict[str, ScoredFile], resamples: int = 10000, seed: int = 0, unit: str | None = None,
            common: bool = False) -> list[Difference]:
    """Each system against the first, number by number.

    Args:
        files: scored files by the system's name, the reference first.
        resamples: draws of the bootstrap; the smallest p is 2 / (resamples + 1), and 2 / 2^U of U units, since no paired test
            can be surer: each could have gone either way.
        unit: regular expression; samples whose keys match it with the same text are drawn together, as frames of a video that
            resemble each other should be. By default every sample is drawn by itself.
        common: compare the samples that all files have; otherwise different samples are an error.

    Raises:
        ValueError: names the protocols, keys or units that do not match.
    """
    if len(files) < 2:
        raise ValueError(f'{len(files)} file was given: a comparison needs at least two.')
    _check_protocols(files)
    keys = common_keys(files, common)
    units = units_of(keys, unit)
    reference, *others = files
    names = [name for name in files[reference].scores.cells if all(name in files[other].scores.cells for other in others)]
    cells = {system: _aligned_cells(file, keys, names) for system, file in files.items()}
    found = []
    for system in others:
        found += _differences(system, names, cells[reference], cells[system], units, resamples, seed)
    order = {name: place for place, name in enumerate(names)}
    return sorted(found, key=lambda difference: order[difference.name])  # stable: systems stay in their order


def _check_protocols(files: dict[str, ScoredFile]) -> None:
    ids = {system: file.scores.protocol.id for system, file in files.items()}
    if len(set(ids.values())) > 1:
        listed = ', '.join(f'{system}: {protocol}' for system, protocol in ids.items())
        raise ValueError(f'the files were scored under different protocols, so their numbers cannot be compared ({listed}). '
                         'Score all under one with --protocol.')


def common_keys(files: dict[str, ScoredFile], common: bool) -> np.ndarray:
    """Keys of the samples to compare, in the order of the first file; ValueError where the files have others."""
    (first, reference), *others = files.items()
    shared = set(reference.keys.tolist()).intersection(*(file.keys.tolist() for _, file in others))
    for system, file in others:
        for one, other, a, b in ((first, system, reference, file), (system, first, file, reference)):
            there = set(b.keys.tolist())
            lacking = [key for key in a.keys.tolist() if key not in there]
            if lacking and not common:
                raise ValueError(f'{other} lacks {len(lacking)} of the {len(a.keys)} samples of {one}, the first is '
                                 f'{lacking[0]!r}: a paired comparison needs the same keys. --common compares those that all '
                                 'files have.')
    if not shared:
        raise ValueError(f'the files {list(files)} have no sample in common: their keys differ.')
    return np.array([key for key in reference.keys.tolist() if key in shared])


def units_of(keys: np.ndarray, pattern: str | None) -> np.ndarray:
    """Number (N,) of the unit of each key; ValueError for a key that the pattern does not match."""
    if pattern is None:
        return np.arange(len(keys))
    names = []
    for key in keys.tolist():
        match = re.search(pattern, key)
        if match is None:
            raise ValueError(f'the unit {pattern!r} does not match the key {key!r}: it is a regular expression that names the '
                             "group of a key, for example '^.*/' for everything before the last slash.")
        names.append(match.group())
    return np.unique(names, return_inverse=True)[1]


def _aligned_cells(file: ScoredFile, keys: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
    """Errors (G, N) of each cell, in the order of `keys`."""
    place = {key: row for row, key in enumerate(file.keys.tolist())}
    order = np.array([place[key] for key in keys.tolist()])
    return [np.stack(file.scores.cells[name])[:, order] for name in names]


def _differences(system: str, names: Sequence[str], reference: list[np.ndarray], other: list[np.ndarray], units: np.ndarray,
                 resamples: int, seed: int) -> list[Difference]:
    pairs, sums, counts, groups = [], [], [], []
    for a, b in zip(reference, other, strict=True):
        both = np.isfinite(a) & np.isfinite(b)
        kept = both.any(1)  # a side without a single pair takes no part
        pairs.append((a[kept], b[kept], both[kept]))
        groups.append(int(kept.sum()))
        for x, y, valid in zip(*pairs[-1], strict=True):
            sums.append(np.bincount(units, np.where(valid, y - x, 0)))
            counts.append(np.bincount(units, valid))
    draws = bootstrap_means(np.array(sums).T, np.array(counts).T, resamples, seed)  # (resamples, all groups)
    found, start = [], 0
    for name, (a, b, valid), size in zip(names, pairs, groups, strict=True):
        if size:
            drawn = draws[:, start:start + size].mean(1)
            least = 2.0 ** (1 - len(np.unique(units[valid.any(0)])))
            found.append(_difference(name, system, a, b, valid, drawn[np.isfinite(drawn)], least))
        start += size
    return found


def _difference(name: str, system: str, a: np.ndarray, b: np.ndarray, valid: np.ndarray, draws: np.ndarray,
                least_p: float) -> Difference:
    means = [np.mean([values[row].mean() for values, row in zip(errors, valid, strict=True)]) for errors in (a, b)]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(draws, (tail, 100 - tail))
    sides = min((draws <= 0).sum(), (draws >= 0).sum())
    p = max(least_p, 2 * (sides + 1) / (len(draws) + 1))
    return Difference(name, unit_of(name), system, int(valid.sum()), float(means[0]), float(means[1]),
                      float(means[1] - means[0]), float(low), float(high), float(min(1, p)),
                      float((b[valid] < a[valid]).mean()))


def bootstrap_means(sums: np.ndarray, counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means (resamples, K) of K quantities when U units are drawn U times with replacement, the same draw for all quantities.
    sums (U, K): of each unit, over counts (U, K) samples. NaN where a draw has no sample of a quantity."""
    random, units = np.random.default_rng(seed), len(sums)
    at_once = max(1, min(resamples, _DRAWS_AT_ONCE // units))
    parts = []
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        drawn = random.integers(0, units, (size, units))
        flat = (drawn + units * np.arange(size)[:, None]).ravel()
        weights = np.bincount(flat, minlength=size * units).reshape(size, units).astype(np.float64)
        with np.errstate(invalid='ignore'):
            parts.append((weights @ sums) / (weights @ counts))
    return np.concatenate(parts)
