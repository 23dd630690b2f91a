"""What a source gives for one unit, and digests of the large files it was read from."""
import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..record import check_records

EXAMPLES = 5           # names kept for each reason something was dropped
SAMPLED_BYTES = 1 << 16


@dataclass
class Part:
    """What one unit gives: records, their keys, images, and what was left out and why.

    An image is a file of its own: `length` is -1 and `offset` its row in `paths`; or it lies in a tar: `shard` is the tar's
    row in `tars`, `offset` and `length` the bytes of the encoded image in it. Both tables are relative to the image root.

    `dropped` and `unlabelled` count by reason: rows that are not in `records`, and rows that are but lack a label that they
    should have. `vertices` gives true meshes (n, V, 3) float32, metres, camera frame, a few at a time, in the order of the
    records: their `verts_row` counts from 0.
    """
    records: np.ndarray
    keys: list[str]
    paths: list[str]
    dropped: Counter = field(default_factory=Counter)
    unlabelled: Counter = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    vertices: Iterable[np.ndarray] = ()
    tars: list[str] = field(default_factory=list)

    def drop(self, reason: str, name: str, count: int = 1) -> None:
        """Count something that is left out; the first few names are kept."""
        self._note(self.dropped, reason, name, count)

    def lacks(self, reason: str, name: str, count: int = 1) -> None:
        """Count something that stays without a label."""
        self._note(self.unlabelled, reason, name, count)

    def _note(self, counter: Counter, reason: str, name: str, count: int) -> None:
        if count:
            counter[reason] += count
            names = self.examples.setdefault(reason, [])
            if len(names) < EXAMPLES:
                names.append(name)


def check_part(part: Part) -> None:
    """What must hold before a part is written: `check_records`, a key of its own for each record, and references that lead to
    something.

    Raises:
        ValueError: names the first record that breaks a rule.
    """
    records, count = part.records, len(part.records)
    check_records(records)
    if len(part.keys) != count:
        raise ValueError(f'{len(part.keys)} keys for {count} records: give one for each.')
    twice = [key for key, times in Counter(part.keys).items() if times > 1]
    if twice:
        raise ValueError(f'the key {twice[0]!r} belongs to {part.keys.count(twice[0])} records: it must be of one only.')
    alone = records['length'] == -1
    for where, name, table, what in ((alone, 'offset', part.paths, 'paths'), (~alone, 'shard', part.tars, 'tars')):
        bad = where & ((records[name] < 0) | (records[name] >= len(table)))
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(f'record {row} has {name} {records[name][row]}, but there are {len(table)} {what}.')
    bad = ~alone & ((records['length'] < 1) | (records['offset'] < 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f'record {row} has the byte range {records["offset"][row]}, {records["length"][row]} in its tar.')
    rows = records['verts_row'][records['verts_row'] >= 0]
    if (rows != np.arange(len(rows))).any():
        raise ValueError(f'verts_row of the records must count 0, 1, 2, ... in their order, but starts {rows[:5].tolist()}.')


def sampled_digest(root: Path, paths: Iterable[Path]) -> str:
    """What large files say of themselves, for `about`: path under the root, size and three samples of the bytes of each."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.relative_to(root).as_posix().encode())
        if path.exists():
            with open(path, 'rb') as file:
                size = file.seek(0, 2)
                digest.update(str(size).encode())
                for start in (0, size // 2, max(0, size - SAMPLED_BYTES)):
                    file.seek(start)
                    digest.update(file.read(SAMPLED_BYTES))
    return digest.hexdigest()
