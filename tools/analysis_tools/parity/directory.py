"""A whole directory of fixtures, file by file."""
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .report import Row, print_report

# A file that is not there, damaged, lacks an array or a field, or has one of a shape that does not fit.
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile)


class Part(NamedTuple):
    """A file of the directory, its check, which gets the directory, and patterns of the arrays that are inputs."""
    file: str
    check: Callable[[Path], Iterable[Row]]
    inputs: Sequence[str]


def check_directory(parts: Mapping[str, Part], folder: str, only: Sequence[str] = ()) -> bool:
    """Check the named parts (all by default), print a report of each, and return whether all hold. A file that is not there or
    cannot be read does not hold, and the others are checked; an .npz that no part reads is only reported."""
    folder, verdicts = Path(folder), {}
    for name in only or parts:
        part = parts[name]
        print(f'== {part.file}')
        try:
            with np.load(folder / part.file) as data:
                names = data.files
            verdicts[name] = print_report(part.check(folder), names, part.inputs)
        except UNREADABLE as error:
            print(f'{folder / part.file} cannot be checked: {type(error).__name__}: {error}')
            verdicts[name] = False
        print()
    for path in sorted({path.name for path in folder.glob('*.npz')} - {part.file for part in parts.values()}):
        print(f'NOT CHECKED: {path} (a file that this check does not know)')
    print('holds: ' + ', '.join(name for name in verdicts if verdicts[name])
          + ''.join(f'\nDOES NOT HOLD: {name}' for name in verdicts if not verdicts[name]))
    return all(verdicts.values())
