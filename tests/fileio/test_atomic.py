"""A file is complete or absent."""
import hashlib
import os
import signal
import subprocess
import sys

import pytest

from hmradapter.fileio import atomic_write, remove_partial_files, sha256_file


def test_content_appears_only_when_the_block_ends(tmp_path):
    path = tmp_path / 'new' / 'x.bin'
    with atomic_write(path) as file:
        file.write(b'one')
        assert not path.exists()
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b'two')
        raise RuntimeError
    assert path.read_bytes() == b'one' and os.listdir(path.parent) == ['x.bin']
    assert sha256_file(path) == hashlib.sha256(b'one').hexdigest()


def test_text_and_modes(tmp_path):
    with atomic_write(tmp_path / 'x.txt', 'w') as file:
        file.write('\u00e9')
    assert (tmp_path / 'x.txt').read_text(encoding='utf-8') == '\u00e9'
    with pytest.raises(ValueError, match="'a'"), atomic_write(tmp_path / 'x.txt', 'a'):
        pass


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / 'x.bin'
    path.write_bytes(b'old')
    code = ('import sys, time; from hmradapter.fileio.atomic import atomic_write\n'
            'with atomic_write(sys.argv[1]) as f:\n'
            "    f.write(b'new' * 10000); f.flush(); print('ready', flush=True); time.sleep(60)")
    process = subprocess.Popen([sys.executable, '-c', code, str(path)], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.read_bytes() == b'old'
    assert len(remove_partial_files(tmp_path)) == 1 and os.listdir(tmp_path) == ['x.bin']
