"""A whole directory of fixtures, file by file."""
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .report import Row, print_report


class Part(NamedTuple):
    """A file of the directory, its check, which gets the directory, and patterns of the arrays that are inputs."""
    file: str
    check: Callable[[Path], Iterable[Row]]
    inputs: Sequence[str]


def check_directory(parts: Mapping[str, Part], folder: str, only: Sequence[str] = ()) -> bool:
    """Check the named parts (all by default), print a report of each, and return whether all hold. A file that is not there
    does not hold; an .npz that no part reads is only reported."""
    folder, verdicts = Path(folder), {}
    for name in only or parts:
        part = parts[name]
        print(f'== {part.file}')
        if not (folder / part.file).exists():
            print(f'{folder / part.file} is not there\n')
            verdicts[name] = False
            continue
        with np.load(folder / part.file) as data:
            names = data.files
        verdicts[name] = print_report(part.check(folder), names, part.inputs)
        print()
    for path in sorted({path.name for path in folder.glob('*.npz')} - {part.file for part in parts.values()}):
        print(f'NOT CHECKED: {path} (a file that this check does not know)')
    print('holds: ' + ', '.join(name for name in verdicts if verdicts[name])
          + ''.join(f'\nDOES NOT HOLD: {name}' for name in verdicts if not verdicts[name]))
    return all(verdicts.values())
