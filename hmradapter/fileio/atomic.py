"""Files that are either complete or absent: write beside, flush to disk, rename. And the hash that identifies a file."""
import contextlib
import hashlib
import os
import uuid
from pathlib import Path

TEMP_MARK = '.partial-'  # in the name of every unfinished file; left behind only by a killed process


@contextlib.contextmanager
def atomic_write(path, mode: str = 'wb', encoding: str | None = None):
    """Open a temporary file beside `path`, and put it in place only if the block ends without an error.

    A reader, or a process killed at any moment, sees the old file or the new one, never a part. `mode` is 'wb' or 'w'.
    """
    if mode not in ('wb', 'w'):
        raise ValueError(f"mode is {mode!r}, but a file is replaced as a whole: use 'wb' or 'w'.")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f'.{path.name}{TEMP_MARK}{os.getpid()}-{uuid.uuid4().hex[:8]}')
    if mode == 'w' and encoding is None:
        encoding = 'utf-8'
    try:
        with open(temp, mode.replace('w', 'x'), encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_partial_files(folder) -> list[Path]:
    """Delete what killed writers left in `folder`; return the deleted paths. Call it where no other writer is active."""
    stale = sorted(p for p in Path(folder).glob(f'.*{TEMP_MARK}*') if p.is_file())
    for path in stale:
        path.unlink(missing_ok=True)
    return stale


def sha256_file(path) -> str:
    """Hex sha256 of a file's bytes, read in 1 MiB pieces."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename durable. Some network file systems refuse fsync of a folder; the rename is atomic there all the same."""
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)
