"""Units of a source, converted one by one into a work folder, by this process or by several.

A finished unit is `part-000012.npz`, which appears last; beside it may lie its meshes (`.verts`) and its images (`.000.tar`).
Which process made it, and when, is nowhere in it.
"""
import contextlib
import json
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from hmradapter.fileio import atomic_write, load_npz

from .image_tars import write_tars
from .part import Part, check_part

KEY_BYTES = 96
AHEAD = 4  # units given to each process beyond the one it works on: enough to never wait, little to throw away


class Notes(NamedTuple):
    """What is known of a finished unit without its records."""
    records: int
    dropped: dict[str, int]
    unlabelled: dict[str, int]
    examples: dict[str, list[str]]
    mesh_size: int          # vertices of its meshes, 0: it has none
    tars: list[dict]        # name, size, sha256 of its own tars


class UnitWriter:
    """Converts a unit and writes it to the work folder; travels to worker processes.

    Args:
        work: the folder.
        units: all units by number.
        convert: unit to `Part`, deterministic.
        image_root: folder that the parts' paths and tars start from.
        images: 'path' leaves images where they are, 'tar' copies them.
        limit: records a unit may have; more are cut off. None: all.
    """

    def __init__(self, work: Path, units: Sequence[str], convert: Callable[[str], Part], image_root: Path, images: str,
                 limit: int | None):
        self.work, self.units, self.convert = Path(work), list(units), convert
        self.image_root, self.images, self.limit = Path(image_root), images, limit

    def place(self, number: int) -> Path:
        """The file of a finished unit."""
        return self.work / f'part-{number:06d}.npz'

    def __call__(self, number: int) -> Notes:
        """Write unit `number`; an error carries a note with its name."""
        try:
            part = self.convert(self.units[number])
            check_part(part)
            if self.limit is not None:
                _cut(part, self.limit)
            place = self.place(number)
            tars = write_tars(part, self.image_root, place.with_suffix('')) if self.images == 'tar' else []
            mesh_size = _write_vertices(place.with_suffix('.verts'), part)
            notes = Notes(len(part.records), part.dropped, part.unlabelled, part.examples, mesh_size, tars)
            with atomic_write(place) as file:
                np.savez(file, records=part.records, keys=fixed_bytes(part.keys, KEY_BYTES), paths=fixed_bytes(part.paths),
                         tars=fixed_bytes(part.tars), notes=np.frombuffer(json.dumps(notes._asdict()).encode(), np.uint8))
        except Exception as error:
            error.add_note(f'This happened in {self.units[number]!r}, unit {number + 1} of {len(self.units)}.')
            raise
        return notes


def read_notes(path: Path) -> Notes:
    """Of a finished unit."""
    return Notes(**json.loads(load_npz(path, ('notes',))['notes'].tobytes()))


def convert_units(write: UnitWriter, workers: int, limit: int | None, name: str) -> int:
    """Convert what is not there yet, in order, with a progress bar. Returns how many units, from the first on, are needed: all,
    or those that have `limit` records.

    Raises:
        whatever a unit raises, with a note that names the unit. Finished units stay.
    """
    found: dict[int, Notes] = {}
    with contextlib.closing(_results(write, workers)) as results, \
            tqdm(results, total=len(write.units), desc=f'preparing {name}', unit='unit') as bar:
        used = records = 0
        for number, notes in bar:
            found[number] = notes
            while used in found and (limit is None or records < limit):
                records, used = records + found[used].records, used + 1
            bar.set_postfix(records=sum(one.records for one in found.values()),
                            dropped=sum(sum(one.dropped.values()) for one in found.values()), refresh=False)
            if limit is not None and records >= limit:
                break
    return used


def _results(write: UnitWriter, workers: int) -> Iterator[tuple[int, Notes]]:
    """Number and notes of each unit, as they are finished."""
    waiting = []
    for number in range(len(write.units)):
        if write.place(number).exists():
            yield number, read_notes(write.place(number))
        elif workers > 1:
            waiting.append(number)
        else:
            yield number, write(number)
    if waiting:
        yield from _in_processes(write, waiting, workers)


def _in_processes(write: UnitWriter, numbers: Sequence[int], workers: int) -> Iterator[tuple[int, Notes]]:
    # forked from a process that has imported everything and started no thread, so that no lock of torch is held in a child
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['hmradapter.datasets.sources'])
    line, our_end = context.Pipe(duplex=False)  # silent; when our end closes, because we say so or were killed, workers exit
    todo, running = iter(numbers), {}
    with line, our_end, ProcessPoolExecutor(min(workers, len(numbers)), context, _start_worker,
                                            (line, pickle.dumps(write))) as pool:
        try:
            while True:
                while len(running) < workers * AHEAD and (number := next(todo, None)) is not None:
                    running[pool.submit(_work, number)] = number
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), _outcome(future)
        except BaseException:  # a unit's error, enough records, or an interrupt: what is unfinished is made another time
            our_end.close()
            raise


def _outcome(future: Future) -> Notes:
    try:
        outcome = future.result()
    except BrokenProcessPool as error:
        raise RuntimeError('A converting process was killed, most often because memory ran out: start again with fewer '
                           'workers. Finished units are kept.') from error
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


# ---- in a worker process ---------------------------------------------------------------------------------------------------
_pickled: bytes = b''


def _start_worker(line: Connection, pickled: bytes) -> None:
    global _pickled
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us too, but it is the parent who ends us
    threading.Thread(target=_exit_with, args=(line,), daemon=True).start()
    torch.set_num_threads(1)
    _pickled = pickled


def _exit_with(line: Connection) -> None:
    """No one is left behind who writes into a folder that another run has taken over."""
    wait_for([line])
    os._exit(1)


@cache
def _writer() -> UnitWriter:
    return pickle.loads(_pickled)  # not at the start, where an error would say no more than that a process is gone


def _work(number: int) -> Notes | Exception:
    """Notes of the unit, or what it raised, in a form that travels: many exceptions cannot be pickled."""
    try:
        return _writer()(number)
    except Exception as error:
        try:
            return pickle.loads(pickle.dumps(error)) and error
        except Exception:
            plain = RuntimeError(f'{type(error).__name__}: {error}')
            plain.__notes__ = getattr(error, '__notes__', [])
            return plain


# ---- files -----------------------------------------------------------------------------------------------------------------
def _cut(part: Part, limit: int) -> None:
    """Leave the first `limit` records."""
    part.records, part.keys = part.records[:limit], part.keys[:limit]
    part.vertices = _first(part.vertices, int((part.records['verts_row'] >= 0).sum()))


def _first(pieces: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    for piece in pieces:
        if count > 0:
            yield piece[:count]
        count -= len(piece)


def _write_vertices(path: Path, part: Part) -> int:
    """A part's meshes as they come, one after the other, before the part's own file, which vouches for them. Returns V, or 0
    and no file where there are none."""
    announced = int((part.records['verts_row'] >= 0).sum())
    if not announced:
        return 0
    count, size = 0, 0
    with atomic_write(path) as file:
        for piece in part.vertices:
            size = size or piece.shape[1]
            if piece.shape[1:] != (size, 3) or not np.isfinite(piece).all():
                raise ValueError(f'{path}: true meshes must be finite and (n, {size}, 3), these are {piece.shape}.')
            file.write(np.ascontiguousarray(piece, dtype='<f4').tobytes())
            count += len(piece)
    if count != announced:
        raise ValueError(f'{path} got {count} meshes, but {announced} records have a verts_row: give one for each.')
    return size


def fixed_bytes(names: Sequence[str], width: int | None = None) -> np.ndarray:
    """Names as fixed-width bytes."""
    encoded = [name.encode() for name in names]
    longest = max(map(len, encoded), default=1)
    if width is not None and longest > width:
        raise ValueError(f'{max(names, key=len)!r} has {longest} bytes, a key may have {width}.')
    return np.array(encoded, dtype=f'S{width or longest}')
