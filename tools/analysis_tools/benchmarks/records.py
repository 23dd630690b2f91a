"""What millions of prepared records cost: opening them, the memory of each process that does, and a random read.

Records are random numbers of the true size. One shard is written, and stands under as many names as there are shards; names,
paths and the index of all records are written out.
"""
import argparse
import json
import multiprocessing
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from hmradapter.datasets import HandDataset, PersonDataset, PreparedStore
from hmradapter.datasets.record import FIELDS, INDEX, RECORD, empty_records, index_of, set_flag
from hmradapter.datasets.store.prepared import MANIFEST, layout
from hmradapter.datasets.store.writer import SHARD_ROWS

GROUP = 'store'
BARS = dict(open_s=1.0, resident_mb=100.0, read_us=100.0)  # of 10 million records
KINDS = dict(persons=PersonDataset, hands=HandDataset)
WORKERS = 2
FIELD_READS = 5000


def main(argv) -> int:
    """Make the store, measure in processes of their own, print."""
    parser = argparse.ArgumentParser(prog=f'benchmark.py {GROUP}', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--records', type=int, default=10_000_000, help='(default 10 million: 2 GB on disk)')
    parser.add_argument('--reads', type=int, default=20_000, help='random reads (default 20000)')
    parser.add_argument('--folder', help='where the records go, and are looked for (default: a temporary folder)')
    args = parser.parse_args(argv)
    folder = Path(args.folder or tempfile.mkdtemp(prefix='benchmark-store-'))
    try:
        if not (folder / MANIFEST).is_file():
            write_store(folder, args.records)
        report(folder, args.reads)
    finally:
        if args.folder is None:
            shutil.rmtree(folder)
    return 0


# ---- made-up records ---------------------------------------------------------------------------------------------------------
def write_store(folder: Path, count: int) -> None:
    """A store of `count` persons with two hands each, as `build_store` lays it out, without hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = min(SHARD_ROWS, count)
    records = random_records(rows)
    whole, rest = divmod(count, rows)
    index = np.lib.format.open_memmap(folder / 'index.npy', 'w+', INDEX, (count,))
    paths = np.lib.format.open_memmap(folder / 'paths.npy', 'w+', 'S48', (count,))
    for shard in range(whole + bool(rest)):
        start, size = shard * rows, rows if shard < whole else rest
        place = folder / f'records-{shard:05d}.npy'
        if shard == 0 or size < rows:
            np.save(place, records[:size])
        else:
            place.hardlink_to(folder / 'records-00000.npy')
        numbers = np.char.zfill(np.arange(start, start + size).astype('S9'), 9)
        np.save(folder / f'keys-{shard:05d}.npy', np.char.add(b'made-up/sequence/1/', numbers).astype('S96'))
        paths[start:start + size] = np.char.add(np.char.add(b'images/sequence/1/', numbers), b'.jpg')
        index[start:start + size] = index_of(records[:size])
    del index, paths
    np.save(folder / 'tars.npy', np.zeros(0, 'S1'))
    files = {path.name: dict(size=path.stat().st_size, sha256='') for path in sorted(folder.glob('*.npy'))}
    (folder / MANIFEST).write_text(json.dumps(dict(
        layout(), dataset='none', protocol=dict(split='train'), records=count, persons=count,
        hands=dict(left=count, right=count), dropped={}, unlabelled={}, examples={}, meshes=None, limit=None, shard_rows=rows,
        shards=whole + bool(rest), image_root='.', files=files)))


def random_records(count: int, seed: int = 0) -> np.ndarray:
    """Every number of a float field random, so that nothing is cheaper to read than it will be."""
    rng = np.random.default_rng(seed)
    records = empty_records(count, 'none')
    for field in FIELDS:
        if field.dtype == '<f4':
            records[field.name] = rng.random(records[field.name].shape, dtype=np.float32)
    records['bbox_body'], records['bbox_hand'], records['hw'] = [10, 10, 90, 90], [20, 20, 40, 40], 100
    records['offset'] = np.arange(count)
    for name in ('has_image', 'has_K', 'has_bbox_body', 'has_bbox_left_hand', 'has_bbox_right_hand', 'has_body_pose',
                 'has_global_orient', 'has_left_hand_pose', 'has_right_hand_pose', 'has_kpts2d', 'has_kpts3d'):
        set_flag(records, name)
    return records


# ---- measuring ---------------------------------------------------------------------------------------------------------------
def report(folder: Path, reads: int) -> None:
    """The table; each figure from a fresh process."""
    context = multiprocessing.get_context('forkserver')  # a fresh process without the time that imports take
    context.set_forkserver_preload(['benchmarks.records'])
    with context.Pool(1, maxtasksperchild=1) as pool:
        count = len(PreparedStore(folder))
        print(f'{count:,} records of {RECORD.itemsize} bytes, {count * RECORD.itemsize / 1e9:.1f} GB; bars: open '
              f'{BARS["open_s"]:.0f} s, {BARS["resident_mb"]:.0f} MB a process, {BARS["read_us"]:.0f} us a read')
        print(f'\n{"samples":10} {"items":>12} {"open s":>8} {"anonymous MB":>13} {"file-backed MB":>15}   over what a process '
              'has after its imports')
        for kind in KINDS:
            items, seconds, memory = pool.apply(measure_opening, (folder, kind))
            print(f'{kind:10} {items:12,} {seconds:8.3f} {memory["RssAnon"]:13.1f} {memory["RssFile"]:15.1f}')
        print(f'\n{"read, warm, random":34} {"median us":>10} {"p99 us":>8}   file-backed MB after {reads:,}')
        for name in READERS:
            micros, memory = pool.apply(measure_reads, (folder, name, reads))
            print(f'{name:34} {statistics.median(micros):10.1f} {np.percentile(micros, 99):8.1f}   {memory["RssFile"]:.1f}')
        print(f'\n{"one shard, " + str(FIELD_READS) + " rows":34} {"median us":>10} {"p99 us":>8}')
        for name, micros in pool.apply(compare_forms, (folder,)).items():
            print(f'{name:34} {statistics.median(micros):10.1f} {np.percentile(micros, 99):8.1f}')
    barrier = context.Barrier(WORKERS)
    with context.Pool(WORKERS, _share, (barrier,)) as pool:
        shares = pool.starmap(measure_together, [(folder, reads, seed) for seed in range(WORKERS)], chunksize=1)
    total, slowest = WORKERS * reads, max(seconds for seconds, _ in shares)
    print(f'\n{WORKERS} processes: {total / slowest:,.0f} records a second together; each has '
          f'{max(memory["RssAnon"] for _, memory in shares):.1f} MB anonymous, '
          f'{max(memory["RssFile"] for _, memory in shares):.1f} MB file-backed more than after its imports')


def resident() -> dict[str, float]:
    """MB that this process holds: its own (RssAnon) and pages of files that it has mapped (RssFile); Linux."""
    lines = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
    return {name: int(lines[name].split()[0]) / 1024 for name in ('RssAnon', 'RssFile')}


def grown(before: dict[str, float]) -> dict[str, float]:
    """MB since then."""
    return {name: value - before[name] for name, value in resident().items()}


def measure_opening(folder: Path, kind: str) -> tuple[int, float, dict[str, float]]:
    """Items, seconds and memory of a data set that is opened and listed."""
    before, start = resident(), time.perf_counter()
    dataset = KINDS[kind](str(folder))
    return len(dataset), time.perf_counter() - start, grown(before)


def _read_record(folder: Path):
    store = PreparedStore(folder)
    return len(store), store.record


def _read_named(folder: Path):
    store = PreparedStore(folder)
    return len(store), lambda row: (store.key(row), store.image(store.record(row)))


def _read_sample(folder: Path):
    dataset = HandDataset(str(folder))
    return len(dataset), dataset.get_data_info


READERS = {'a record': _read_record, 'a record, its key and image path': _read_named, 'a hand sample, as tensors': _read_sample}


def measure_reads(folder: Path, name: str, reads: int) -> tuple[list[float], dict[str, float]]:
    """Microseconds of each read, in the second of two passes over the same rows."""
    before = resident()
    count, read = READERS[name](folder)
    rows = np.random.default_rng(0).integers(0, count, reads).tolist()
    for row in rows:
        read(row)
    return [_timed(read, row) for row in rows], grown(before)


def _timed(read, row: int) -> float:
    start = time.perf_counter()
    read(row)
    return 1e6 * (time.perf_counter() - start)


def compare_forms(folder: Path) -> dict[str, list[float]]:
    """The same rows, whole, from the store and from two other forms: records through a map, and a map for each field."""
    records = np.load(folder / 'records-00000.npy')
    rows = np.random.default_rng(0).integers(0, len(records), FIELD_READS).tolist()
    found = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for name in RECORD.names:
            np.save(f'{place}/{name}.npy', records[name])
        mapped = np.load(folder / 'records-00000.npy', mmap_mode='r').view(np.ndarray)
        fields = [np.load(f'{place}/{name}.npy', mmap_mode='r').view(np.ndarray) for name in RECORD.names]
        forms = {'records, read by position (ours)': PreparedStore(folder).record,
                 'records, memory-mapped': lambda row: mapped[row:row + 1].copy()[0],
                 f'{len(fields)} fields, memory-mapped': lambda row: [np.array(field[row]) for field in fields]}
        for name, read in forms.items():
            for row in rows:
                read(row)
            found[name] = [_timed(read, row) for row in rows]
    return found


_barrier = None


def _share(barrier) -> None:
    global _barrier
    _barrier = barrier


def measure_together(folder: Path, reads: int, seed: int) -> tuple[float, dict[str, float]]:
    """Seconds of so many reads while the others read too, and the memory it takes to have opened and read."""
    before = resident()
    dataset = PersonDataset(str(folder))
    rows = np.random.default_rng(seed).integers(0, len(dataset), reads).tolist()
    _barrier.wait()
    start = time.perf_counter()
    for row in rows:
        dataset.store.record(dataset.item(row))
    return time.perf_counter() - start, grown(before)
