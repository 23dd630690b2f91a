"""The prepared store, written: unit by unit (a sequence, say), so that a killed run goes on where it was.

Finished units lie in a hidden work folder; the last step puts the shards together in a hidden folder, writes the manifest
and renames it into place. Whoever looks at the final path sees nothing or a complete store. Nothing depends on time or
order of work: an interrupted and an uninterrupted run give the same bytes.
"""
import contextlib
import fcntl
import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from tqdm import tqdm

from hmradapter.fileio import atomic_write, load_npz, sha256_file

from .record import HAND_VIEW, INDEX, PERSON_VIEW, RECORD, check_records, index_of
from .store import MANIFEST, VERTICES, PreparedStore, is_complete, layout

KEY_BYTES = 96
SHARD_ROWS = 1 << 16   # 0.4 GB
EXAMPLES = 5           # names kept for each reason something was dropped
LOCK_POLL_SECONDS = 0.5
COPY_BYTES = 1 << 24
SAMPLED_BYTES = 1 << 16


@dataclass
class Part:
    """What one unit gives: records, their keys, image paths that `offset` numbers from 0, and what was left out and why.

    `dropped` and `unlabelled` count by reason: rows that are not in `records`, and rows that are but lack a label that they
    should have. `vertices` gives true meshes (n, V, 3) float32, metres, camera frame, a few at a time, in the order of the
    `verts_row` of the records, which count from 0.
    """
    records: np.ndarray
    keys: list[str]
    paths: list[str]
    dropped: Counter = field(default_factory=Counter)
    unlabelled: Counter = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    vertices: Iterable[np.ndarray] = ()

    def drop(self, reason: str, name: str, count: int = 1) -> None:
        """Count something that is left out; the first few names are kept."""
        self._note(self.dropped, reason, name, count)

    def lacks(self, reason: str, name: str, count: int = 1) -> None:
        """Count something that stays without a label."""
        self._note(self.unlabelled, reason, name, count)

    def _note(self, counter: Counter, reason: str, name: str, count: int) -> None:
        if count:
            counter[reason] += count
            names = self.examples.setdefault(reason, [])
            if len(names) < EXAMPLES:
                names.append(name)


def sampled_digest(root: Path, paths: Iterable[Path]) -> str:
    """What large files say of themselves, for `about`: path under the root, size and three samples of the bytes of each."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.relative_to(root).as_posix().encode())
        if path.exists():
            with open(path, 'rb') as file:
                size = file.seek(0, 2)
                digest.update(str(size).encode())
                for start in (0, size // 2, max(0, size - SAMPLED_BYTES)):
                    file.seek(start)
                    digest.update(file.read(SAMPLED_BYTES))
    return digest.hexdigest()


def build_store(folder, units: Sequence[str], convert: Callable[[str], Part], about: dict,
                templates: np.ndarray | None = None, shard_rows: int = SHARD_ROWS, image_root='') -> PreparedStore:
    """The store at `folder`, written now unless it is there. Several processes may ask at once: one works, the others wait.

    Args:
        folder: final place; its name should change with everything in `about`.
        units: names of the pieces in the order of their records.
        convert: unit to `Part`, deterministic.
        about: what the manifest says beside layout, counts and hashes (protocol, source, licence, body models, ...).
        templates: (T, V, 3) rest shapes.
        shard_rows: records a file.
        image_root: folder that the image paths start from.
    """
    folder = Path(folder)
    if not is_complete(folder):
        with _lock(folder):
            if not is_complete(folder):
                work = _open_work(folder, units, about)
                _convert_units(work, units, convert, folder.name)
                _assemble(folder, work, units, about, templates, shard_rows, Path(image_root))
                shutil.rmtree(work)
    return PreparedStore(folder)


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


def _open_work(folder: Path, units: Sequence[str], about: dict) -> Path:
    """The work folder of this very plan; what another plan left is removed."""
    work = folder.parent / f'.{folder.name}.work'
    plan = json.dumps(dict(layout(), units=list(units), about=about), sort_keys=True)
    plan_file = work / 'plan.json'
    if work.exists() and not (plan_file.is_file() and plan_file.read_text() == plan):
        shutil.rmtree(work)
    if not work.exists():
        with atomic_write(plan_file, 'w') as file:
            file.write(plan)
    return work


def _convert_units(work: Path, units: Sequence[str], convert: Callable[[str], Part], name: str) -> None:
    done = {path.name for path in work.glob('part-*.npz')}
    for i, unit in enumerate(tqdm(units, desc=f'preparing {name}', unit='seq')):
        if f'part-{i:06d}.npz' not in done:
            part = convert(unit)
            check_records(part.records)
            mesh_size = _write_vertices(work / f'part-{i:06d}.verts', part)
            with atomic_write(work / f'part-{i:06d}.npz') as file:
                np.savez(file, records=part.records, keys=_fixed(part.keys, KEY_BYTES), paths=_fixed(part.paths),
                         notes=_notes(part, mesh_size))


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


def _assemble(folder: Path, work: Path, units: Sequence[str], about: dict, templates: np.ndarray | None,
              shard_rows: int, image_root: Path) -> None:
    for stale in folder.parent.glob(f'.{folder.name}.partial*'):
        shutil.rmtree(stale)
    partial = folder.parent / f'.{folder.name}.partial'
    partial.mkdir()
    parts = [work / f'part-{i:06d}.npz' for i in range(len(units))]
    totals = _write_shards(partial, parts, shard_rows)
    if totals['meshes']:
        _join_vertices(partial / VERTICES, [path.with_suffix('.verts') for path in parts], totals['meshes'])
    if templates is not None:
        np.save(partial / 'templates.npy', np.ascontiguousarray(templates, dtype='<f4'))
    files = {path.name: dict(size=path.stat().st_size, sha256=sha256_file(path)) for path in sorted(partial.glob('*.npy'))}
    with atomic_write(partial / MANIFEST, 'w') as file:
        json.dump(dict(layout(), **about, units=list(units), shard_rows=shard_rows, image_root=str(image_root.absolute()),
                       **totals, files=files), file, indent=1)
    if folder.exists():  # something without a manifest
        shutil.rmtree(folder)
    partial.rename(folder)


def _join_vertices(path: Path, parts: Sequence[Path], shape: Sequence[int]) -> None:
    """The meshes of all parts in one `.npy` of `shape` (M, V, 3), copied from file to file."""
    with open(path, 'wb') as file:
        np.lib.format.write_array_header_1_0(file, dict(descr='<f4', fortran_order=False, shape=tuple(shape)))
        for part in parts:
            if part.exists():
                with open(part, 'rb') as source:
                    shutil.copyfileobj(source, file, COPY_BYTES)


def _write_shards(partial: Path, parts: Sequence[Path], shard_rows: int) -> dict:
    """Stream the parts into shards; return the counts for the manifest. Memory: one shard."""
    counts = {name: Counter() for name in ('dropped', 'unlabelled')}
    examples: dict[str, list[str]] = {}
    index, paths, hands, shards, persons, meshes, mesh_size = [], [], Counter(left=0, right=0), 0, 0, 0, 0
    records, keys = np.zeros(0, RECORD), np.zeros(0, f'S{KEY_BYTES}')

    def flush(limit: int) -> None:
        nonlocal records, keys, shards
        while len(records) > limit or (limit == 0 and len(records)):
            np.save(partial / f'records-{shards:05d}.npy', records[:shard_rows])
            np.save(partial / f'keys-{shards:05d}.npy', keys[:shard_rows])
            records, keys, shards = records[shard_rows:], keys[shard_rows:], shards + 1

    for path in parts:
        part = load_npz(path)
        part_records = part['records']
        part_records['offset'] += np.where(part_records['length'] == -1, len(paths), 0)
        paths += part['paths'].tolist()
        has_mesh = part_records['verts_row'] >= 0
        part_records['verts_row'] += np.where(has_mesh, meshes, 0).astype(np.int32)
        meshes += int(has_mesh.sum())
        notes = json.loads(part['notes'].tobytes())
        if notes['mesh_size'] not in (0, mesh_size or notes['mesh_size']):
            raise ValueError(f'{path} has meshes of {notes["mesh_size"]} vertices, those before it of {mesh_size}.')
        mesh_size = mesh_size or notes['mesh_size']
        for name, counter in counts.items():
            counter.update(notes[name])
        for reason, names in notes['examples'].items():
            examples.setdefault(reason, []).extend(names)
        index.append(index_of(part_records))
        for side, bit in HAND_VIEW.items():
            hands[side] += int(((part_records['flags'] & np.uint64(bit)) != 0).sum())
        persons += int(((part_records['flags'] & np.uint64(PERSON_VIEW)) != 0).sum())
        records, keys = np.concatenate((records, part_records)), np.concatenate((keys, part['keys']))
        flush(shard_rows)
    flush(0)
    index = np.concatenate(index) if index else np.zeros(0, INDEX)
    np.save(partial / 'index.npy', index)
    np.save(partial / 'paths.npy', np.array(paths) if paths else np.zeros(0, 'S1'))
    return dict(records=len(index), shards=shards, persons=persons, hands=dict(hands),
                meshes=[meshes, mesh_size, 3] if meshes else None, **{n: dict(sorted(c.items())) for n, c in counts.items()},
                examples={reason: names[:EXAMPLES] for reason, names in sorted(examples.items())})


def _fixed(names: Sequence[str], width: int | None = None) -> np.ndarray:
    """Names as fixed-width bytes."""
    encoded = [name.encode() for name in names]
    longest = max(map(len, encoded), default=1)
    if width is not None and longest > width:
        raise ValueError(f'{max(names, key=len)!r} has {longest} bytes, a key may have {width}.')
    return np.array(encoded, dtype=f'S{width or longest}')


def _notes(part: Part, mesh_size: int) -> np.ndarray:
    """Counts of a part as JSON bytes, so that a part needs no pickle."""
    text = json.dumps(dict(dropped=part.dropped, unlabelled=part.unlabelled, examples=part.examples, mesh_size=mesh_size))
    return np.frombuffer(text.encode(), np.uint8)
