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
from all_layouts import OPTIONS, WRITERS  # noqa: E402

from hmradapter.datasets import HandDataset, PersonDataset  # noqa: E402
from hmradapter.datasets.catalogue import checked_options, is_there, source_class, source_classes  # noqa: E402
from hmradapter.datasets.record import DATASETS  # noqa: E402
from hmradapter.datasets.sources import Expected  # noqa: E402
from hmradapter.datasets.transforms import LoadImage  # noqa: E402


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
    words = [name, '--src', releases(name)]
    if name in OPTIONS:
        words += ['--options', *(f'{key}={value}' for key, value in OPTIONS[name].items())]
    status, out, error = run(*words)
    assert status == 0, error
    assert 'records a second' in out and 'records ' in out and 'bytes' in out
    status, again, _ = run(*words)
    assert status == 0 and 'was there already, with these options' in again
    status, out, _ = run(name, '--src', releases(name), '--check', '--verify-images')
    assert status == 0 and ': sound' in out, out
    prepared = [folder for folder in (tmp_path / 'out').iterdir() if folder.is_dir()]
    for folder in prepared:
        kinds = dict(hands=HandDataset, persons=PersonDataset)
        dataset = kinds[source_class(name).gives[0]](str(folder), [LoadImage()], test_mode=True)
        assert dataset[0]['img'].size
    assert prepared


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
    assert status == 0 and 'NOT PREPARED: 3dpw-validation is left out: ' in out and 'does not exist' in out
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
    (['3dpw', '--list', '--split', 'tets'], "did you mean 'test'"), (['--list', '--split', 'vall'], 'of any data set'),
    (['3dpw', '--check', '--split', 'tets'], "did you mean 'test'"),
    (['3dpw', '--check', '--options', 'strid=3'], "did you mean 'stride'"), (['--list', '--options', 'stride=3'], 'name it'),
    (['3dpw', '--src', '.', '--options', 'stride=abc'], "stride is 'abc', it must be a whole number"),
    (['3dpw', '--src', '.', '--options', 'keep_vertices=no'], "keep_vertices is 'no', it must be True or False or None"),
    (['h36m', '--src', '.', '--options', 'views=1,abc'], "Human3.6M cannot be read with views="),
    (['arctic', '--src', '.', '--options', 'views=x'], "views is ('x',)"),
    (['interhand', '--src', '.', '--options', 'camera_stride=0'], 'camera_stride is 0'),
    (['hamer', '--src', '.', '--options', 'filters=3'], 'given entry by entry, filters.ENTRY=VALUE'),
    (['hamer', '--src', '.', '--options', 'filters.mn_joints=3'], 'mn_joints'),
    (['3dpw', '--src', '.', '--options', 'stride.x=3'], 'no entries'),
    (['--list', '--split', 'val'], '')])
def test_mistakes_are_told(run, words, said):
    status, out, error = run(*words)
    assert status == 2 and said in error and error.startswith(Path(sys.argv[0]).name) if said else status == 0


@pytest.mark.parametrize('words', [['3dpw', '--src', 'x'], ['--src', 'x', '--out', 'x'], ['3dpw', '--out', 'x'],
                                   ['3dpw', '--x']])
def test_what_is_missing_on_the_command_line(words):
    with pytest.raises(SystemExit):
        prepare_data.main(words)


def test_one_value_of_a_list_and_an_entry_of_an_option():
    for name, option, value, taken in (('arctic', 'views', 4, (4,)), ('interhand', 'hand_types', 'right', ('right',)),
                                       ('freihand', 'versions', 'gs', ('gs',)), ('freihand', 'versions', ['gs'], ['gs']),
                                       ('h36m', 'views', None, None), ('ubody', 'stride', None, None),
                                       ('freihand', 'held_out', 0, 0), ('humandata', 'images', 2017, '2017')):
        assert checked_options(source_class(name), {option: value}) == {option: taken}
    assert checked_options(source_class('hamer'), {'filters.a': 3, 'filters.b': 0.5}) == dict(filters=dict(a=3, b=0.5))


def test_a_release_with_a_prepared_name_is_kept(releases, run, tmp_path):
    shutil.copytree(releases('ehf'), tmp_path / 'ehf-test')
    there = content(tmp_path / 'ehf-test')
    status, _, error = run('ehf', '--src', tmp_path / 'ehf-test', '--out', tmp_path)
    assert status == 2 and 'is no prepared store: move it' in error and content(tmp_path / 'ehf-test') == there


def test_an_empty_split_is_told_and_not_written(releases, run, tmp_path):
    words = ('ubody', '--src', releases('ubody'))  # every tenth and hundredth annotation of six
    for split in ([], ['--split', 'test']):
        status, _, error = run(*words, *split)
        assert status == 1 and 'ubody-test would have no record' in error and 'of_another_split' in error
    assert not (tmp_path / 'out' / 'ubody-test').exists()


def test_a_source_may_refuse_what_it_counts(releases, run, tmp_path):
    root = tmp_path / 'ubody'
    shutil.copytree(releases('ubody'), root)
    np.save(root / 'splits' / 'intra_scene_test_list.npy', np.array(['Speech_V100']))
    status, _, error = run('ubody', '--src', root, '--split', 'train', '--options', 'stride=1')
    assert status == 2 and 'these are not the names of the videos' in error
    assert not (tmp_path / 'out' / 'ubody-train').exists()


def test_an_options_mistake_is_not_a_split_left_out(releases, run, tmp_path):
    status, _, error = run('freihand', '--src', releases('freihand'), '--options', 'held_out=2')
    assert status == 2 and 'held_out is 2' in error
    status, out, error = run('freihand', '--src', releases('freihand'), '--options', 'held_out=0.2')
    assert status == 0 and 'freihand-evaluation\n' in out and 'NOT PREPARED' not in out, error
    status, out, error = run('freihand', '--src', releases('freihand'), '--out', tmp_path / 'x', '--options',
                             'versions=gs')
    assert status == 0 and 'freihand-val is left out: held_out is 0' in out, error
    assert 'freihand-evaluation is left out: versions is' in out


def test_tars_beside_which_stores_lie(releases, run, tmp_path):
    root = tmp_path / 'hamer'
    shutil.copytree(releases('hamer'), root)
    assert run('hamer', '--src', root, '--out', root)[0] == 0
    assert run('ehf', '--src', releases('ehf'), '--out', root, '--images', 'tar')[0] == 0
    status, out, error = run('hamer', '--src', root, '--out', root)
    assert status == 0 and 'was there already' in out, error  # the same tars, not those of EHF's store


def test_only_files_that_the_options_need_are_asked_for(releases, run, tmp_path):
    root = tmp_path / 'interhand'
    shutil.copytree(releases('interhand'), root)
    for path in root.rglob('*MANO_NeuralAnnot.json'):
        path.unlink()
    words = ('interhand', '--src', root)
    assert 'MANO_NeuralAnnot.json' not in run(*words, '--list', '--options', 'mano=False')[1]
    out = run(*words, '--list')[1]
    assert 'missing  annotations/{train,val,test}/InterHand2.6M_{train,val,test}_MANO' in out and '{split}' not in out
    split = next(path.name for path in (root / 'annotations').iterdir() if path.is_dir())
    assert run(*words, '--split', split, '--options', 'mano=False')[0] == 0
    status, out, _ = run(*words, '--split', split, '--check')  # the store remembers mano=False
    assert status == 0, out
    places = {name: [entry.place for entry in source_class(name).expected_here('train', options) if not entry.optional]
              for name, options in (('3dpw', dict(annotations='coco')), ('freihand', dict(keep_vertices=True)))}
    assert places['3dpw'] == ['imageFiles/<seq>/image_%05d.jpg', '3DPW_{split}.json'] and len(places['freihand']) == 5
    evaluation = source_class('freihand').expected_here('evaluation', {})
    assert evaluation and all(entry.place.startswith('evaluation') for entry in evaluation)


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
