"""Which numbers were chosen, in a bit each: ten million samples in 1.3 MB, and the i-th of them found in microseconds."""
from collections.abc import Iterable

import numpy as np

BLOCK = 64  # bytes that a count stands for
_ONES = np.array([bin(byte).count('1') for byte in range(256)], np.uint8)


class Selection:
    """Chosen numbers in ascending order.

    Args:
        chosen: booleans, a piece at a time; number i is chosen where the i-th of all is true. Each piece but the last has a
            multiple of 8.
    """

    def __init__(self, chosen: Iterable[np.ndarray]):
        pieces = [np.packbits(piece) for piece in chosen]
        bits = np.concatenate(pieces) if pieces else np.zeros(0, np.uint8)
        self._bits = np.pad(bits, (0, -len(bits) % BLOCK))
        counts = _ONES[self._bits].reshape(-1, BLOCK).sum(1, dtype=np.int64)
        self._before = np.concatenate(([0], np.cumsum(counts)))  # chosen before each block

    def __len__(self) -> int:
        return int(self._before[-1])

    def __getitem__(self, at: int) -> int:
        """The number chosen as the `at`-th, from 0."""
        if not 0 <= at < len(self):
            raise IndexError(f'sample {at} of {len(self)}')
        block = int(self._before.searchsorted(at, side='right')) - 1
        ones = np.unpackbits(self._bits[block * BLOCK:(block + 1) * BLOCK]).nonzero()[0]
        return block * BLOCK * 8 + int(ones[at - int(self._before[block])])
