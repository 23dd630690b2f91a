"""Commands of this package run from here: their processes, their options, how long they took, and what they ran on."""
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import DictAction

from hmradapter.fileio import atomic_write
from hmradapter.version import __version__

LOCK = 'lock'


class RunError(RuntimeError):
    """A run cannot go on; of a command that failed the message ends with the last lines of its log."""


class Processes:
    """The commands that run now, of several threads."""

    def __init__(self):
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @contextlib.contextmanager
    def running(self, command: Sequence[str], log: Path) -> Iterator[subprocess.Popen]:
        """A command whose output goes to `log`, ended with the block at the latest.

        Raises:
            RunError: it failed, or all were stopped.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        env = dict(PYTHON=sys.executable) if 'dist_train' in ' '.join(command) else dict(OMP_NUM_THREADS='1')
        with open(log, 'a') as file:
            with self._lock:
                if self._stopped:
                    raise RunError('stopped.')
                process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | env)
                self._running.add(process)
            try:
                yield process
            finally:
                self._running.discard(process)
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        if process.returncode:
            raise RunError(f'{" ".join(command)}\nfailed with exit status {process.returncode}; the end of {log}:\n'
                           f'{tail(log, 15)}')

    def run(self, command: Sequence[str], log: Path) -> None:
        """A command from its start to its end."""
        with self.running(command, log) as process:
            process.wait()

    def stop(self) -> None:
        """End all and let none begin."""
        with self._lock:
            self._stopped = True
            for process in tuple(self._running):
                process.terminate()


class Clock:
    """Seconds by what they were spent on, of all starts of a run; kept in a file."""

    def __init__(self, path: Path):
        self.path = path
        self.seconds: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}

    @contextlib.contextmanager
    def counting(self, name: str) -> Iterator[None]:
        start = time.time()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.time() - start
            with atomic_write(self.path, 'w') as file:
                json.dump(self.seconds, file)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """One process at a time in a folder; the lock falls with the process. RunError where another one has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f'{folder} is another process\'s: wait for it, or give another --work-dir.') from error
        yield


def read_options(texts: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE of a command line; ValueError for a text without '='."""
    wrong = [text for text in texts if '=' not in text]
    if wrong:
        raise ValueError(f'--cfg-options has {wrong}: each must be KEY=VALUE.')
    return dict(text.split('=', 1) for text in texts)


def option_arguments(options: dict[str, str]) -> list[str]:
    """Options as a command takes them."""
    return ['--cfg-options', *(f'{name}={value}' for name, value in options.items())] if options else []


def option_values(options: dict[str, str]) -> dict:
    """Options as `--cfg-options` reads them."""
    return {name: DictAction._parse_iterable(text) for name, text in options.items()}


def file_mark(path: str | None) -> str:
    """Hash of a file's content, or its name where it is not there."""
    if not path or not Path(path).is_file():
        return str(path)
    facts = Path(path).stat()
    return _hash_of(path, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache
def _hash_of(path: str, size: int, changed: int) -> str:
    """Of a file as large and as old as this: the weights of an expert are read once for all runs."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def versions() -> dict[str, str]:
    """Of this package (in git its commit, with '+' where files differ from it) and of what numbers depend on most."""
    known = dict(hmradapter=__version__, torch=torch.__version__, numpy=np.__version__, python=platform.python_version())
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        commit, changed = (subprocess.run(['git', *arguments], capture_output=True, text=True, check=True).stdout.strip()
                           for arguments in (('rev-parse', '--short', 'HEAD'), ('status', '--porcelain', '-uno')))
        known['commit'] = commit + ('+' if changed else '')
    return known


def machine() -> str:
    """Processor and cores, and the GPU where there is one."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = re.search(r'model name\s*: (.*)', Path('/proc/cpuinfo').read_text())
        model = found.group(1) if found else model
    gpu = f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else ''
    return f'{model}, {os.cpu_count()} cores{gpu}'


def tail(path: Path, count: int) -> str:
    """The last lines of a text file."""
    return '\n'.join(path.read_text(errors='replace').splitlines()[-count:]) if path.exists() else ''
