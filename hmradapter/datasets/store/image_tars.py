"""Encoded images put together in plain tars, byte for byte as they were, so that a store holds its pictures itself.

A tar is written once, uncompressed, with headers that say nothing of time or user: the same images give the same bytes. Any
tool reads it; a record knows the byte range of its image in it.
"""
import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hmradapter.fileio import atomic_write

from ..images import ImageFileError, read_encoded
from .part import Part

TAR_BYTES = 2 * 10 ** 9
SUFFIXES = {b'\xff\xd8': '.jpg', b'\x89P': '.png'}


class _Hashing:
    """A file to write to that also hashes what passes."""

    def __init__(self, file):
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.digest.update(data)
        self.size += len(data)


def write_tars(part: Part, root: Path, stem: Path, limit: int = TAR_BYTES) -> list[dict]:
    """Copy the images of a part into `<stem>.000.tar`, ... of at most `limit` bytes each and let its records point there.

    Args:
        part: changed in place: no paths are left, `tars` are the names of the new files.
        root: folder that its paths and tars start from.
        stem: where the tars go, without the ending.

    Returns:
        size and sha256 of each tar.
    Raises:
        FileNotFoundError, ImageFileError: an image that was there is not, or the tar ends before it.
    """
    records = part.records
    references = np.stack([records[name].astype(np.int64) for name in ('length', 'shard', 'offset')], axis=1)
    references[references[:, 0] == -1, 1] = -1
    images, first, which = np.unique(references, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # in the order of the records, which is how they will be read
    places = np.zeros((len(images), 3), np.int64)
    written: list[dict] = []
    wanted = [_source(part, root, images[i]) for i in order]
    start = 0
    while start < len(wanted):
        tar = Path(f'{stem}.{len(written):03d}.tar')
        with atomic_write(tar) as raw:
            file = _Hashing(raw)
            ranges = list(_fill(file, wanted[start:], limit))
            file.write(bytes(2 * tarfile.BLOCKSIZE))
        for at, (offset, length) in enumerate(ranges, start):
            places[order[at]] = length, len(written), offset
        start += len(ranges)
        written.append(dict(name=tar.name, size=file.size, sha256=file.digest.hexdigest()))
    if len(records):
        chosen = places[which.reshape(-1)]
        records['length'], records['shard'], records['offset'] = chosen.T
    part.paths, part.tars = [], [entry['name'] for entry in written]
    return written


def _fill(file: _Hashing, images: Sequence[tuple[Path, str, tuple | None]], limit: int) -> Iterator[tuple[int, int]]:
    """Write images until the tar is full; offset and length of each. The first goes in whatever its size."""
    for path, name, span in images:
        encoded = read_encoded(path, span).tobytes()
        info = tarfile.TarInfo(name or f'{path.stem}/{span[0]:012d}{SUFFIXES.get(encoded[:2], "")}')
        info.size, info.mode = len(encoded), 0o644  # time, user and group stay 0 and ''
        header = info.tobuf(tarfile.GNU_FORMAT)
        padding = -len(encoded) % tarfile.BLOCKSIZE
        if file.size and file.size + len(header) + len(encoded) + padding + 2 * tarfile.BLOCKSIZE > limit:
            return
        file.write(header)
        offset = file.size
        file.write(encoded)
        file.write(bytes(padding))
        yield offset, len(encoded)


def _source(part: Part, root: Path, image: np.ndarray) -> tuple[Path, str, tuple[int, int] | None]:
    """File, name in the new tar ('': it had none) and byte range of an image, given (length, shard, offset)."""
    length, shard, offset = map(int, image)
    if length == -1:
        name = part.paths[offset]
        if Path(name).is_absolute() or '..' in Path(name).parts:
            raise ImageFileError(root / name, f'it does not lie under {root}, so it gets no place in a tar')
        return root / name, name, None
    return root / part.tars[shard], '', (offset, length)
