"""Pictures of a report: error against what learns, and against occlusion."""
from collections.abc import Callable
from pathlib import Path

from hmradapter.visualization.figures import legend_below, new_figure, series, write_figure

from .estimates import Estimate


def plot_parameters(path: Path, rows: dict[str, tuple[int, Estimate]], base: Estimate, measure: str) -> None:
    """rows: {title: (trainable parameters, error)}; the frozen base is a line."""
    def draw(axis) -> None:
        for number, (title, (count, error)) in enumerate(rows.items()):
            axis.errorbar(count, error.mean, yerr=_bars([error]), capsize=3, label=title,
                          **series(number) | dict(linestyle='none'))
        axis.axhline(base.mean, color='black', linewidth=0.8, linestyle='--', label='frozen expert')
        axis.set(xscale='log', xlabel='trainable parameters', ylabel=f'{measure} (mm)')
    _figure(path, draw)


def plot_occlusion(path: Path, rows: dict[str, list[Estimate]], labels: list[str], measure: str) -> None:
    """rows: {title: errors of the quartiles, most visible first}; labels: the quartiles' visible shares."""
    def draw(axis) -> None:
        for number, (title, errors) in enumerate(rows.items()):
            places = [place + 0.06 * (number - len(rows) / 2) for place in range(len(labels))]
            axis.errorbar(places, [error.mean for error in errors], yerr=_bars(errors), markersize=4, capsize=2,
                          label=title, **series(number))
        axis.set_xticks(range(len(labels)), labels)
        axis.set(xlabel='share of the hand in sight, by quartile', ylabel=f'{measure} (mm)')
    _figure(path, draw)


def _bars(errors: list[Estimate]) -> list[list[float]]:
    return [[max(0.0, error.mean - error.low) for error in errors], [max(0.0, error.high - error.mean) for error in errors]]


def _figure(path: Path, draw: Callable) -> None:
    figure = new_figure(9, 4.5)
    axis = figure.subplots()
    draw(axis)
    axis.grid(alpha=0.3)
    legend_below(figure, dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True)))
    write_figure(path, figure)
