"""What counts as a number: records hold float32, and a damaged file may well say 1e200."""
import numpy as np


def finite_rows(*fields: np.ndarray) -> np.ndarray:
    """Which rows (N,) of fields (N, ...) are finite as float32."""
    with np.errstate(over='ignore'):
        finite = [np.isfinite(field.astype(np.float32)).all(axis=tuple(range(1, field.ndim))) for field in fields]
    return np.stack(finite).all(0)
