"""Damage at random in every kind of file of every layout: never a hang, never an error without the file's name, never a record
that breaks a rule or is missing without being counted.

HMRADAPTER_FUZZ=200 python -m pytest tests/datasets/test_fuzz.py -s    so many corruptions of each layout instead of a few
"""
import os
import re
import shutil
import signal
import zlib
from collections import Counter, defaultdict

import numpy as np
import pytest
from all_layouts import OPTIONS, WRITERS

from hmradapter.datasets.catalogue import build_source, source_class
from hmradapter.datasets.record import RECORD
from hmradapter.datasets.sources import freihand, pw3d
from hmradapter.datasets.store.check import check_store

CASES = int(os.environ.get('HMRADAPTER_FUZZ', '6'))
SECONDS = 60          # that one preparation may take on a busy machine; a tiny release takes one
# Formats that say the same twice, in parameters and in joints: by how much (metres, twice the reader's tolerance) a changed
# record's joints may have moved against each other.
TOLD_TWICE = {'3dpw': ('kpts3d', 2 * pw3d.MAX_JOINT_GAP), 'freihand': ('hand_kpts3d', 2 * freihand.MAX_GAP)}
PICTURES = ('.jpg', '.jpeg', '.png', '.bmp')


def damage(path, rng):
    """What is done, and the damaged bytes: cut somewhere, or some bits turned over, of the head more often than by chance."""
    data = bytearray(path.read_bytes())
    if rng.random() < 0.4:
        return 'cut', bytes(data[:int(rng.integers(len(data)))])
    end = len(data) if rng.random() < 0.6 else min(len(data), 512)
    for at in rng.integers(0, end, int(rng.integers(1, 4))):
        data[at] ^= 1 << int(rng.integers(8))
    return 'flip', bytes(data)


def kind_of(path, root):
    """Files of one kind differ in numbers only."""
    return re.sub(r'\d+', '#', path.relative_to(root).as_posix().rsplit('/', 1)[-1]) + str(len(path.relative_to(root).parts))


def corruptions(root, seed):
    """Path, what is done and the new bytes, `CASES` times, every kind of file in turn."""
    rng, kinds = np.random.default_rng(seed), defaultdict(list)
    for path in sorted(root.rglob('*')):
        if path.is_file() and path.stat().st_size:
            kinds[kind_of(path, root)].append(path)
    kinds = list(kinds.values())
    order = [kinds[i] for i in rng.permutation(len(kinds))]
    for number in range(CASES):
        paths = order[number % len(order)]
        path = paths[int(rng.integers(len(paths)))]
        yield path, *damage(path, rng)


class Prepared:
    """Records by key, what was counted, and what the check says."""

    def __init__(self, name, root, split, models, out):
        shutil.rmtree(out, ignore_errors=True)
        store = build_source(source_class(name), root, split, models, OPTIONS.get(name)).prepare_at(out)
        self.records = {store.key(row): bytes(store.record(row)) for row in range(len(store))}
        self.counts = Counter(store.manifest['dropped']) + Counter(store.manifest['unlabelled'])
        self.problems = check_store(out, all_images=True)


def outcome(before, after):
    """How a preparation of damaged files ended."""
    assert not after.problems, [str(problem) for problem in after.problems]
    told = bool(after.counts - before.counts)
    gone = before.records.keys() - after.records.keys()
    assert told or not gone, f'{sorted(gone)[:3]} are gone, but nothing more is counted than {before.counts}'
    if told:
        return 'counted'
    return 'unchanged' if before.records == after.records else 'changed'


def moved(name, before, after):
    """Metres by which joints of any record have moved against its first one."""
    field, _ = TOLD_TWICE[name]

    def spans(record):
        points = np.frombuffer(record, RECORD)[0][field][..., :3].reshape(-1, 3).astype(float)
        points = points[points.any(1)]
        return np.linalg.norm(points - points[:1], axis=1)
    pairs = [(spans(before.records[key]), spans(after.records[key])) for key in before.records.keys() & after.records.keys()]
    return max((np.abs(one - other).max() for one, other in pairs if one.shape == other.shape and len(one)), default=0)


@pytest.fixture
def within_seconds():
    def stop(number, frame):
        raise AssertionError(f'not done after {SECONDS} s')
    signal.signal(signal.SIGALRM, stop)
    yield
    signal.alarm(0)


@pytest.fixture(scope='module')
def found():
    """Outcomes of all layouts, printed at the end."""
    total = Counter()
    yield total
    print(f'\n{dict(total)}')


def largest_split(name, root, models, out):
    """The split with the most records, and what it gives."""
    found = {}
    for split in source_class(name).splits:
        try:
            found[split] = Prepared(name, root, split, models, out)
        except (FileNotFoundError, ValueError):  # not in this release, or not with these options
            continue
    return max(found.items(), key=lambda item: len(item[1].records))


@pytest.mark.parametrize('name', WRITERS)
def test_damage_is_named_counted_or_harmless(name, tmp_path, open_body_models, within_seconds, found):
    root, out = tmp_path / 'release', tmp_path / 'out'
    WRITERS[name](root, open_body_models)
    split, whole = largest_split(name, root, open_body_models, out)
    assert whole.records and not whole.problems, [str(problem) for problem in whole.problems]
    for path, how, data in corruptions(root, zlib.crc32(name.encode())):
        intact = path.read_bytes()
        path.write_bytes(data)
        said = f'{path.relative_to(root)}: {how}, {len(intact)} to {len(data)} bytes'
        signal.alarm(SECONDS)
        try:
            after = Prepared(name, root, split, open_body_models, out)
            end = outcome(whole, after)
            assert name not in TOLD_TWICE or moved(name, whole, after) <= TOLD_TWICE[name][1]
        except (ValueError, OSError, KeyError) as error:
            assert path.name in str(error), f'{said}: {type(error).__name__}: {error}'
            end = 'named error'
        except Exception as error:
            raise AssertionError(said) from error
        finally:
            signal.alarm(0)
            path.write_bytes(intact)
        print(f'{said}: {end}')
        # what is cut is seen: every format here has an end or a length that it must have
        assert how != 'cut' or end != 'changed', said
        assert path.suffix not in PICTURES or how != 'cut' or end in ('counted', 'unchanged'), said
        found[end] += 1
    assert Prepared(name, root, split, open_body_models, out).records == whole.records
