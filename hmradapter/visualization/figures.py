"""Matplotlib's figures as files, without a display and without pyplot's global state."""
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hmradapter.fileio import atomic_write

COLORS = 10  # of matplotlib's cycle


def series(number: int) -> dict[str, Any]:
    """Colour, line and marker of the series of a plot, so that the eleventh does not look like the first."""
    turn = number // COLORS % 3
    return dict(color=f'C{number % COLORS}', linestyle=('-', '--', ':')[turn], marker='os^'[turn])


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, whose parts make room for each other."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def legend_below(figure: Figure, drawn: dict[str, Any]) -> None:
    """{title: what matplotlib drew} below the axes, whose size stays, however long titles are: the figure grows."""
    columns = 2 if len(drawn) > 3 and max(map(len, drawn)) < 50 else 1
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.2 * -(-len(drawn) // columns) + 0.15)
    figure.legend(drawn.values(), drawn, fontsize='small', loc='outside lower left', ncols=columns)


def write_figure(path: str | Path, figure: Figure) -> None:
    """Whole or not at all, in the format of the suffix, such as .png, .pdf or .svg; ValueError for one that is no picture's."""
    path, known = Path(path), figure.canvas.get_supported_filetypes()
    kind = path.suffix[1:].lower()
    if kind not in known:
        raise ValueError(f'{path} has the suffix {path.suffix!r}; a plot is one of {sorted(known)}.')
    with atomic_write(path) as file:
        figure.savefig(file, format=kind, dpi=110)
