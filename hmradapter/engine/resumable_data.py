"""Training data whose order and randomness can be entered at any point.

Draw n of a run is one sample: which one is a function of (seed, n), and so is everything random that is done to it. Neither
workers nor ranks nor a restart in between change it.
"""
import random
from collections.abc import Iterator, Sized

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Dataset, Sampler

from hmradapter.registry import DATA_SAMPLERS

from .draw_order import MixtureOrder, PassOrder, mixed_seed


class Draw(int):
    """A sample's index that remembers the number of its draw, counted over all ranks."""

    def __new__(cls, index: int, number: int):
        self = super().__new__(cls, index)
        self.number = number
        return self

    def __reduce__(self):  # travels to worker processes
        return Draw, (int(self), self.number)


@DATA_SAMPLERS.register_module()
class ResumableInfiniteSampler(Sampler):
    """Endless passes over a dataset, each in a new order, shared by the ranks; `start_at` enters it anywhere at once. Of a
    `MixtureDataset`, endless passes over each of its parts, which share the draws by weight.

    MMEngine's InfiniteSampler is replayed from its beginning at resume, images included.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None):
        if len(dataset) == 0:
            raise ValueError(f'{type(dataset).__name__} is empty: no sample can be drawn. Check data_root and split.')
        self.rank, self.world_size = get_dist_info()
        self.size, self.shuffle = len(dataset), shuffle
        self.sizes, self.shares = getattr(dataset, 'sizes', None), getattr(dataset, 'shares', None)  # of a mixture
        self.seed = sync_random_seed() if seed is None else seed
        self.start = 0

    def start_at(self, draws: int, seed: int) -> None:
        """Continue as if this rank had already made `draws` draws of the run with `seed`."""
        self.start, self.seed = draws, seed

    def __iter__(self) -> Iterator[Draw]:
        order = self._order()
        number = self.start * self.world_size + self.rank
        while True:
            block, at = divmod(number, order.length)
            for index in order.block(block)[at::self.world_size]:
                yield Draw(index, number)
                number += self.world_size

    def _order(self) -> PassOrder | MixtureOrder:
        if self.shares is None:
            return PassOrder(self.size, self.shuffle, self.seed)
        return MixtureOrder(self.sizes, self.shares, self.shuffle, self.seed)

    def __len__(self) -> int:
        return self.size


class SeededDataset(Dataset):
    """A dataset whose transforms' randomness depends on the seed and the draw only. Other attributes are the dataset's own."""

    def __init__(self, dataset: Dataset, seed: int = 0):
        self.dataset, self.seed = dataset, seed

    def __getitem__(self, draw: Draw):
        seed = mixed_seed(self.seed, draw.number)
        random.seed(seed)
        np.random.seed(seed % 2 ** 32)
        torch.default_generator.manual_seed(seed)
        return self.dataset[int(draw)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str):
        if name == 'dataset':  # not set yet: while a copy is unpickled in a worker
            raise AttributeError(name)
        return getattr(self.dataset, name)
