"""Several processes convert: the same bytes as one, clean ends, and a taste that is the same for all."""
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_image_tars import Convert
from test_image_tars import release as release  # noqa: PLC0414, a fixture
from test_store import ABOUT, UNITS, convert, convert_with_meshes, folder_bytes

from hmradapter.datasets.store.prepared import is_complete
from hmradapter.datasets.store.writer import build_store, work_folder
from hmradapter.fileio import DamagedFileError


class Fails:
    """Converts but for one unit."""

    def __init__(self, unit, error, log):  # error: (class, its arguments)
        self.unit, self.error, self.log = unit, error, log

    def __call__(self, unit):
        with open(self.log, 'a') as file:
            file.write(f'{unit} {os.getpid()}\n')
        if unit == self.unit:
            raise self.error[0](*self.error[1:])
        if unit > self.unit:
            time.sleep(30)  # a unit that must not be waited for
        return convert(unit)


class Untravelled(Exception):
    """Cannot be pickled."""

    def __init__(self, one, two):
        super().__init__(f'{one} and {two}')


class Dies:
    """A process that the system kills."""

    def __call__(self, unit):
        if unit == UNITS[2]:
            os.kill(os.getpid(), signal.SIGKILL)
        return convert(unit)


def test_workers_do_not_change_the_bytes(tmp_path, release):
    one = build_store(tmp_path / 'a', UNITS, convert_with_meshes, ABOUT, shard_rows=10)
    two = build_store(tmp_path / 'b', UNITS, convert_with_meshes, ABOUT, shard_rows=10, workers=2)
    assert folder_bytes(one.folder) == folder_bytes(two.folder)
    tars = [build_store(tmp_path / f't{workers}', ['a', 'b', 'c'], Convert(release), ABOUT, image_root=release, images='tar',
                        workers=workers) for workers in (1, 3)]
    assert folder_bytes(tars[0].folder) == folder_bytes(tars[1].folder)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize('error', [(DamagedFileError, '/data/x.pkl', 'a pickle', 'cut'), (Untravelled, 'this', 'that')])
def test_an_error_names_its_unit_and_stops_the_others(tmp_path, error):
    said = {}
    for workers in (1, 2):
        log, start = tmp_path / f'log{workers}', time.time()
        with pytest.raises(Exception, match='pkl cannot be read|this and that') as caught:
            build_store(tmp_path / f'{workers}', UNITS, Fails(UNITS[3], error, log), ABOUT, workers=workers)
        assert time.time() - start < 25 and not multiprocessing.active_children()
        said[workers] = type(caught.value), caught.value.__notes__
        assert not is_complete(tmp_path / f'{workers}')
        kept = {path.name for path in work_folder(tmp_path / f'{workers}').glob('part-*.npz')}
        before = {f'part-{i:06d}.npz' for i in range(3)}
        assert kept == before if workers == 1 else kept and kept <= before
    assert said[1][1] == said[2][1] == [f'This happened in {UNITS[3]!r}, unit 4 of 7.']
    assert said[1][0] == said[2][0] or error[0] is Untravelled


def test_a_killed_worker_is_told(tmp_path):
    with pytest.raises(RuntimeError, match='fewer workers'):
        build_store(tmp_path / 'a', UNITS, Dies(), ABOUT, workers=2)
    assert folder_bytes(build_store(tmp_path / 'a', UNITS, convert, ABOUT, workers=2).folder) == folder_bytes(
        build_store(tmp_path / 'b', UNITS, convert, ABOUT).folder)


@pytest.mark.parametrize('limit', [1, 5, 11, 12, 1000])
def test_a_taste_is_the_first_records(tmp_path, limit, release):
    whole = build_store(tmp_path / 'whole', UNITS, convert_with_meshes, ABOUT, shard_rows=10)
    taste = build_store(tmp_path / 'a', UNITS, convert_with_meshes, ABOUT, shard_rows=10, limit=limit)
    assert len(taste) == min(limit, len(whole)) and taste.manifest['limit'] == limit
    for row in range(len(taste)):
        assert taste.record(row).tobytes() == whole.record(row).tobytes() and taste.key(row) == whole.key(row)
        mesh, other = (store.vertices(int(store.record(row)['verts_row'])) for store in (taste, whole))
        assert (mesh is None) == (other is None) and (mesh is None or (mesh == other).all())
    taste.verify()
    if limit in (5, 12):
        other = build_store(tmp_path / 'b', UNITS, convert_with_meshes, ABOUT, shard_rows=10, limit=limit, workers=2)
        assert folder_bytes(taste.folder) == folder_bytes(other.folder)
    if limit == 11:  # two units and a part of the third, whose images alone are copied
        tars = build_store(tmp_path / 't', ['a', 'b', 'c'], Convert(release), ABOUT, image_root=release, images='tar', limit=11)
        assert len(tars) == 11 and len(list(tars.folder.glob('*.tar'))) == 3
        tars.verify()


def test_a_taste_is_not_in_the_way_of_the_whole(tmp_path):
    log, folder = tmp_path / 'log', tmp_path / 'a'
    with pytest.raises(KeyboardInterrupt):
        build_store(folder, UNITS, Fails(UNITS[3], (KeyboardInterrupt,), log), ABOUT)
    taste = build_store(folder, UNITS, Fails('t', None, log), ABOUT, limit=6)
    shutil.rmtree(taste.folder)
    build_store(folder, UNITS, Fails('t', None, log), ABOUT)
    units = [line.split()[0] for line in log.read_text().splitlines()]
    assert units == UNITS[:4] + UNITS[:2] + UNITS[3:]
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.a.lock', 'a', 'log']


@pytest.mark.parametrize('wrong', [dict(workers=0), dict(limit=0), dict(limit=1.5), dict(images='zip')])
def test_wrong_arguments(tmp_path, wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        build_store(tmp_path / 'a', UNITS, convert, ABOUT, **wrong)


SLOW = '''
import signal, sys, time
sys.path.insert(0, {tests!r})
from test_store_workers import *
class Slow:
    def __call__(self, unit):
        with open({log!r}, 'a') as file:
            file.write(f'{{unit}} {{os.getpid()}}\\n')
        time.sleep(30 if unit == UNITS[-1] else 0)  # it is ended before that, however busy the machine
        return convert(unit)
if __name__ == '__main__':
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
    build_store(sys.argv[1], UNITS, Slow(), ABOUT, shard_rows=10, workers=2)
'''


def is_running(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')')[1].split()[0] != 'Z'  # dead, if nobody has asked for its end
    except FileNotFoundError:
        return False


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_ended_run_leaves_no_process_and_goes_on(tmp_path, how):
    script, log = tmp_path / 'slow.py', tmp_path / 'log'
    script.write_text(SLOW.format(tests=str(Path(__file__).parent), log=str(log)))
    run = subprocess.Popen([sys.executable, str(script), str(tmp_path / 'a')], stderr=subprocess.DEVNULL)
    while run.poll() is None and not list(work_folder(tmp_path / 'a').glob('part-*.npz')):
        time.sleep(0.01)
    run.send_signal(how)
    assert run.wait(120) != 0
    time.sleep(0.3)
    workers = {int(line.split()[1]) for line in log.read_text().splitlines()}
    assert workers and not any(map(is_running, workers))
    whole = build_store(tmp_path / 'whole', UNITS, convert, ABOUT, shard_rows=10)
    resumed = build_store(tmp_path / 'a', UNITS, convert, ABOUT, shard_rows=10, workers=2)
    assert folder_bytes(whole.folder) == folder_bytes(resumed.folder)
