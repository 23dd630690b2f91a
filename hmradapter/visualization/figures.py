"""Matplotlib's figures as files, without a display and without pyplot's global state."""
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hmradapter.fileio import atomic_write


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, whose parts make room for each other."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def write_figure(path: str | Path, figure: Figure) -> None:
    """Whole or not at all, in the format of the suffix (.png, .pdf, .svg); ValueError for another one."""
    path, known = Path(path), figure.canvas.get_supported_filetypes()
    kind = path.suffix[1:].lower()
    if kind not in known:
        raise ValueError(f'{path} has the suffix {path.suffix!r}; a plot is one of {sorted(known)}.')
    with atomic_write(path) as file:
        figure.savefig(file, format=kind, dpi=110)
