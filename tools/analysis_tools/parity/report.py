"""Rows of a parity check and the table that is printed. A row is (array, max abs error, tolerance)."""
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """One comparison. `name` is the array's, followed by '[i]' or ' note' where a part of it or one property was compared."""
    name: str
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the error is within tolerance; NaN is not."""
        return self.error <= self.tolerance

    @property
    def verdict(self) -> str:
        """'ok', 'BEYOND', or 'differs' for a documented difference, which has no limit and proves nothing."""
        return ('differs' if self.tolerance == float('inf') else 'ok') if self.holds else 'BEYOND'


def compare(name: str, value, expected, atol: float = 0.0, rtol: float = 0.0) -> Row:
    """Row for two arrays; the tolerance is atol + rtol * max |expected|. A differing shape is an infinite error."""
    value, expected = _as_float64(value), _as_float64(expected)
    tolerance = atol + (rtol * float(np.abs(expected).max()) if expected.size else 0.0)
    if value.shape != expected.shape:
        return Row(f'{name} has shape {value.shape} instead of {expected.shape}', float('inf'), tolerance)
    return Row(name, float(np.abs(value - expected).max()) if expected.size else 0.0, tolerance)


def print_report(rows: Iterable[Sequence], names: Iterable[str], inputs: Sequence[str],
                 must_check: Sequence[str] = ('*',)) -> bool:
    """Print every row, then the inputs, then what nobody looked at; return whether parity holds.

    Args:
        rows: comparisons, see `Row`.
        names: all arrays of the fixture.
        inputs: patterns of arrays that are read, not compared.
        must_check: patterns of outputs; such an array without a row is a failure, any other is only reported.
    """
    rows = [Row(*row) for row in rows]
    width = max([len(row.name) for row in rows] + [20])
    print(f'{"array":{width}}  {"max error":>10}  {"tolerance":>10}  verdict')
    for row in rows:
        print(f'{row.name:{width}}  {row.error:10.2e}  {row.tolerance:10.2e}  {row.verdict}')
    compared = {re.split(r'[\[ ]', row.name, maxsplit=1)[0] for row in rows}
    rest = [name for name in names if name not in compared]
    read = [name for name in rest if _matches(name, inputs)]
    unknown = [name for name in rest if name not in read]
    unchecked = [name for name in unknown if _matches(name, must_check)]
    if read:
        print('inputs: ' + ', '.join(read))
    for name in unknown:
        print(f'NOT CHECKED: {name} ({"an output" if name in unchecked else "an array"} that this check does not know)')
    beyond = [row for row in rows if not row.holds]
    closest = max(rows, key=lambda row: row.error / row.tolerance if row.tolerance else row.error, default=None)
    documented = sum(row.verdict == 'differs' for row in rows)
    print(f'{len(rows)} comparisons, {len(beyond)} beyond tolerance, {len(unknown)} arrays not checked'
          + (f', {documented} documented differences' if documented else '')
          + (f'; nearest to its limit: {closest.name} ({closest.error:.1e} of {closest.tolerance:.1e})' if closest else ''))
    return bool(rows) and not beyond and not unchecked


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _as_float64(value) -> np.ndarray:
    if hasattr(value, 'detach'):
        value = value.detach().cpu().numpy()
    return np.asarray(value, dtype=np.float64)
