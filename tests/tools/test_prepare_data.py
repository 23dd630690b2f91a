"""The command that prepares data sets: on the layouts of real ones, with every mistake told, and killed at random."""
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / 'tools'), str(ROOT / 'tests' / 'datasets')]
import prepare_data  # noqa: E402
from arctic_fixture import write_arctic  # noqa: E402
from ehf_fixture import write_ehf  # noqa: E402
from pw3d_fixture import write_pw3d  # noqa: E402

from hmradapter.datasets import HandDataset, PersonDataset  # noqa: E402
from hmradapter.datasets.catalogue import is_there, source_class, source_classes  # noqa: E402
from hmradapter.datasets.record import DATASETS  # noqa: E402
from hmradapter.datasets.sources import Expected  # noqa: E402
from hmradapter.datasets.transforms import LoadImage  # noqa: E402
from hmradapter.synthetic import layouts  # noqa: E402

WRITERS = {'arctic': write_arctic, 'ehf': write_ehf, '3dpw': write_pw3d} | getattr(layouts, 'LAYOUTS', {})


@pytest.fixture(scope='module')
def releases(tmp_path_factory, open_body_models):
    """A tiny release of every data set, written when it is first asked for."""
    root, written = tmp_path_factory.mktemp('releases'), set()

    def release(name):
        if name not in written:
            WRITERS[name](root / name, open_body_models)
            written.add(name)
        return root / name
    return release


@pytest.fixture
def run(open_body_models, tmp_path, capsys):
    """Exit status, stdout and stderr of a command; `out` and the body models are given unless they are."""
    def call(*words, models=True):
        words = [*map(str, words)]
        words += [] if '--out' in words else ['--out', str(tmp_path / 'out')]
        words += ['--body-models', str(open_body_models)] if models else []
        capsys.readouterr()
        return prepare_data.main(words), *capsys.readouterr()
    return call


@pytest.mark.parametrize('name', WRITERS)
def test_every_layout_is_prepared_checked_and_reported(name, releases, run, tmp_path):
    status, out, error = run(name, '--src', releases(name))
    assert status == 0, error
    assert 'records a second' in out and 'records ' in out and 'bytes' in out
    status, again, _ = run(name, '--src', releases(name))
    assert status == 0 and 'was there already, with these options' in again
    status, out, _ = run(name, '--src', releases(name), '--check', '--verify-images')
    assert status == 0 and ': sound' in out, out
    for folder in (tmp_path / 'out').iterdir():
        if folder.is_dir():
            kinds = dict(hands=HandDataset, persons=PersonDataset)
            dataset = kinds[source_class(name).gives[0]](str(folder), [LoadImage()], test_mode=True)
            assert dataset[0]['img'].size


@pytest.mark.parametrize('name', WRITERS)
def test_what_is_expected_is_found_in_the_layout(name, releases, run, tmp_path):
    cls = source_class(name)
    for entry in cls.expected:
        assert entry.optional or any(is_there(releases(name), entry, split) for split in cls.splits), entry.place
        assert not is_there(tmp_path, entry, cls.splits[0])
    _, out, _ = run(name, '--list', '--src', releases(name))
    assert cls.licence in out and cls.site in out and 'found' in out and f'{name}-{cls.splits[0]}: no' in out


def test_every_data_set_says_what_it_is(run):
    status, out, _ = run('--list')
    assert status == 0 and list(source_classes())[:1] == ['arctic']
    for name, cls in source_classes().items():
        assert name in DATASETS and name in out and cls.title in out and cls.licence in out and cls.expected
        assert cls.gives and set(cls.gives) <= {'hands', 'persons'}


def test_places_of_expected_files(tmp_path):
    for name in ('a/s01/b_00.jpg', 'NeuralAnnot.json', 'x/train_intra.npy', 'seq_000001/1.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for place, found in (('a/sXX/<what>_%02d.jpg', True), ('a/sXX/<what>_%02d.png', False), ('seq_000009/9.png ..', True),
                         ('x/{split}_{intra,inter}.npy', True), ('x/{split}_{inter,other}.npy', False),
                         ('a.npy or NeuralAnnot.json', True), ('NeuralAnnot.json (_mano)', True), ('Annot.json', False)):
        assert is_there(tmp_path, Expected(place, ''), 'train') == found, place


def test_splits_that_are_not_there_are_told(releases, run):
    status, out, _ = run('3dpw', '--src', releases('3dpw'))
    assert status == 0 and '3dpw-validation is left out: ' in out and 'does not exist' in out
    status, _, error = run('3dpw', '--src', releases('3dpw'), '--split', 'validation')
    assert status == 2 and 'must be a folder of 3DPW with' in error and 'Licence' in error
    status, _, error = run('3dpw', '--src', releases('ehf'))
    assert status == 2 and 'does not exist' in error


def test_options_images_and_a_taste(releases, run, tmp_path):
    words = ('3dpw', '--src', releases('3dpw'), '--split', 'test', '--options', 'stride=2', 'keep_vertices=False', '--limit', 3,
             '--images', 'tar', '--workers', 2)
    status, out, _ = run(*words)
    assert status == 0 and 'of a taste of 3' in out and 'images included' in out
    dataset = PersonDataset(str(tmp_path / 'out' / '3dpw-test'), [LoadImage()])
    assert len(dataset) == 3 and dataset[2]['img'].size and dataset.metainfo['stride'] == 2
    status, _, error = run(*words[:5], '--options', 'stride=3')
    assert status == 2 and 'protocol.stride is 2 there, 3 is asked for' in error and 'limit is 3 there, null' in error
    assert 'images is "tar" there, "path"' in error and 'keep_vertices' in error
    assert 'a taste' in run('3dpw', '--list')[1]


@pytest.mark.parametrize(('words', 'said'), [
    (['3dwp', '--src', '.'], "did you mean '3dpw'"), (['3dpw', '--src', 'nowhere'], 'nowhere is no folder'),
    (['3dpw', '--src', '.', '--options', 'strid=3'], "did you mean 'stride'"),
    (['3dpw', '--src', '.', '--options', 'stride=0'], 'at least 1'),
    (['ehf', '--src', '.', '--options', 'stride=3'], 'It has boxes'),
    (['3dpw', '--src', '.', '--split', 'tets'], "did you mean 'test'"), (['3dpw', '--check'], 'nothing to check'),
    (['3dpw', '--list', '--split', 'x', '--check'], '')])
def test_mistakes_are_told(run, words, said):
    status, out, error = run(*words)
    assert status == 2 and said in error and error.startswith(Path(sys.argv[0]).name) if said else status == 0


@pytest.mark.parametrize('words', [['3dpw', '--src', 'x'], ['--src', 'x', '--out', 'x'], ['3dpw', '--out', 'x'],
                                   ['3dpw', '--x']])
def test_what_is_missing_on_the_command_line(words):
    with pytest.raises(SystemExit):
        prepare_data.main(words)


def test_body_models_are_asked_for(releases, run):
    status, _, error = run('3dpw', '--src', releases('3dpw'), models=False)
    assert status == 2 and 'body_model_root' in error


def test_a_damaged_file_is_told_with_its_unit(releases, run, tmp_path):
    root = tmp_path / 'data'
    shutil.copytree(releases('3dpw'), root)
    next((root / 'sequenceFiles' / 'test').glob('*.pkl')).write_bytes(b'cposix\nsystem\n(S"true"\ntR.')
    status, _, error = run('3dpw', '--src', root, '--split', 'test')
    assert status == 2 and 'posix.system' in error and '.pkl' in error and 'This happened in' in error and 'goes on' in error


def test_problems_make_the_check_fail(releases, run, tmp_path):
    run('ehf', '--src', releases('ehf'), '--split', 'test')
    images = tmp_path / 'elsewhere'
    shutil.copytree(releases('ehf'), images)
    for path in [*images.glob('02_img.*'), *images.glob('*.ply')]:
        path.unlink()
    status, out, _ = run('ehf', '--check', '--src', images)
    assert status == 1 and 'image is missing' in out and 'ehf/test/02' in out and 'align.ply: nothing is there' in out
    path = tmp_path / 'out' / 'ehf-test' / 'records-00000.npy'
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    status, out, _ = run('ehf', '--check')
    assert status == 1 and 'records-00000.npy: is not what was prepared' in out
    path.write_bytes(data[:-1])
    assert run('ehf', '--check')[0] == 1 and 'not readable' in run('ehf', '--list')[1]


@pytest.mark.parametrize(('images', 'workers'), [('path', 1), ('tar', 2)])
def test_killed_at_any_moment_and_resumed(releases, run, tmp_path, open_body_models, images, workers):
    """An interrupted preparation, resumed, gives every byte of one that was not."""
    words = ['3dpw', '--src', str(releases('3dpw')), '--body-models', str(open_body_models), '--images', images, '--split',
             'test', '--workers', str(workers)]
    run(*words, '--out', tmp_path / 'whole', models=False)
    rng, killed = np.random.default_rng(workers), 0
    for attempt in range(2):
        out = tmp_path / f'k{attempt}'
        process = subprocess.Popen([sys.executable, str(ROOT / 'tools' / 'prepare_data.py'), *words, '--out', str(out)],
                                   stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while not (out / '.3dpw-test.work').exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.6) * (1 + 4 * (workers > 1)))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        assert run(*words, '--out', out, models=False)[0] == 0
        assert content(out / '3dpw-test') == content(tmp_path / 'whole' / '3dpw-test')
        assert sorted(path.name for path in out.iterdir()) == ['.3dpw-test.lock', '3dpw-test']
    assert killed


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_ctrl_c_is_told(releases, tmp_path, open_body_models):
    script = ROOT / 'tools' / 'prepare_data.py'
    process = subprocess.Popen([sys.executable, str(script), 'arctic', '--src', str(releases('arctic')), '--out', str(tmp_path),
                                '--body-models', str(open_body_models)], stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob('.*.work')) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert 'goes on from there' in process.communicate()[1] and process.returncode == 130
