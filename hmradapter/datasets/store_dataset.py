"""Samples out of a prepared store: opening, listing, indices and errors, shared by hands and persons."""
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from torch import Tensor

from hmradapter.registry import SOURCES, TRANSFORMS

from .selection import Selection
from .sources.source import Source
from .store.prepared import PreparedStore, read_manifest


class StoreDataset(BaseDataset, ABC):
    """One item per sample that is `usable`; a kind of sample says which rows have one, and what it is.

    Differs from MMEngine's BaseDataset: samples stay on disk, in the page cache that all processes share, and a sample that
    cannot be loaded is an error with its file's name instead of another sample.

    Args:
        source: a folder that `tools/prepare_data.py` made, or the data set itself: a config of SOURCES (or a `Source`), whose
            records are prepared on first use.
        pipeline: transforms.
        image_root: folder that the store's image paths start from, where images have moved since.
        test_mode, indices, lazy_init, metainfo: as in MMEngine; `indices` may be a number (the first so many).
    """
    what = 'sample'  # in errors

    def __init__(self, source: str | dict | Source, pipeline: Sequence = (), image_root: str | None = None,
                 test_mode: bool = False, indices: int | Sequence[int] | None = None, lazy_init: bool = False,
                 metainfo: dict | None = None):
        self.source = SOURCES.build(source) if isinstance(source, dict) else source
        if isinstance(self.source, Source) and not (self.source.trains or test_mode):
            raise ValueError(f'test_mode is False, but {self.source.title} has no parameters to learn from: it is for '
                             'evaluation only.')
        self.image_root = None if image_root is None else Path(image_root)
        self.store: PreparedStore | None = None
        self._items: Selection | None = None          # numbers of all samples there are
        self._chosen: range | np.ndarray | None = None  # which of them are given, by `indices`
        # built here: MMEngine would look in its own registry unless a default scope is set
        steps = [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline]
        super().__init__(pipeline=steps, test_mode=test_mode, indices=indices, serialize_data=False, lazy_init=True)
        # given above, MMEngine would look for files of these names
        self._metainfo.update(self._source_metainfo() | (metainfo or {}))
        if not lazy_init:
            self.full_init()

    @abstractmethod
    def usable(self, flags: np.ndarray) -> np.ndarray:
        """Which samples rows with these flags (R,) give: booleans (R,), or (R, K) for K kinds of samples of a row. Sample k of
        row r has the number K * r + k."""

    def full_init(self) -> None:
        """Open the store and list its samples; called by MMEngine, once."""
        if self._fully_initialized:
            return
        self.store = self.source.prepare() if isinstance(self.source, Source) else PreparedStore(self.source)
        if self.image_root is not None and self.store.holds_images:
            raise ValueError(f'image_root is {str(self.image_root)!r}, but {self.store.folder} holds its images itself: '
                             'leave it out.')
        self.image_root = self.image_root or self.store.image_root
        self._items = Selection(self.usable(index['flags']).reshape(-1) for index in self.store.index_pieces())
        self._chosen = range(len(self._items))
        if self._indices is not None:
            self._chosen = (self._chosen[:self._indices] if isinstance(self._indices, int)
                            else np.arange(len(self._items))[np.asarray(self._indices)])
        if len(self._chosen) == 0:
            raise ValueError(f'{self.store.folder} has no {self.what} to give; left out were '
                             f'{self.store.manifest["dropped"]}, without label {self.store.manifest["unlabelled"]}.')
        self._fully_initialized = True

    def __len__(self) -> int:
        self.full_init()
        return len(self._chosen)

    def __getitem__(self, idx: int) -> dict:
        return self.pipeline(self.get_data_info(idx))

    def item(self, idx: int) -> int:
        """Number, as listed, of sample `idx`."""
        self.full_init()
        return self._items[int(self._chosen[idx])]

    def about(self, idx: int, record: np.void) -> dict:
        """What every sample says of its image: its file, its bytes (offset, length) there (None: all), how it is turned, its
        size (W, H) and camera, pixels; a focal length of 0 is not known."""
        path, span = self.store.image(record)
        return dict(sample_idx=int(idx) % len(self._chosen), img_path=str(self.image_root / path), img_span=span,
                    rot90=int(record['rot90']), img_size=np.float32(record['hw'][::-1]), focal=record['focal'],
                    princpt=record['princpt'])

    def _source_metainfo(self) -> dict:
        if isinstance(self.source, Source):
            return self.source.metainfo
        manifest = read_manifest(self.source)
        return dict(dataset=manifest['dataset'], **manifest['protocol'])


def as_tensor(values: np.ndarray) -> Tensor:
    """A field of a record as a tensor with its own memory."""
    return torch.from_numpy(values.copy())
