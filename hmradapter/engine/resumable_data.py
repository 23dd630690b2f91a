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
    """Endless passes over a dataset, each in a new order, shared by the ranks; `start_at` enters it anywhere at once.

    MMEngine's InfiniteSampler is replayed from its beginning at resume, images included.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None):
        if len(dataset) == 0:
            raise ValueError(f'{type(dataset).__name__} is empty: no sample can be drawn. Check data_root and split.')
        self.rank, self.world_size = get_dist_info()
        self.size, self.shuffle = len(dataset), shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.start = 0

    def start_at(self, draws: int, seed: int) -> None:
        """Continue as if this rank had already made `draws` draws of the run with `seed`."""
        self.start, self.seed = draws, seed

    def __iter__(self) -> Iterator[Draw]:
        number = self.start * self.world_size + self.rank
        while True:
            order = self._order(number // self.size)
            begin = number
            for number in range(begin, (begin // self.size + 1) * self.size, self.world_size):
                yield Draw(order[number % self.size], number)
            number += self.world_size

    def _order(self, turn: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, turn))
        return torch.randperm(self.size, generator=generator).tolist()

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


def mixed_seed(*numbers: int) -> int:
    """A 63-bit seed from several numbers; neighbouring numbers give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1
