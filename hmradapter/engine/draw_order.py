"""Which sample each draw of a run takes: a function of the seed and the draw's number, computed block by block.

An order has `length`, the draws of a block, and `block(number)`, the indices (length,) of one block's samples.
"""
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch

BLOCK = 1000             # draws of a mixture's block, at least
SHORTEST_QUOTA = 2       # draws of every data set in a block, at least: quotas of later blocks can then never be negative
LONGEST_BLOCK = 2 * 10 ** 7
PASS, INTERLEAVING = 2, 3  # keep a mixture's random streams apart, and from those of samples and iterations


class PassOrder:
    """Endless passes over `size` samples, each a block in an order of its own.

    Args:
        key: numbers that the orders are drawn from, besides the pass's.
    """

    def __init__(self, size: int, shuffle: bool, seed: int, key: Sequence[int] = ()):
        self.length, self.shuffle, self.seed, self.key = size, shuffle, seed, tuple(key)
        self._last: tuple[int | None, np.ndarray | None] = (None, None)

    def block(self, number: int) -> np.ndarray:
        """The samples (size,) of one pass."""
        if self._last[0] != number:
            self._last = (number, self._drawn(number))
        return self._last[1]

    def between(self, begin: int, end: int) -> np.ndarray:
        """The samples of the draws begin .. end - 1, over the ends of passes."""
        parts = []
        while begin < end:
            turn, at = divmod(begin, self.length)
            parts.append(self.block(turn)[at:at + end - begin])
            begin += len(parts[-1])
        return np.concatenate(parts)

    def _drawn(self, number: int) -> np.ndarray:
        dtype = torch.int32 if self.length < 2 ** 31 else torch.int64  # 10 million samples: 40 MB, the same order as in 64 bits
        if not self.shuffle:
            return torch.arange(self.length, dtype=dtype).numpy()
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, number, *self.key))
        return torch.randperm(self.length, generator=generator, dtype=dtype).numpy()


class MixtureOrder:
    """Draws shared by data sets, each in passes of its own. After every block each data set has had its share of all draws so
    far, rounded up or down, so shares are exact in the long run; within a block the data sets come in a random order.

    Args:
        sizes: samples of each data set; indices count through them.
        shares: of the draws, their sum 1.
        shuffle: whether passes are shuffled; which data set is next is always drawn.
    """

    def __init__(self, sizes: Sequence[int], shares: Sequence[Fraction], shuffle: bool, seed: int):
        self.shares, self.seed = tuple(shares), seed
        self.length = max(BLOCK, math.ceil(SHORTEST_QUOTA / min(shares)))
        if self.length > LONGEST_BLOCK:
            raise ValueError(f'data set {shares.index(min(shares))} of the mixture has the share {float(min(shares)):.2g} of '
                             f'the draws; below {SHORTEST_QUOTA / LONGEST_BLOCK:.0e} leave it out, or give it a larger weight.')
        self.passes = [PassOrder(size, shuffle, seed, (number, PASS)) for number, size in enumerate(sizes)]
        self.offsets = np.cumsum([0, *sizes[:-1]])

    def block(self, number: int) -> np.ndarray:
        """Indices (length,) of one block's samples."""
        begin, end = self.drawn(number * self.length), self.drawn((number + 1) * self.length)
        which = np.repeat(np.arange(len(self.passes)), end - begin)
        np.random.default_rng(mixed_seed(self.seed, number, INTERLEAVING)).shuffle(which)
        indices = np.empty(self.length, np.int64)
        for part, (order, offset) in enumerate(zip(self.passes, self.offsets, strict=True)):
            indices[which == part] = offset + order.between(int(begin[part]), int(end[part]))
        return indices

    def drawn(self, draws: int) -> np.ndarray:
        """How many of the first `draws` draws each data set has (parts,), by largest remainders; `draws` a multiple of
        `length`. Exact fractions: a rounding error would move a sample between runs on two machines."""
        quotas = [share * draws for share in self.shares]
        counts = np.array([math.floor(quota) for quota in quotas])
        by_remainder = sorted(range(len(quotas)), key=lambda part: counts[part] - quotas[part])
        counts[by_remainder[:draws - int(counts.sum())]] += 1
        return counts


def mixed_seed(*numbers: int) -> int:
    """A 63-bit seed from several numbers; neighbouring numbers give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1
