"""Samples out of a prepared store: opening, listing, indices and errors, shared by hands and persons."""
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from torch import Tensor

from hmradapter.registry import TRANSFORMS

from .store import PreparedStore


class StoreDataset(BaseDataset, ABC):
    """One item per number that `list_items` gives. A source says where the store is, by `prepare`; a kind of sample says which
    rows have one, and what it is.

    Differs from MMEngine's BaseDataset: samples stay on disk, memory-mapped and shared by all processes, and a sample that
    cannot be loaded is an error with its file's name instead of another sample.

    Args:
        image_root: folder that the store's image paths start from.
        pipeline: transforms.
        test_mode, indices, lazy_init, metainfo: as in MMEngine; `indices` may be a number (the first so many).
    """
    what = 'sample'  # in errors

    def __init__(self, image_root, pipeline: Sequence, test_mode: bool = False, indices: int | Sequence[int] | None = None,
                 lazy_init: bool = False, metainfo: dict | None = None):
        self.image_root = Path(image_root)
        self.store: PreparedStore | None = None
        self._items: np.ndarray | None = None
        # built here: MMEngine would look in its own registry unless a default scope is set
        steps = [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline]
        super().__init__(pipeline=steps, test_mode=test_mode, indices=indices, serialize_data=False, lazy_init=True)
        self._metainfo.update(metainfo or {})  # given above, MMEngine would look for files of these names
        if not lazy_init:
            self.full_init()

    @abstractmethod
    def prepare(self) -> PreparedStore:
        """The store, made first if it has to be."""

    @abstractmethod
    def list_items(self, flags: np.ndarray) -> np.ndarray:
        """Numbers (N,) of the samples to give, from the rows' flags (R,)."""

    def full_init(self) -> None:
        """Open the store and list its samples; called by MMEngine, once."""
        if self._fully_initialized:
            return
        self.store = self.prepare()
        items = self.list_items(self.store.index['flags'])
        if self._indices is not None:
            items = items[:self._indices] if isinstance(self._indices, int) else items[np.asarray(self._indices)]
        if len(items) == 0:
            raise ValueError(f'{self.store.folder} has no {self.what} to give; left out were '
                             f'{self.store.manifest["dropped"]}, without label {self.store.manifest["unlabelled"]}.')
        self._items = items
        self._fully_initialized = True

    def __len__(self) -> int:
        self.full_init()
        return len(self._items)

    def __getitem__(self, idx: int) -> dict:
        return self.pipeline(self.get_data_info(idx))

    def item(self, idx: int) -> int:
        """Number, as listed, of sample `idx`."""
        self.full_init()
        return int(self._items[idx])

    def about(self, idx: int, record: np.void) -> dict:
        """What every sample says of its image: where it is, its size (W, H) and camera, pixels."""
        path = self.image_root / self.store.path(int(record['offset']))
        return dict(sample_idx=int(idx) % len(self._items), img_path=str(path), img_size=np.float32(record['hw'][::-1]),
                    focal=record['focal'], princpt=record['princpt'])


def as_tensor(values: np.ndarray) -> Tensor:
    """A field of a record as a tensor with its own memory."""
    return torch.from_numpy(values.copy())
