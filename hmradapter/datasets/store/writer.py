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

from ..record import RECORD
from .assembly import RefusedError, assemble
from .part import Part, sampled_digest
from .prepared import PreparedStore, StoreError, differences, is_complete, layout
from .units import UnitWriter, convert_units

__all__ = ['Part', 'build_store', 'sampled_digest']

IMAGES = ('path', 'tar')
SHARD_ROWS = 1 << 16   # 0.4 GB
LOCK_POLL_SECONDS = 0.5


def build_store(folder, units: Sequence[str], convert: Callable[[str], Part], about: dict,
                templates: np.ndarray | None = None, shard_rows: int = SHARD_ROWS, image_root='', images: str = 'path',
                workers: int = 1, limit: int | None = None,
                refuse: Callable[[dict], None] | None = None) -> PreparedStore:
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
        refuse: raises ValueError for counts (as the manifest has them) that cannot be right; not asked about a taste.

    Raises:
        StoreError: the folder has something else in it, or has the images; unfinished work of other options is in the way.
        EmptyStoreError: there would be no record; says why.
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
                _check_free(folder, Path(image_root))
                work = _open_work(work_folder(folder, limit), dict(layout(), units=list(units), about=about, images=images,
                                                                   limit=limit, shard_rows=shard_rows))
                write = UnitWriter(work, units, convert, image_root, images, limit)
                used = convert_units(write, workers, limit, folder.name)
                try:
                    assemble(folder, write, used, about, templates, shard_rows, None if limit else refuse)
                except RefusedError as error:  # nothing to go on with: what was wrong may have been repaired the next time
                    shutil.rmtree(work)
                    raise error.__cause__ from None
            shutil.rmtree(work_folder(folder, limit), ignore_errors=True)
    return PreparedStore(folder)


def work_folder(folder: Path, limit: int | None = None) -> Path:
    """Where unfinished work for `folder` lies; that of a taste is apart, so that neither is in the other's way."""
    return folder.parent / (f'.{folder.name}.work' if limit is None else f'.{folder.name}.first{limit}.work')


def _check_free(folder: Path, image_root: Path) -> None:
    """What is not ours is never written over."""
    if folder.exists() and not (folder.is_dir() and next(folder.iterdir(), None) is None):
        raise StoreError(f'{folder} exists and is no prepared store: move it, or give another folder to prepare to (--out, '
                         '`prepared_dir`).')
    root = image_root.resolve()
    if folder.resolve() in (root, *root.parents):
        raise StoreError(f'{folder} is to be a prepared store, but it has the data set itself in it ({root}): give another '
                         'folder to prepare to (--out, `prepared_dir`).')


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Held by one process on this file system; the kernel frees it when that process dies."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = open(folder.parent / f'.{folder.name}.lock', 'w')  # noqa: SIM115, closed below
    except OSError as error:
        raise OSError(f'{folder.parent} cannot be written ({error}): set `prepared_dir` (--out of tools/prepare_data.py) to a '
                      f'folder that can, with room for {RECORD.itemsize / 1000} KB a record.') from error
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


def _open_work(work: Path, plan: dict) -> Path:
    """The work folder of this very plan.

    Raises:
        StoreError: it has finished units of another plan, which may have taken hours; says what differs.
    """
    text, plan_file = json.dumps(plan, sort_keys=True), work / 'plan.json'
    if work.exists() and not (plan_file.is_file() and plan_file.read_text() == text):
        if next(work.glob('part-*.npz'), None) is not None:
            there = json.loads(plan_file.read_text()) if plan_file.is_file() else {}
            differing = '; '.join(differences(there, plan))
            raise StoreError(f'{work} has unfinished work of other options or files: {differing}. The '
                             'command that it was started with goes on there. To give it up, delete that folder.')
        shutil.rmtree(work)
    if not work.exists():
        with atomic_write(plan_file, 'w') as file:
            file.write(text)
    remove_partial_files(work)
    return work
