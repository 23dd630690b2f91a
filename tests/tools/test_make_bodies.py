"""make_bodies says at once what it cannot make."""
import runpy
from pathlib import Path

import pytest

MAIN = runpy.run_path(str(Path(__file__).parents[2] / 'tools' / 'open_world' / 'make_bodies.py'))['main']


@pytest.mark.parametrize('size', [('135', '240'), ('0', '240'), ('240', '-2')])
def test_a_size_that_cannot_be_rendered_leaves_nothing(tmp_path, capsys, size):
    out = tmp_path / 'data'
    with pytest.raises(SystemExit):
        MAIN(['--layout', '3dpw', '--out', str(out), '--size', *size])
    assert f'--size is {" ".join(size)}: give even numbers' in capsys.readouterr().err and not out.exists()
