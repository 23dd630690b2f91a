"""The prepared store, read: a folder of records that all workers and ranks share through the page cache.

    manifest.json        schema, dtype, flags, protocol, counts of kept and dropped, hashes; written last, so it vouches for all
    records-00000.npy    rows of `record.RECORD`, at most `shard_rows` a file; keys-00000.npy their names
    index.npy            flags, sequence, view, frame of every row, for filters
    paths.npy            images that are files of their own, relative to the image root
    tars.npy             tars that have images, relative to the image root
    images-00000.tar     images that were copied: then the store is the image root itself
    templates.npy        rest shapes (T, V, 3) metres of persons that have their own; only where there are any
    verts.npy            true meshes (M, V, 3) metres, camera frame, by `verts_row`; only where they were kept

No pickle anywhere. Files are opened on first use in each process and never travel to workers. Rows are read where they lie
(`npy_rows`), the index in pieces: what a process keeps does not grow with the number of records.
"""
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.logging import print_log

from hmradapter.fileio import sha256_file

from ..record import FIELDS, FLAGS, INDEX, JOINT_ORDERS, RECORD, SCHEMA, SIDES
from .npy_rows import NpyFolder

MANIFEST = 'manifest.json'
VERTICES = 'verts.npy'
INDEX_ROWS = 1 << 16
SHOWN = 12  # entries of a list that a message shows


class StoreError(ValueError):
    """The folder is no complete store of this version; the message names it and what to do."""


class EmptyStoreError(StoreError):
    """Nothing of a data set would be in the store; the message says why."""


class PreparedStore:
    """Rows of a store by number: `store.record(i)`, `store.key(i)`, `store.path(i)`; `store.index` for filters.

    Args:
        folder: where the manifest lies.

    Raises:
        StoreError: no manifest, another schema, or a file whose size is not the manifest's.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        for name, entry in self.manifest['files'].items():
            path = self.folder / name
            size = path.stat().st_size if path.exists() else None
            if size != entry['size']:
                raise StoreError(f'{path} has {size} bytes, its manifest says {entry["size"]}: delete {self.folder} and '
                                 'prepare again.')
        self.shard_rows = self.manifest['shard_rows']
        self.files = NpyFolder(self.folder)

    def __len__(self) -> int:
        return self.manifest['records']

    def record(self, row: int) -> np.void:
        """A copy of one row, its own memory, writable."""
        shard, at = divmod(self._checked(row), self.shard_rows)
        return np.frombuffer(self.files[f'records-{shard:05d}.npy'].data(at), RECORD)[0]

    def key(self, row: int) -> str:
        """Unique name of a row."""
        shard, at = divmod(self._checked(row), self.shard_rows)
        return self.files[f'keys-{shard:05d}.npy'].text(at)

    def path(self, row: int) -> str:
        """A row of the path table: what `offset` of a record with length -1 says."""
        return self.files['paths.npy'].text(row)

    def tar(self, row: int) -> str:
        """A row of the table of tars: what `shard` of a record with another length says."""
        return self.files['tars.npy'].text(row)

    def image(self, record: np.void) -> tuple[str, tuple[int, int] | None]:
        """A record's image: its file, relative to the image root, and its bytes (offset, length) there, None for all."""
        offset, length = int(record['offset']), int(record['length'])
        return (self.path(offset), None) if length == -1 else (self.tar(int(record['shard'])), (offset, length))

    @property
    def image_root(self) -> Path:
        """Folder that the images' places start from, as it was when they were prepared."""
        root = self.manifest['image_root']
        return self.folder if root is None else Path(root)

    @property
    def holds_images(self) -> bool:
        """Whether the images are in the store itself, so that it needs no other folder."""
        return self.manifest['image_root'] is None

    @property
    def index(self) -> np.ndarray:
        """(N,) rows of `record.INDEX`, memory-mapped: what is touched counts as this process's memory."""
        return np.load(self.folder / 'index.npy', mmap_mode='r')

    def index_pieces(self, rows: int = INDEX_ROWS) -> Iterator[np.ndarray]:
        """`index`, so many rows at a time, of which nothing stays."""
        entries = self.files['index.npy']
        with open(entries.path, 'rb') as file:
            file.seek(entries.start)
            while len(piece := np.fromfile(file, INDEX, rows)):
                yield piece

    def keys(self) -> np.ndarray:
        """All names (N,) as fixed-width bytes."""
        return np.concatenate([np.zeros(0, 'S1'), *self.key_shards()])

    def key_shards(self) -> Iterator[np.ndarray]:
        """`keys`, a shard (n,) at a time: for joining with other files."""
        for shard in range(self.manifest['shards']):
            yield np.load(self.folder / f'keys-{shard:05d}.npy')

    def table_sizes(self) -> tuple[int, int]:
        """How many paths and how many tars there are."""
        return len(self.files['paths.npy']), len(self.files['tars.npy'])

    @property
    def num_templates(self) -> int:
        """How many rest shapes there are; 0 where persons have none of their own."""
        return len(self.files['templates.npy']) if 'templates.npy' in self.manifest['files'] else 0

    def template(self, row: int) -> np.ndarray:
        """Rest shape (V, 3), metres."""
        return self.files['templates.npy'].row(row)

    @property
    def has_vertices(self) -> bool:
        """Whether true meshes were kept, of some rows at least."""
        return VERTICES in self.manifest['files']

    def vertices(self, row: int) -> np.ndarray | None:
        """True mesh (V, 3) float32 of a record's `verts_row`, metres, camera frame; its own memory. None for -1."""
        return None if row < 0 else self.files[VERTICES].row(row)

    @property
    def mesh_size(self) -> int:
        """V of the true meshes."""
        return self.manifest['meshes'][1]

    def verify(self) -> None:
        """Compare every file with its hash in the manifest; StoreError names the first that differs."""
        for name, entry in self.manifest['files'].items():
            if sha256_file(self.folder / name) != entry['sha256']:
                raise StoreError(f'{self.folder / name} is not what was prepared: delete {self.folder} and prepare again.')

    def _checked(self, row: int) -> int:
        if not 0 <= row < len(self):
            raise IndexError(f'row {row} of {self.folder}, which has {len(self)}')
        return int(row)


def is_complete(folder) -> bool:
    """Whether `folder` holds a store: its manifest is the last thing to appear."""
    return (Path(folder) / MANIFEST).is_file()


def is_ours(folder: Path) -> bool:
    """Whether `folder` is a store, of any version, or unfinished work for one: no place for a release's files."""
    if folder.name.startswith('.') and folder.name.endswith('.work'):
        return True
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):  # none, or something else of that name
        return False
    return isinstance(manifest, dict) and str(manifest.get('schema')).startswith(SCHEMA.split('/')[0])


def read_manifest(folder) -> dict:
    """The manifest, once it agrees with this version's record."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise StoreError(f'{folder} has no {MANIFEST}, so it is not a prepared store or was not finished: prepare it (again).')
    manifest = json.loads(path.read_text())
    expected = layout()
    for name, value in expected.items():
        if manifest.get(name) != value:
            which = f' ({manifest.get(name)!r}, now {value!r})' if name == 'schema' else ''
            raise StoreError(f'{path} was written with another {name} than this version has{which}: delete {folder} and '
                             'prepare again.')
    return manifest


def check_same(manifest: dict, wanted: dict, folder) -> None:
    """StoreError unless the store at `folder` was made with what is wanted; it says entry by entry what differs."""
    differing = differences({name: manifest.get(name) for name in wanted}, wanted)
    if differing:
        raise StoreError(f'{folder} was prepared otherwise: {"; ".join(differing)}. Give another folder, or delete this one.')


def differences(there: dict, wanted: dict) -> list[str]:
    """Entry by entry, what differs between a JSON file's content and what should be in it."""
    return list(_differences('', there, json.loads(json.dumps(wanted))))


def _differences(name: str, there: object, wanted: object) -> Iterator[str]:
    if isinstance(there, dict) and isinstance(wanted, dict):
        for key in sorted(there.keys() | wanted.keys()):
            yield from _differences(f'{name}.{key}' if name else key, there.get(key), wanted.get(key))
    elif there != wanted:
        yield f'{name} is {_brief(there)} there, {_brief(wanted)} is asked for'


def _brief(value: object) -> str:
    return f'a list of {len(value)}' if isinstance(value, list) and len(value) > SHOWN else json.dumps(value)


def layout() -> dict:
    """What a manifest says about the records' form, and what a reader insists on."""
    return dict(schema=SCHEMA, dtype=_plain(RECORD.descr), index_dtype=_plain(INDEX.descr), flags=list(FLAGS),
                field_units={field.name: field.unit for field in FIELDS if field.unit}, joint_orders=dict(JOINT_ORDERS))


def _plain(descr: list) -> list:
    """A dtype's description as JSON gives it back."""
    return json.loads(json.dumps(descr))


@master_only
def report(store: PreparedStore) -> None:
    """One line of what a store gives, one for each reason why something is not in it."""
    manifest = store.manifest
    left, right = (manifest['hands'][side] for side in SIDES)
    lines = [f'{store.folder}: {manifest["records"]} records, {manifest["persons"]} persons, {left} left and {right} right '
             'hands.']
    for name, what in (('dropped', 'left out'), ('unlabelled', 'without label')):
        for reason, count in manifest[name].items():
            lines.append(f'  {what}: {count} x {reason}, e.g. {manifest["examples"][reason][0]}')
    if manifest['dropped']:
        lines.append(f'  To look again after repairing files, delete {store.folder}.')
    print_log('\n'.join(lines), 'current')
