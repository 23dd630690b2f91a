"""make_layouts writes a release as a whole, once, and the same from the same arguments."""
import runpy
from pathlib import Path

import pytest

from hmradapter.synthetic.layouts import LAYOUTS

MAIN = runpy.run_path(str(Path(__file__).parents[2] / 'tools' / 'open_world' / 'make_layouts.py'))['main']


@pytest.fixture
def noted(monkeypatch):
    """A layout that is quickly written."""
    def write(root, body_model_root, seed=0, rows: int = 2):
        (Path(root) / 'labels').mkdir()
        (Path(root) / 'labels' / 'rows.txt').write_text(f'{seed} {rows}')
        if rows == 13:
            raise OSError('the disk is full')
        return dict.fromkeys(range(rows))
    monkeypatch.setitem(LAYOUTS, 'noted', write)


def test_a_release_is_written_once(noted, tmp_path, capsys):
    arguments = ['noted', '--out', str(tmp_path), '--seed', '3', '--options', 'rows=4']
    MAIN(arguments)
    assert (tmp_path / 'noted' / 'labels' / 'rows.txt').read_text() == '3 4'
    assert 'noted: 1 files, 0.0 MB, the truth of 4 samples known.' in capsys.readouterr().out
    MAIN(arguments)
    assert 'noted is there.' in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r'noted is there, and not of seed 4'):
        MAIN([*arguments[:4], '4', *arguments[5:]])


def test_what_fails_in_the_middle_leaves_no_release(noted, tmp_path):
    with pytest.raises(SystemExit, match='noted: the disk is full'):
        MAIN(['noted', '--out', str(tmp_path), '--options', 'rows=13'])
    assert not (tmp_path / 'noted').exists()
    MAIN(['noted', '--out', str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ['noted']


def test_layouts_and_options_are_listed(capsys):
    MAIN(['--list'])
    said = capsys.readouterr().out
    assert all(name in said for name in LAYOUTS) and 'hands=4' in said


@pytest.mark.parametrize(('arguments', 'message'), [
    (['nonsense', '--out', 'x'], 'there is no layout nonsense'), (['freihand'], 'give at least one NAME and --out'),
    (['rich', '--out', 'x', '--options', 'hands=3'], 'rich has no option hands')])
def test_mistakes_are_told(arguments, message, capsys):
    with pytest.raises(SystemExit):
        MAIN(arguments)
    assert message in capsys.readouterr().err
