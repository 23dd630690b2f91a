"""A run over inputs, whatever is looked for in them: predict, write, collect errors, and one web page of it all."""
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from torch import nn

from hmradapter.fileio import sha256_file
from hmradapter.models.adapters.adapter_file import WEIGHTS
from hmradapter.visualization.meshes import fit_inside
from hmradapter.visualization.report import Figure, Page, Section

PAGE = 'index.html'
FIGURE_SIZE = 640  # px, longer side of pictures that wait for the page
Progress = Callable[[Iterable, str], Iterable]  # wraps what is gone through, with a word for it


def silent(items: Iterable, _what: str) -> Iterable:
    """A Progress that shows nothing."""
    return items


class Run(ABC):
    """What both kinds of runs are to the command line: `process`, then `summary`.

    errors: (source, message) of what could not be used.  total: items found; done: those without an error; reused: those that
    an earlier run had made.  unit: what an item is called.
    """
    title = ''
    unit = 'images'

    def __init__(self, out_dir: str | Path):
        self.out_dir = Path(out_dir)
        self.errors: list[tuple[str, str]] = []
        self.total = self.done = self.reused = 0

    def process(self, progress: Progress = silent) -> Path:
        """Do everything and write the page; returns its path. What cannot be used is an entry of `errors`."""
        self.out_dir.mkdir(parents=True, exist_ok=True)
        sections = self._sections(progress)
        failed = [Section('Could not be used', [f'{source}: {message}' for source, message in self.errors], warning=True)]
        Page(self.title, self._notes(), (failed if self.errors else []) + sections).write(self.out_dir / PAGE)
        return self.out_dir / PAGE

    @abstractmethod
    def summary(self) -> list[str]:
        """The table of all predictions as lines of text."""

    @abstractmethod
    def _sections(self, progress: Progress) -> list[Section]:
        """Do the items; a part of the page for each."""

    @abstractmethod
    def _notes(self) -> list[str]:
        """What the page says at its top."""

    def figure(self, caption: str, image: np.ndarray, href: str | None = None, small: bool = False) -> Figure:
        """A picture for the page, no larger than the page shows it: those of a whole run wait in memory."""
        return Figure(caption, fit_inside(image, FIGURE_SIZE).copy(), href, small)


def check_out_dir(out_dir: str | Path, source: str | Path) -> None:
    """ValueError where outputs would lie among the inputs, or over one: `out_dir` is the input folder or that of the input."""
    source, out_dir = Path(source), Path(out_dir)
    folder = source if source.is_dir() else source.parent
    if source.exists() and out_dir.resolve() == folder.resolve():
        raise ValueError(f'--out-dir is {out_dir}, where the input lies: outputs would be taken for inputs, or overwrite them. '
                         'Give another folder.')


def adapter_facts(expert: nn.Module, file: str | Path | None) -> dict[str, str]:
    """Where an expert's adapter is from and its hash; empty where it has none."""
    if expert.adapter is None:
        return {}
    file = Path(file)
    return dict(adapter=str(file), adapter_sha256=sha256_file(file / WEIGHTS if file.is_dir() else file))
