"""Rows of `.npy` files, read one by one where they lie, without a map of the file.

A random read of 6 KB through a map costs page faults, after which the kernel counts megabytes around each as this process's
own (measured: 112 us a row and 29 GB resident after 20,000 rows of 63 GB; read by position: 13 us and nothing). The page cache,
which all processes share, is the same.
"""
import os

import numpy as np

OPEN_FILES = 128  # of one table at a time: many tables share a process's 1024


class NpyRows:
    """An open file; `row(i)` is a copy. Threads may share it."""

    def __init__(self, path):
        with open(path, 'rb') as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, self.dtype = read(file)
            self.start = file.tell()
        if fortran and len(shape) > 1:
            raise ValueError(f'{path} has its columns first: rows cannot be read one by one.')
        self.path, self.count, self.shape = path, shape[0], shape[1:]
        self.size = self.dtype.itemsize * int(np.prod(self.shape, dtype=int))
        self.descriptor = os.open(path, os.O_RDONLY)

    def __len__(self) -> int:
        return self.count

    def __del__(self):
        if hasattr(self, 'descriptor'):
            os.close(self.descriptor)

    def data(self, row: int) -> bytearray:
        """The bytes of a row."""
        if not 0 <= row < self.count:
            raise IndexError(f'row {row} of {self.path}, which has {self.count}')
        content = bytearray(self.size)
        if os.preadv(self.descriptor, [content], self.start + row * self.size) != self.size:
            raise ValueError(f'{self.path} ends before its row {row}: prepare it again.')
        return content

    def row(self, row: int) -> np.ndarray:
        """A row, its own memory, writable."""
        return np.frombuffer(self.data(row), self.dtype).reshape(self.shape)

    def text(self, row: int) -> str:
        """A row of fixed-width bytes."""
        return self.data(row).rstrip(b'\0').decode()


class OpenFiles:
    """The latest `OPEN_FILES` files of a folder, by name. Travels to other processes without them."""

    def __init__(self, folder):
        self.folder = folder
        self._open: dict[str, NpyRows] = {}

    def __getstate__(self) -> dict:
        return dict(folder=self.folder, _open={})

    def __getitem__(self, name: str) -> NpyRows:
        rows = self._open.get(name)
        if rows is None:
            rows = NpyRows(self.folder / name)
            while len(self._open) >= OPEN_FILES:
                self._open.pop(next(iter(self._open)))  # the one opened first; closed when its last reader has done
            self._open[name] = rows
        return rows
