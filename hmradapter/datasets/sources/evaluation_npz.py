"""What the evaluation files of HaMeR (`hamer_eval`) and of HMR 2.0 (`hmr2_eval`) share: one npz beside folders of images.

Facts that are easily missed: `scale` is in pixels here, in the tars in 200 pixels; names of images may be bytes; a missing
array means nothing is known; boxes are padded already, except HInt's.
"""
from abc import abstractmethod
from pathlib import Path

import numpy as np

from hmradapter.fileio import sha256_file

from ..store.part import Part
from .rows import set_images
from .source import Source


class EvaluationSource(Source):
    """One npz under data_root, one unit."""
    files: dict[str, str]
    trains = False

    def __init__(self, data_root, split: str, body_model_root=None, file: str | None = None, images: str = '', **common):
        super().__init__(data_root, split, body_model_root, **common)
        self.file, self.images = self.data_root / (file or self.files[split]), str(images)

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, file=self.file.name, images=self.images)

    @property
    def units(self) -> list[str]:
        return [self.checked_file.name]

    @property
    def checked_file(self) -> Path:
        """The file, which has to be there."""
        if not self.file.is_file():
            raise self.missing(self.file)
        return self.file

    def fingerprint(self) -> dict:
        return dict(file=sha256_file(self.file))

    def refer(self, part: Part, names: list[str], rows: np.ndarray) -> None:
        """References and keys of the records, which are the file's `rows`."""
        set_images(part, [names[row] for row in rows])
        part.records['frame'] = rows
        part.keys = [f'{self.name}/{self.split}/{row:06d}' for row in rows]

    def image_paths(self, names: list[str]) -> list[str]:
        """Relative to data_root."""
        return [(Path(self.images) / name.lstrip('/')).as_posix() for name in names]

    @abstractmethod
    def convert(self, unit: str) -> Part:
        ...
