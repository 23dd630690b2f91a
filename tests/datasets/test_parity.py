"""HaMeR's crops and data items against the reference's arrays."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / 'tools' / 'analysis_tools'))


@pytest.mark.parametrize('name', ['crop', 'dataset'])
def test_hamer_data_parity(name, parity_file):
    from parity.hamer_dataset import check
    rows = check(parity_file(f'hamer/{name}.npz'))
    beyond = [f'{array}: {error:.3g} > {tolerance:.3g}' for array, error, tolerance in rows if error > tolerance]
    assert len(rows) > 50 and not beyond, beyond
