"""Rows of `.npy` files, read one by one where they lie, without a map of the file.

A random read of 6 KB through a map costs page faults, after which the kernel may count megabytes around each as this process's
own (measured on 64 GB: 112 us a row, and 29 GB resident after 20,000 rows; read by position: 13 us and nothing). The page
cache, which all processes share, is the same.
"""
import os
import threading
import weakref

import numpy as np

OPEN_FILES = 512  # of this process, which may usually have 1024; the one opened first is closed for the next


class _Descriptor:
    """Closed when its last user has done."""

    def __init__(self, path):
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self):
        os.close(self.number)


class NpyRows:
    """A file; `row(i)` is a copy. Threads may share it."""
    _open: 'weakref.WeakValueDictionary[int, NpyRows]' = weakref.WeakValueDictionary()  # in the order of opening
    _lock = threading.Lock()

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
        self._descriptor: _Descriptor | None = None

    def __len__(self) -> int:
        return self.count

    def data(self, row: int) -> bytearray:
        """The bytes of a row."""
        if not 0 <= row < self.count:
            raise IndexError(f'row {row} of {self.path}, which has {self.count}')
        content = bytearray(self.size)
        descriptor = self._descriptor or self._opened()
        if os.preadv(descriptor.number, [content], self.start + row * self.size) != self.size:
            raise ValueError(f'{self.path} ends before its row {row}: prepare it again.')
        return content

    def row(self, row: int) -> np.ndarray:
        """A row, its own memory, writable."""
        return np.frombuffer(self.data(row), self.dtype).reshape(self.shape)

    def text(self, row: int) -> str:
        """A row of fixed-width bytes."""
        return self.data(row).rstrip(b'\0').decode()

    def _opened(self) -> _Descriptor:
        descriptor = _Descriptor(self.path)
        with self._lock:
            while len(self._open) >= OPEN_FILES:
                self._open.pop(next(iter(self._open.keys())))._descriptor = None
            self._open[id(self)] = self
            self._descriptor = descriptor
        return descriptor


class NpyFolder:
    """The files of a folder by name. Travels to other processes without them; threads may share it."""
    _lock = threading.Lock()

    def __init__(self, folder):
        self.folder = folder
        self._files: dict[str, NpyRows] = {}

    def __getstate__(self) -> dict:
        return dict(folder=self.folder, _files={})

    def __getitem__(self, name: str) -> NpyRows:
        rows = self._files.get(name)
        if rows is None:
            with self._lock:  # NumPy parses headers with `ast`, which Python 3.11 cannot in two threads at once (gh-106905)
                rows = self._files[name] = NpyRows(self.folder / name)
        return rows
