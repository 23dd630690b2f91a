"""Picture of a comparison: how the errors of systems are distributed, and their differences with intervals."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hmradapter.evaluation.comparison import Difference

from .figures import new_figure, write_figure

CURVES = 3         # panels of distributions
LAST_SHARE = 99.0  # percent of samples that a panel shows; the few worst would squeeze the rest


def plot_comparison(path: str | Path, errors: dict[str, dict[str, np.ndarray]], differences: Sequence[Difference],
                    reference: str, title: str) -> None:
    """Write a picture in the format of the suffix.

    errors: {name of a number: {system: errors (N,)}}, of which the first are drawn as the share of samples below an error.
    differences: of the other systems to `reference`, with 95 % intervals.
    """
    drawn = list(errors.items())[:CURVES]
    names = list(dict.fromkeys(difference.name for difference in differences))
    figure = new_figure(4.5 * (len(drawn) + 1), max(4.0, 0.3 * len(names) + 1.5))
    figure.suptitle(title, fontsize='small', wrap=True)
    axes = figure.subplots(1, len(drawn) + 1, squeeze=False)[0]
    units = {difference.name: difference.unit for difference in differences}
    for axis, (name, systems) in zip(axes, drawn, strict=False):
        _distribution(axis, f'{name} ({units[name]})', systems)
    _intervals(axes[-1], names, differences, reference)
    write_figure(path, figure)


def _distribution(axis, label: str, systems: dict[str, np.ndarray]) -> None:
    for system, values in systems.items():
        values = np.sort(values[np.isfinite(values)])
        axis.step(values, 100 * np.arange(1, len(values) + 1) / len(values), where='post', label=system)
    finite = np.concatenate([values[np.isfinite(values)] for values in systems.values()])
    axis.set(xlabel=label, ylabel='samples with at most this error (%)', ylim=(0, 100),
             xlim=(0, max(np.percentile(finite, LAST_SHARE), 1e-9)))
    axis.grid(alpha=0.3)
    axis.legend(loc='lower right')


def _intervals(axis, names: Sequence[str], differences: Sequence[Difference], reference: str) -> None:
    systems = list(dict.fromkeys(difference.system for difference in differences))
    for number, system in enumerate(systems):
        own = [difference for difference in differences if difference.system == system]
        heights = [-names.index(d.name) - 0.6 * (number - (len(systems) - 1) / 2) / len(systems) for d in own]
        spread = np.array([(d.difference - d.low, d.high - d.difference) for d in own]).clip(min=0).T
        axis.errorbar([d.difference for d in own], heights, xerr=spread, fmt='o', markersize=4, capsize=3, label=system,
                      color=f'C{number + 1}')
    axis.axvline(0, color='black', linewidth=0.8)
    axis.set_yticks([-place for place in range(len(names))], names)
    axis.set(xlabel=f'difference to {reference} (mm or deg)\nleft is better; 95 % interval')
    axis.grid(alpha=0.3, axis='x')
    axis.legend()
