"""The prepared store, written: unit by unit (a sequence, say), so that a killed run goes on where it was.

Finished units lie in a hidden work folder; the last step puts the shards together there, writes the manifest and renames the
folder into place. Whoever looks at the final path sees nothing or a complete store. Nothing depends on time, on the order of
work or on who did it: an interrupted and an uninterrupted run, of one process or of many, give the same bytes.
"""
import contextlib
import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from hmradapter.fileio import atomic_write, remove_partial_files

from .record import RECORD
from .store import PreparedStore, is_complete, layout
from .store_assembly import assemble
from .store_part import Part, sampled_digest
from .store_units import UnitWriter, convert_units

__all__ = ['Part', 'build_store', 'sampled_digest']

IMAGES = ('path', 'tar')
SHARD_ROWS = 1 << 16   # 0.4 GB
LOCK_POLL_SECONDS = 0.5


def build_store(folder, units: Sequence[str], convert: Callable[[str], Part], about: dict,
                templates: np.ndarray | None = None, shard_rows: int = SHARD_ROWS, image_root='', images: str = 'path',
                workers: int = 1, limit: int | None = None) -> PreparedStore:
    """The store at `folder`, written now unless it is there. Several processes may ask at once: one works, the others wait.

    Args:
        folder: final place; its name should change with everything in `about`.
        units: names of the pieces in the order of their records.
        convert: unit to `Part`, deterministic; with several workers also picklable.
        about: what the manifest says beside layout, counts and hashes (protocol, source, licence, body models, ...).
        templates: (T, V, 3) rest shapes.
        shard_rows: records a file.
        image_root: folder that the image paths start from.
        images: 'path': images stay where they are; 'tar': their bytes are copied into tars of the store.
        workers: processes that convert. The result is the same.
        limit: the first so many records only, for a taste. None: all.

    Raises:
        whatever `convert` raises, with a note that names the unit; finished units stay for the next run.
    """
    folder = Path(folder)
    if images not in IMAGES:
        raise ValueError(f'images is {images!r}, it must be one of {IMAGES}.')
    for name, value in (('workers', workers), ('limit', 1 if limit is None else limit)):
        if int(value) != value or value < 1:
            raise ValueError(f'{name} is {value}, it must be a whole number, at least 1.')
    if not is_complete(folder) or work_folder(folder).exists():
        with _lock(folder):
            if not is_complete(folder):
                work = _open_work(folder, dict(layout(), units=list(units), about=about, images=images, limit=limit,
                                               shard_rows=shard_rows))
                write = UnitWriter(work, units, convert, image_root, images, limit)
                used = convert_units(write, workers, limit, folder.name)
                assemble(folder, write, used, about, templates, shard_rows)
            shutil.rmtree(work_folder(folder), ignore_errors=True)
    return PreparedStore(folder)


def work_folder(folder: Path) -> Path:
    """Where unfinished work for `folder` lies."""
    return folder.parent / f'.{folder.name}.work'


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Held by one process on this file system; the kernel frees it when that process dies."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = open(folder.parent / f'.{folder.name}.lock', 'w')  # noqa: SIM115, closed below
    except OSError as error:
        raise OSError(f'{folder.parent} cannot be written ({error}): set `prepared_dir` to a folder that can, with room for '
                      f'{RECORD.itemsize / 1000} KB a record.') from error
    with file:
        said = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    print_log(f'{folder} is being prepared by another process; waiting.', 'current')
                    said = True
                time.sleep(LOCK_POLL_SECONDS)
        yield


def _open_work(folder: Path, plan: dict) -> Path:
    """The work folder of this very plan; what another plan left is removed."""
    work, text = work_folder(folder), json.dumps(plan, sort_keys=True)
    plan_file = work / 'plan.json'
    if work.exists() and not (plan_file.is_file() and plan_file.read_text() == text):
        print_log(f'{work} has unfinished work of other options or files, which starts anew.', 'current')
        shutil.rmtree(work)
    if not work.exists():
        with atomic_write(plan_file, 'w') as file:
            file.write(text)
    remove_partial_files(work)
    return work
