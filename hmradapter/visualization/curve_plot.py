"""Picture of training: values against iterations, a panel a value."""
from collections.abc import Collection, Sequence
from pathlib import Path

from matplotlib.ticker import LogFormatter

from .figures import new_figure, write_figure

FEW = 9  # points of a curve below which each is marked

Curve = Sequence[tuple[int, float]]  # (iteration, value)


def plot_curves(path: str | Path, panels: dict[str, dict[str, Sequence[Curve]]], log: Collection[str] = ()) -> None:
    """Write a picture whose format the suffix says.

    panels: {what it shows, with its unit: {title of runs: a curve of each}}; a title has one colour in all panels.
    log: the panels whose values are on a logarithmic axis.
    """
    titles = list(dict.fromkeys(title for runs in panels.values() for title in runs))
    figure = new_figure(5.5 * len(panels) + 3.5, 4.5)
    drawn = {}
    for axis, (shown, runs) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for title, curves in runs.items():
            for curve in curves:
                drawn[title], = axis.plot(*zip(*curve, strict=True), color=f'C{titles.index(title)}', linewidth=1, alpha=0.8,
                                          marker='.' if len(curve) < FEW else None)
        axis.set(xlabel='iterations', ylabel=shown)
        if shown in log:
            axis.set_yscale('log')
            axis.yaxis.set_major_formatter(LogFormatter())  # 20, not 2 x 10^1
            axis.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    figure.legend(drawn.values(), drawn, fontsize='small', loc='outside right upper')
    write_figure(path, figure)
