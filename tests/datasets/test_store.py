"""The prepared store: what is written comes back, killed writers leave nothing, interrupted ones give the same bytes."""
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hmradapter.datasets import record as R
from hmradapter.datasets.selection import Selection
from hmradapter.datasets.store import npy_rows
from hmradapter.datasets.store.prepared import EmptyStoreError, PreparedStore, StoreError, is_complete, is_ours
from hmradapter.datasets.store.writer import Part, build_store

UNITS = [f's{i:02d}/seq' for i in range(7)]
ABOUT = dict(dataset='test', protocol=dict(stride=1))


def convert(unit):
    number = int(unit[1:3])
    rng = np.random.default_rng(number)
    count = 0 if number == 4 else 5 + number
    records = R.empty_records(count, 'arctic')
    records['seq'], records['frame'], records['offset'] = number, np.arange(count), np.arange(count)
    records['kpts3d'] = rng.normal(size=(count, 144, 4))
    records['bbox_hand'][:, 0] = [1, 2, 3, 4]
    for name in ('has_image', 'has_K', 'has_bbox_left_hand'):
        R.set_flag(records, name)
    part = Part(records, [f'{unit}/{i}' for i in range(count)], [f'{unit}/{i}.jpg' for i in range(count)])
    part.drop('odd', f'{unit}/x', number)
    part.lacks('body', f'{unit}/y')
    return part


def folder_bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def test_written_and_read(tmp_path):
    templates = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    store = build_store(tmp_path / 'a', UNITS, convert, ABOUT, templates, shard_rows=10)
    parts = [convert(unit) for unit in UNITS]
    expected = np.concatenate([part.records for part in parts])
    keys, paths = sum((part.keys for part in parts), []), sum((part.paths for part in parts), [])
    assert len(store) == len(expected) == store.manifest['records'] and store.manifest['shards'] == 5
    for row in range(len(store)):
        record = store.record(row)
        assert store.key(row) == keys[row] and store.path(int(record['offset'])) == paths[row]
        np.testing.assert_array_equal(record['kpts3d'], expected['kpts3d'][row])
        record['kpts3d'] = 0  # a copy: the map is not touched
        assert store.record(row)['kpts3d'].any()
    np.testing.assert_array_equal(store.index['frame'], expected['frame'])
    np.testing.assert_array_equal(store.index['flags'], expected['flags'])
    np.testing.assert_array_equal(store.template(1), templates[1])
    assert store.keys().tolist() == [key.encode() for key in keys]
    assert store.manifest['dropped'] == dict(odd=sum(range(7))) and store.manifest['unlabelled'] == dict(body=7)
    assert store.manifest['hands'] == dict(left=len(expected), right=0) and len(store.manifest['examples']['odd']) == 5
    assert store.manifest['protocol'] == dict(stride=1)
    np.testing.assert_array_equal(np.concatenate(list(store.index_pieces(16))), store.index)
    store.verify()
    with pytest.raises(IndexError, match='row 99'):
        store.record(99)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.a.lock', 'a']


def test_open_files_do_not_travel_and_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr(npy_rows, 'OPEN_FILES', 3)
    store = build_store(tmp_path / 'a', UNITS, convert, ABOUT, shard_rows=10)
    keys = store.keys().tolist()
    for row in np.random.default_rng(0).integers(0, len(store), 200).tolist():
        assert store.key(row).encode() == keys[row] and store.record(row)['kpts3d'].any()
        assert len(npy_rows.NpyRows._open) <= 3
    other = pickle.loads(pickle.dumps(store))
    assert not other.files._files and other.key(3) == store.key(3)
    path = store.folder / 'keys-00000.npy'
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match='keys-00000.npy ends before its row 9'):
        other.key(9)


@pytest.mark.parametrize('sizes', [[0], [], [8], [8, 5], [1024, 1024, 700], [64, 512 * 9, 1]])
def test_a_selection_is_the_numbers_that_were_chosen(sizes):
    rng = np.random.default_rng(len(sizes))
    pieces = [rng.random(size) < share for size, share in zip(sizes, [0.5, 0.01, 1, 0.3], strict=False)]
    chosen = np.flatnonzero(np.concatenate([np.zeros(0, bool), *pieces]))
    selection = Selection(iter(pieces))
    assert len(selection) == len(chosen) and [selection[i] for i in range(len(chosen))] == chosen.tolist()
    for wrong in (-1, len(chosen)):
        with pytest.raises(IndexError, match=f'of {len(chosen)}'):
            selection[wrong]


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(tmp_path):
    whole = build_store(tmp_path / 'a', UNITS, convert, ABOUT, shard_rows=10)
    calls = []

    def dies_in_the_middle(unit):
        calls.append(unit)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return convert(unit)

    with pytest.raises(KeyboardInterrupt):
        build_store(tmp_path / 'b', UNITS, dies_in_the_middle, ABOUT, shard_rows=10)
    assert not is_complete(tmp_path / 'b') and not (tmp_path / 'b').exists()
    resumed = build_store(tmp_path / 'b', UNITS, dies_in_the_middle, ABOUT, shard_rows=10)
    assert calls[4:] == UNITS[3:]
    assert folder_bytes(whole.folder) == folder_bytes(resumed.folder)


def test_work_of_another_plan_is_not_used(tmp_path):
    def dies(unit):
        if unit == UNITS[3]:
            raise KeyboardInterrupt
        return convert(unit)
    with pytest.raises(KeyboardInterrupt):
        build_store(tmp_path / 'b', UNITS, dies, ABOUT)
    other, seen, work = dict(ABOUT, protocol=dict(stride=2)), [], tmp_path / '.b.work'
    with pytest.raises(StoreError, match=r'\.b\.work has unfinished .*about.protocol.stride is 1 there, 2 is asked.*delete'):
        build_store(tmp_path / 'b', UNITS, convert, other)
    assert len(list(work.glob('part-*.npz'))) == 3
    for part in work.glob('part-*.npz'):  # where nothing is finished, nothing is lost
        part.unlink()
    build_store(tmp_path / 'b', UNITS, lambda unit: seen.append(unit) or convert(unit), other)
    assert seen == UNITS


def test_what_is_no_store_is_never_deleted(tmp_path):
    release = tmp_path / 'bedlam-train'
    (release / 'images').mkdir(parents=True)
    with pytest.raises(StoreError, match='bedlam-train exists and is no prepared store: move it'):
        build_store(release, UNITS, convert, ABOUT)
    assert (release / 'images').is_dir() and not (tmp_path / '.bedlam-train.work').exists()
    (release / 'images').rmdir()
    for root in (release, release / 'images'):
        with pytest.raises(StoreError, match='it has the data set itself in it'):
            build_store(release, UNITS, convert, ABOUT, image_root=root)
    (tmp_path / 'file').touch()
    with pytest.raises(StoreError, match='file exists'):
        build_store(tmp_path / 'file', UNITS, convert, ABOUT)
    assert len(build_store(release, UNITS, convert, ABOUT, image_root=tmp_path))  # an empty folder may be taken


def test_what_would_be_empty_or_is_refused_is_not_written(tmp_path):
    def nothing(unit):
        part = convert(UNITS[4])
        part.drop('missing_image', unit)
        return part
    for limit in (None, 3):
        with pytest.raises(EmptyStoreError, match='no record. Left out: 7 x missing_image, e.g. s00/seq; 28 x odd'):
            build_store(tmp_path / 'a', UNITS, nothing, ABOUT, limit=limit)
    with pytest.raises(EmptyStoreError, match='nothing to look at'):
        build_store(tmp_path / 'a', [], convert, ABOUT)

    def refuse(counts):
        raise ValueError(f'{counts["records"]} records, {counts["dropped"]["odd"]} odd')
    with pytest.raises(ValueError, match='47 records, 21 odd'):
        build_store(tmp_path / 'a', UNITS, convert, ABOUT, refuse=refuse)
    assert [path.name for path in tmp_path.iterdir()] == ['.a.lock']  # so that what is repaired is looked at again
    build_store(tmp_path / 'a', UNITS, convert, ABOUT, refuse=refuse, limit=3)  # of a taste, counts say nothing


def test_manifests_say_units_and_orders(tmp_path):
    manifest = build_store(tmp_path / 'a', UNITS, convert, ABOUT).manifest
    assert manifest['field_units']['kpts3d'] == 'm' and manifest['field_units']['bbox_hand'] == 'px'
    assert manifest['joint_orders']['kpts2d'] == 'SMPLX144' and set(manifest['joint_orders']) <= set(R.RECORD.names)
    assert is_ours(tmp_path / 'a') and is_ours(tmp_path / '.a.work') and not is_ours(tmp_path)
    (tmp_path / 'manifest.json').write_text('[1]')
    assert not is_ours(tmp_path)


SLOW_WRITER = '''
import sys, time
sys.path.insert(0, {tests!r})
from test_store import *
def slow(unit):
    time.sleep(0.02)
    with open(sys.argv[2], 'a') as file:
        file.write(unit + ' ')
    return convert(unit)
build_store(sys.argv[1], UNITS, slow, ABOUT, shard_rows=10)
'''


def start_writer(folder, log):
    code = SLOW_WRITER.format(tests=str(Path(__file__).parent))
    return subprocess.Popen([sys.executable, '-c', code, str(folder), str(log)], stderr=subprocess.DEVNULL)


def test_killed_at_any_moment_leaves_nothing_or_all(tmp_path):
    whole = folder_bytes(build_store(tmp_path / 'whole', UNITS, convert, ABOUT, shard_rows=10).folder)
    rng, log = np.random.default_rng(0), tmp_path / 'log'
    killed = 0
    for attempt in range(3):
        folder = tmp_path / f'k{attempt}'
        writer = start_writer(folder, log)
        while not folder.with_name(f'.{folder.name}.work').exists() and writer.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.25))
        writer.send_signal(signal.SIGKILL)
        killed += writer.wait() == -signal.SIGKILL
        if folder.exists():
            assert folder_bytes(folder) == whole
        assert folder_bytes(build_store(folder, UNITS, convert, ABOUT, shard_rows=10).folder) == whole
    assert killed


def test_two_processes_prepare_once(tmp_path):
    writers = [start_writer(tmp_path / 'a', tmp_path / 'log') for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert (tmp_path / 'log').read_text().split() == UNITS
    PreparedStore(tmp_path / 'a').verify()


def test_damage_is_named(tmp_path):
    store = build_store(tmp_path / 'a', UNITS, convert, ABOUT)
    path = store.folder / 'records-00000.npy'
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match='records-00000.npy'):
        PreparedStore(store.folder).verify()
    path.write_bytes(data[:-10])
    with pytest.raises(StoreError, match='records-00000.npy has .* bytes'):
        PreparedStore(store.folder)
    manifest = store.folder / 'manifest.json'
    manifest.write_text(manifest.read_text().replace('hmradapter.record/1', 'hmradapter.record/0'))
    with pytest.raises(StoreError, match='another schema.*prepare again'):
        PreparedStore(store.folder)
    manifest.unlink()
    with pytest.raises(StoreError, match='not finished'):
        PreparedStore(store.folder)


def test_a_record_that_is_not_finite_or_has_an_empty_box_is_not_written(tmp_path):
    def spoilt(change):
        def make(unit):
            part = convert(unit)
            change(part.records)
            return part
        return make

    def nan(records):
        records['kpts2d'][2, 7] = np.nan

    def empty(records):
        records['bbox_hand'][1, 0] = [5, 5, 5, 9]
    with pytest.raises(ValueError, match="record 2 .*'kpts2d'"):
        build_store(tmp_path / 'a', UNITS[:1], spoilt(nan), ABOUT)
    with pytest.raises(ValueError, match='record 1 .*left hand box'):
        build_store(tmp_path / 'b', UNITS[:1], spoilt(empty), ABOUT)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='prepared_dir'):
        build_store(tmp_path / 'file' / 'a', UNITS, convert, ABOUT)


def test_keys_that_are_too_long(tmp_path):
    def long(unit):
        part = convert(unit)
        part.keys[0] = 'x' * 97
        return part
    with pytest.raises(ValueError, match='97 bytes'):
        build_store(tmp_path / 'a', UNITS[:1], long, ABOUT)


def test_record_layout():
    assert R.RECORD.itemsize % 8 == 0 and len(R.FLAGS) <= 64 and len(set(R.FLAGS)) == len(R.FLAGS)
    for name in R.RECORD.names:
        base, offset = R.RECORD.fields[name][0].base, R.RECORD.fields[name][1]
        assert offset % base.itemsize == 0, name
    named = {flag.format(side=side) for field in R.FIELDS for flag in field.valid.split(', ') for side in R.SIDES}
    assert set(R.FLAGS) <= named | {'always'} and named - {'always'} <= set(R.FLAGS)
    with pytest.raises(ValueError, match='has_nothing'):
        R.flag_bits(['has_nothing'])


def test_docs_have_every_field():
    docs = Path(__file__).parents[2] / 'docs' / 'datasets.md'
    assert R.schema_text() in docs.read_text(), 'paste the output of record.schema_text() into docs/datasets.md'


def test_access_is_fast(tmp_path):
    def many(unit):
        records = R.empty_records(4000, 'arctic')
        return Part(records, [f'{unit}/{i}' for i in range(4000)], [f'{i}' for i in range(4000)])
    store = build_store(tmp_path / 'a', UNITS[:2], many, ABOUT)
    rows = np.random.default_rng(0).permutation(len(store)).tolist()
    for row in rows:
        store.record(row)
    start = time.perf_counter()
    for row in rows:
        store.record(row)
    micros = (time.perf_counter() - start) / len(rows) * 1e6
    print(f'{micros:.1f} us a record, warm, random')
    assert micros < 100 or os.getloadavg()[0] > 2  # a busy machine measures its load


def meshes_of(unit, records):
    """One mesh of four vertices for every second record."""
    has = np.arange(len(records)) % 2 == 0
    records['verts_row'] = np.where(has, np.cumsum(has) - 1, -1)
    return np.random.default_rng(int(unit[1:3])).normal(size=(has.sum(), 4, 3)).astype(np.float32)


def convert_with_meshes(unit):
    part = convert(unit)
    part.vertices = np.array_split(meshes_of(unit, part.records), 3)
    return part


def test_meshes_are_written_in_pieces_and_read(tmp_path):
    store = build_store(tmp_path / 'a', UNITS, convert_with_meshes, ABOUT, shard_rows=10)
    expected, rows = [], []
    for unit in UNITS:
        part = convert(unit)
        expected += list(meshes_of(unit, part.records))
        rows += part.records['verts_row'].tolist()
    assert store.has_vertices and store.mesh_size == 4 and store.manifest['meshes'] == [len(expected), 4, 3]
    found = iter(expected)
    for row, local in enumerate(rows):
        mesh = store.vertices(int(store.record(row)['verts_row']))
        assert (mesh is None) == (local == -1)
        if mesh is not None:
            np.testing.assert_array_equal(mesh, next(found))
    store.verify()
    assert not build_store(tmp_path / 'b', UNITS, convert, ABOUT).has_vertices
    path = store.folder / 'verts.npy'
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(StoreError, match='verts.npy has .* bytes'):
        PreparedStore(store.folder)


def test_an_interrupted_run_gives_the_same_meshes(tmp_path):
    whole, calls = build_store(tmp_path / 'a', UNITS, convert_with_meshes, ABOUT, shard_rows=10), []

    def dies(unit):
        part = convert_with_meshes(unit)
        calls.append(unit)
        if len(calls) == 4:  # in the middle of its meshes
            pieces = part.vertices
            part.vertices = (piece if i == 0 else sys.exit() for i, piece in enumerate(pieces))
        return part
    with pytest.raises(SystemExit):
        build_store(tmp_path / 'b', UNITS, dies, ABOUT, shard_rows=10)
    resumed = build_store(tmp_path / 'b', UNITS, dies, ABOUT, shard_rows=10)
    assert calls[4:] == UNITS[3:] and folder_bytes(whole.folder) == folder_bytes(resumed.folder)


def test_meshes_that_do_not_fit_are_not_written(tmp_path):
    def spoilt(change):
        def make(unit):
            part = convert_with_meshes(unit)
            part.vertices = change(np.concatenate(part.vertices))
            return part
        return make
    for number, (change, said) in enumerate([(lambda x: [x[1:]], 'got 2 meshes, but 3'), (lambda x: [x * np.nan], 'finite'),
                                             (lambda x: [x[:1], x[1:, :2]], r'\(n, 4, 3\)')]):
        with pytest.raises(ValueError, match=said):
            build_store(tmp_path / f'{number}', UNITS[:1], spoilt(change), ABOUT)
    other = [convert_with_meshes, spoilt(lambda x: [x[:, :2]])]
    with pytest.raises(ValueError, match='meshes of 2 vertices, those before it of 4'):
        build_store(tmp_path / 'x', UNITS[:2], lambda unit: other[UNITS.index(unit)](unit), ABOUT)
