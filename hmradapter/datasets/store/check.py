"""Whether a prepared store keeps its word: every rule of `rules`, shard by shard, and every problem by key and field."""
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from hmradapter.fileio import sha256_file

from ..images import THREADS, ImageFileError, probe_image, verify_image
from ..record import HAND_VIEW, PERSON_VIEW, SIDES, flag_bits
from .prepared import PreparedStore
from .rules import broken_rules

SAMPLE = 1000                                      # images looked at, spread over the store, unless all are asked for
EXAMPLES = 3


class Problem(NamedTuple):
    """So many records break a rule about a field; keys of the first few. Without keys: about a file."""
    field: str
    what: str
    count: int
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        who = f'{self.count} x, e.g. {", ".join(self.keys)}: ' if self.keys else ''
        return f'{self.field}: {who}{self.what}'


def check_store(folder, image_root=None, body_model_root=None, all_images: bool = False, decode: bool = False) -> list[Problem]:
    """What is wrong with the store at `folder`; an empty list: nothing.

    Args:
        image_root: where its images are now, if they have moved and are not in the store.
        body_model_root: compare the model files there with those that the labels were made with.
        all_images: look at every image, not at `SAMPLE` of them.
        decode: decode images that are looked at.

    Raises:
        StoreError: there is no store that could be looked at.
    """
    store = PreparedStore(folder)
    problems = list(_damaged_files(store))
    if not len(store):
        problems.append(Problem('records', f'there are none; left out were {store.manifest["dropped"]}: prepare it again', 1))
    if problems:  # of records that are not there or not what was written, nothing can be said
        return problems
    problems += _other_models(store, body_model_root)
    found: dict[tuple[str, str], tuple[int, list[str]]] = {}
    totals, shards = np.zeros(4, int), range(store.manifest['shards'])
    hashes = []
    index = store.index_pieces(store.shard_rows)
    for shard in tqdm(shards, desc=f'checking {Path(folder).name}', unit='shard', disable=len(shards) < 2):
        records, keys = np.load(store.folder / f'records-{shard:05d}.npy'), np.load(store.folder / f'keys-{shard:05d}.npy')
        for field, what, bad in broken_rules(store, records, next(index)):
            if bad.any():
                count, names = found.setdefault((field, what), (0, []))
                names += [key.decode() for key in keys[bad][:EXAMPLES - len(names)].tolist()]
                found[field, what] = count + int(bad.sum()), names
        flags = records['flags']
        totals += [len(records), *(int(((flags & np.uint64(bit)) == bit).sum()) for bit in (PERSON_VIEW, *HAND_VIEW.values()))]
        hashes.append(_key_hashes(keys))
    problems += [Problem(field, what, count, tuple(names)) for (field, what), (count, names) in found.items()]
    problems += [*_double_keys(store, hashes), *_wrong_totals(store, totals)]
    if any(one.field in ('offset', 'shard', 'length') for one in problems):  # there is no telling where images are
        return problems
    moved = image_root is not None and not store.holds_images
    return problems + _images(store, Path(image_root) if moved else store.image_root, all_images, decode)


# ---- files -----------------------------------------------------------------------------------------------------------------
def _damaged_files(store: PreparedStore) -> Iterator[Problem]:
    entries = store.manifest['files'].items()
    for name, entry in tqdm(entries, desc=f'hashing {store.folder.name}', unit='file', disable=len(entries) < 20):
        if sha256_file(store.folder / name) != entry['sha256']:
            yield Problem(name, 'is not what was prepared: prepare again', 1)


def _other_models(store: PreparedStore, root) -> Iterator[Problem]:
    for name, digest in store.manifest.get('body_models', {}).items() if root is not None else ():
        path = Path(root) / name
        if not path.is_file():
            yield Problem(name, f'is not in {root}, but labels were made with it', 1)
        elif sha256_file(path) != digest:
            yield Problem(name, f'differs in {root} from the one that labels were made with', 1)


def _wrong_totals(store: PreparedStore, totals: np.ndarray) -> Iterator[Problem]:
    manifest = store.manifest
    told = [manifest['records'], manifest['persons'], *(manifest['hands'][side] for side in SIDES)]
    for name, here, there in zip(('records', 'persons', 'left hands', 'right hands'), totals.tolist(), told, strict=True):
        if here != there:
            yield Problem('manifest.json', f'says {there} {name}, there are {here}', 1)


# ---- keys ------------------------------------------------------------------------------------------------------------------
def _key_hashes(keys: np.ndarray) -> np.ndarray:
    """64 bits of each key (n,): ten million fit into memory."""
    words = np.ascontiguousarray(keys).view('<u8').reshape(len(keys), -1)
    mixed = np.full(len(keys), 0x9E3779B97F4A7C15, np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) * np.uint64(0xFF51AFD7ED558CCD)
        mixed ^= mixed >> np.uint64(32)
    return mixed


def _double_keys(store: PreparedStore, hashes: Sequence[np.ndarray]) -> Iterator[Problem]:
    hashes = np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)
    order = np.argsort(hashes, kind='stable')
    same = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    pairs = ((store.key(order[at]), store.key(order[at + 1])) for at in same)
    double = [one for one, other in pairs if one == other]
    if double:
        yield Problem('key', 'belongs to several records', len(double), tuple(double[:EXAMPLES]))


# ---- images ----------------------------------------------------------------------------------------------------------------
def _images(store: PreparedStore, root: Path, every: bool, decode: bool) -> list[Problem]:
    """Images that are missing, damaged or of another size than the record says."""
    flag = np.uint64(flag_bits(['has_image']))
    rows = np.arange(len(store))
    if not every and len(store) > SAMPLE:
        rows = np.linspace(0, len(store) - 1, SAMPLE).astype(int)

    def look(row: int) -> str | None:
        record = store.record(row)
        if not record['flags'] & flag:
            return None
        path, span = store.image(record)
        try:
            size = (verify_image if decode else probe_image)(root / path, span)
        except FileNotFoundError:
            return f'image is missing ({root})'
        except ImageFileError as error:
            return f'image is damaged ({error.reason})'
        turned = size[::-1] if record['rot90'] % 2 == 0 else size
        return None if turned == tuple(record['hw'].tolist()) else 'image has another size than hw says'

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = pool.map(look, rows.tolist())
        bad = [(row, what) for row, what in zip(tqdm(rows, desc='images', unit='image', disable=len(rows) < SAMPLE), outcomes,
                                                strict=True) if what]
    return [Problem('image', what, sum(other == what for _, other in bad),
                    tuple([store.key(row) for row, other in bad if other == what][:EXAMPLES]))
            for what in dict.fromkeys(what for _, what in bad)]
