"""Finished units put together: shards, tables and the manifest, then the folder in its place."""
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hmradapter.fileio import atomic_write, load_npz, sha256_file

from ..record import HAND_VIEW, INDEX, PERSON_VIEW, RECORD, index_of
from .part import EXAMPLES
from .prepared import MANIFEST, VERTICES, EmptyStoreError, layout
from .units import KEY_BYTES, UnitWriter, fixed_bytes, read_notes

COPY_BYTES = 1 << 24
READY = 'store'  # in the work folder: what will be the store


class RefusedError(Exception):
    """The units give no store that could be used; its cause says why."""


def assemble(folder: Path, write: UnitWriter, used: int, about: dict, templates: np.ndarray | None, shard_rows: int,
             refuse: Callable[[dict], None] | None = None) -> None:
    """The store at `folder` out of the first `used` units. Killed at any moment, it can be done again."""
    ready = write.work / READY
    ready.mkdir(exist_ok=True)
    parts = [write.place(number) for number in range(used)]
    own_tars = _move_tars(ready, parts)
    totals = _write_shards(ready, parts, shard_rows, write.limit)
    _check_totals(folder, totals, refuse)
    if totals['meshes']:
        _join_vertices(ready / VERTICES, [path.with_suffix('.verts') for path in parts], totals['meshes'])
    if templates is not None:
        np.save(ready / 'templates.npy', np.ascontiguousarray(templates, dtype='<f4'))
    files = {path.name: dict(size=path.stat().st_size, sha256=sha256_file(path)) for path in sorted(ready.glob('*.npy'))}
    root = None if write.images == 'tar' else str(write.image_root.absolute())
    with atomic_write(ready / MANIFEST, 'w') as file:
        json.dump(dict(layout(), **about, units=list(write.units), limit=write.limit, images=write.images,
                       shard_rows=shard_rows, image_root=root, **totals, files=files | own_tars), file, indent=1)
    ready.rename(folder)  # which is not there, or empty


def _check_totals(folder: Path, totals: dict, refuse: Callable[[dict], None] | None) -> None:
    """RefusedError where the counts say that nobody could use the store."""
    try:
        if refuse is not None:
            refuse(totals)
        if not totals['records']:
            reasons = [f'{count:,} x {reason}, e.g. {totals["examples"][reason][0]}'
                       for reason, count in totals['dropped'].items()] or ['its files and options give nothing to look at']
            raise EmptyStoreError(f'{folder} would have no record. Left out: {"; ".join(reasons)}. Nothing is written.')
    except ValueError as error:
        raise RefusedError from error


def _move_tars(ready: Path, parts: Sequence[Path]) -> dict[str, dict]:
    """The units' own tars, numbered through and moved, not copied; names, sizes and hashes. Those that a killed run has moved
    are in place already."""
    entries: dict[str, dict] = {}
    for part in parts:
        for tar in read_notes(part).tars:
            name = f'images-{len(entries):05d}.tar'
            if (part.parent / tar['name']).exists():
                os.replace(part.parent / tar['name'], ready / name)
            entries[name] = dict(size=tar['size'], sha256=tar['sha256'])
    return entries


def _join_vertices(path: Path, parts: Sequence[Path], shape: Sequence[int]) -> None:
    """The meshes of all parts in one `.npy` of `shape` (M, V, 3), copied from file to file."""
    left = int(np.prod(shape, dtype=object)) * np.dtype('<f4').itemsize
    with open(path, 'wb') as file:
        np.lib.format.write_array_header_1_0(file, dict(descr='<f4', fortran_order=False, shape=tuple(shape)))
        for part in parts:
            if part.exists():
                with open(part, 'rb') as source:
                    while left and (piece := source.read(min(COPY_BYTES, left))):
                        file.write(piece)
                        left -= len(piece)


def _write_shards(ready: Path, parts: Sequence[Path], shard_rows: int, limit: int | None) -> dict:
    """Stream the parts into shards; return the counts for the manifest. Memory: one shard and one part."""
    counts = {name: Counter() for name in ('dropped', 'unlabelled')}
    examples: dict[str, list[str]] = {}
    hands, total, persons, meshes, mesh_size = Counter(left=0, right=0), 0, 0, 0, 0
    index, paths, tars = [], [], {}
    shards = _Shards(ready, shard_rows)
    for path in parts:
        part, notes = load_npz(path), read_notes(path)
        taken = slice(None if limit is None else limit - total)
        new, new_keys = part['records'][taken], part['keys'][taken]
        _renumber_images(new, part, notes.tars, paths, tars)
        has_mesh = new['verts_row'] >= 0
        new['verts_row'] += np.where(has_mesh, meshes, 0).astype(np.int32)
        meshes += int(has_mesh.sum())
        if notes.mesh_size not in (0, mesh_size or notes.mesh_size):
            raise ValueError(f'{path} has meshes of {notes.mesh_size} vertices, those before it of {mesh_size}.')
        mesh_size = mesh_size or notes.mesh_size
        for name, counter in counts.items():
            counter.update(getattr(notes, name))
        for reason, names in notes.examples.items():
            examples.setdefault(reason, []).extend(names)
        index.append(index_of(new))
        for side, bit in HAND_VIEW.items():
            hands[side] += int(((new['flags'] & np.uint64(bit)) != 0).sum())
        persons += int(((new['flags'] & np.uint64(PERSON_VIEW)) != 0).sum())
        total += len(new)
        shards.add(new, new_keys)
    shards.finish()
    np.save(ready / 'index.npy', np.concatenate(index) if index else np.zeros(0, INDEX))
    np.save(ready / 'paths.npy', np.array(paths) if paths else np.zeros(0, 'S1'))
    np.save(ready / 'tars.npy', fixed_bytes(list(tars)))
    return dict(records=total, shards=shards.count, persons=persons, hands=dict(hands),
                meshes=[meshes, mesh_size, 3] if meshes else None, **{n: dict(sorted(c.items())) for n, c in counts.items()},
                examples={reason: names[:EXAMPLES] for reason, names in sorted(examples.items())})


class _Shards:
    """Records and keys, gathered in one place until they fill a shard."""

    def __init__(self, folder: Path, rows: int):
        self.folder, self.rows, self.count, self.filled = folder, rows, 0, 0
        self.records, self.keys = np.zeros(rows, RECORD), np.zeros(rows, f'S{KEY_BYTES}')  # memory only where written to

    def add(self, records: np.ndarray, keys: np.ndarray) -> None:
        while len(records):
            taken = min(len(records), self.rows - self.filled)
            place = slice(self.filled, self.filled + taken)
            self.records[place], self.keys[place] = records[:taken], keys[:taken]
            self.filled, records, keys = self.filled + taken, records[taken:], keys[taken:]
            if self.filled == self.rows:
                self.finish()

    def finish(self) -> None:
        if self.filled:
            np.save(self.folder / f'records-{self.count:05d}.npy', self.records[:self.filled])
            np.save(self.folder / f'keys-{self.count:05d}.npy', self.keys[:self.filled])
            self.count, self.filled = self.count + 1, 0


def _renumber_images(records: np.ndarray, part: dict, own_tars: list[dict], paths: list[bytes], tars: dict[str, int]) -> None:
    """Let the records of a part count in the store's tables, to which what the part has is added. A tar that several parts
    share stands there once."""
    alone = records['length'] == -1
    records['offset'] += np.where(alone, len(paths), 0)
    paths += part['paths'].tolist()
    names = [name.decode() for name in part['tars'].tolist()]
    if own_tars:  # of the unit, named as `_move_tars` names them
        names = [f'images-{len(tars) + i:05d}.tar' for i in range(len(own_tars))]
    rows = np.array([tars.setdefault(name, len(tars)) for name in names], np.int32)
    if len(rows):
        records['shard'] = np.where(alone, -1, rows[records['shard'].clip(min=0)])
