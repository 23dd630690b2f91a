"""FreiHAND's files: where they lie, what they hold, whether they are whole. Nothing is posed here.

Layout (root = FreiHAND_pub_v2), source: lmb-freiburg/freihand `README`, `utils/fh_utils.py`:
    training/rgb/%08d.jpg                    base hand + number of its version x number of base hands (32560)
    training/mask/%08d.jpg                   of base hands; not read
    training_{K,mano,xyz}.json               lists, an entry for each base hand; training_scale.json is not read
    training_verts.json                      meshes
    evaluation/rgb/%08d.jpg, evaluation_{K,mano,xyz,verts}.json   the same, one version
"""
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from hmradapter.fileio import DamagedFileError, stream_json

SHAPES = dict(K=(3, 3), mano=(1, 61), xyz=(21, 3))


class FreiHANDFiles:
    """The files of the folder 'training' or 'evaluation': entry i of each list is base hand i."""

    def __init__(self, root: Path, folder: str, missing: Callable[[Path], Exception] = FileNotFoundError):
        self.root, self.folder, self.missing = root, folder, missing

    def path(self, name: str) -> Path:
        """Of a list: 'K', 'mano', 'xyz' or 'verts'. The error of `missing` where there is none."""
        path = self.root / f'{self.folder}_{name}.json'
        if not path.is_file():
            raise self.missing(path)
        return path

    def image(self, number: int) -> str:
        """Relative to the root."""
        return f'{self.folder}/rgb/{number:08d}.jpg'

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """K (N, 3, 3) px, mano (N, 1, 61), xyz (N, 21, 3) metres in the camera; NaN for entries of another form."""
        return {name: self.entries(name, shape) for name, shape in SHAPES.items()}

    @cached_property
    def count(self) -> int:
        """Base hands."""
        return len(self.entries('K', SHAPES['K']))

    @cached_property
    def whole(self) -> np.ndarray:
        """(N,) bool: all numbers of a hand are there and finite, and its K is a pinhole's without skew."""
        with np.errstate(over='ignore'):  # float32, which records hold
            finite = [np.isfinite(values.astype(np.float32)).reshape(len(values), -1).all(1) for values in self.labels.values()]
        K, scale = self.labels['K'], self.labels['mano'][:, 0, -1]
        pinhole = (K[:, [0, 1, 2, 2, 2], [1, 0, 0, 1, 2]] == [0, 0, 0, 0, 1]).all(1) & (K[:, [0, 1], [0, 1]] > 1).all(1)
        return np.stack(finite).all(0) & pinhole & (scale > 0)

    def entries(self, name: str, shape: tuple[int, ...], dtype=np.float64) -> np.ndarray:
        """(N, *shape) of a list, entry by entry; NaN for those of another shape. `verts`: 1.5 GB of text, 0.3 GB of arrays."""
        path, what = self.path(name), "a list of FreiHAND's"
        rows = []
        for place, entry in stream_json(path, 1, what):
            if not place or not isinstance(place[0], int):
                raise DamagedFileError(path, what, 'it holds something else')
            rows.append(_array(entry, shape, dtype))
        if not rows or name != 'K' and len(rows) != self.count:
            raise DamagedFileError(path, what, f'it has {len(rows)} entries, one is due for each hand of {self.folder}_K.json')
        return np.stack(rows)


def _array(entry, shape: tuple[int, ...], dtype) -> np.ndarray:
    try:
        array = np.asarray(entry, dtype)
    except (TypeError, ValueError, OverflowError):  # text, lists of several lengths, whole numbers of 400 digits
        array = np.zeros(0, dtype)
    return array if array.shape == shape else np.full(shape, np.nan, dtype)
