"""Picture of training: values against iterations, a panel a value."""
from collections.abc import Collection, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from .figures import legend_below, new_figure, series, write_figure

FEW = 9  # points of a curve below which each is marked

Curve = Sequence[tuple[int, float]]  # (iteration, value)


def plot_curves(path: str | Path, panels: dict[str, dict[str, Sequence[Curve]]], log: Collection[str] = ()) -> None:
    """Write `curves_figure` in the format of the suffix."""
    write_figure(path, curves_figure(panels, log))


def curves_figure(panels: dict[str, dict[str, Sequence[Curve]]], log: Collection[str] = ()) -> Figure:
    """A figure of all curves.

    panels: {label of the values: {title of runs: a curve of each}}; a title has one look in all panels.
    log: the panels whose values are on a logarithmic axis.
    """
    titles = list(dict.fromkeys(title for runs in panels.values() for title in runs))
    figure = new_figure(max(9.0, 6.5 * len(panels)), 4.5)
    drawn = {}
    for axis, (label, runs) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for title, curves in runs.items():
            for curve in curves:
                look = series(titles.index(title)) | ({} if len(curve) < FEW else dict(marker=None))
                drawn[title], = axis.plot(*zip(*curve, strict=True), linewidth=1, markersize=4, alpha=0.8, **look)
        axis.set(xlabel='iterations', ylabel=label)
        if label in log:
            axis.set_yscale('log')
            axis.yaxis.set_major_formatter(LogFormatter())  # 20, not 2 x 10^1
            axis.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    legend_below(figure, drawn)
    return figure
