"""The names, beside torch's own, that a training checkpoint may hold: MMEngine's log history and the numpy arrays in it.

MMEngine 0.10.7 saves them and torch >= 2.6 refuses them, so resuming fails there. What torch's allow-list maps each name
to is a checked stand-in: neither numpy's own unpickling (dtype flags can corrupt memory) nor `getattr` is ever reached.
"""
import contextlib
import inspect

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from hmradapter.fileio.pending import PendingDtype, build_array


def _named(part, module: str, name: str):
    """`part`, a function or class, under the name that a pickle gives: torch < 2.6 derives names from these attributes."""
    if isinstance(part, type):
        return type(part)(name, (part,), {'__module__': module, '__qualname__': name})

    def stand_in(*args):
        return part(*args)
    stand_in.__module__, stand_in.__name__, stand_in.__qualname__ = module, name, name
    return stand_in


class _CheckedArray(np.ndarray):
    """An ndarray that takes its pickled state only after a check, and pickles as a plain ndarray."""

    def __setstate__(self, state):
        shape, dtype, fortran, raw = state[-4:]
        dtype = dtype.finish(None)
        if dtype.hasobject:
            raise ValueError('an array of Python objects in a checkpoint')
        array = build_array(raw, dtype, tuple(shape), 'F' if fortran else 'C', None)
        super().__setstate__((1, array.shape, array.dtype, False, array.tobytes()))

    def __reduce_ex__(self, protocol):
        return np.asarray(self).__reduce_ex__(protocol)


_NDARRAY = _named(_CheckedArray, 'numpy', 'ndarray')
_DTYPE = _named(PendingDtype, 'numpy', 'dtype')


def _reconstruct(subtype, shape, code):
    if subtype is not _NDARRAY:
        raise ValueError('numpy _reconstruct of something that is not an ndarray')
    return np.ndarray.__new__(_NDARRAY, (0,))


def _scalar(dtype, raw):
    return build_array(raw, dtype.finish(None), (), 'C', None)[()]


def _encode(text, encoding='latin1'):
    """The `_codecs.encode` by which torch's pickles of protocol 2 write bytes; torch 2.4 does not allow it by itself."""
    if encoding != 'latin1':
        raise ValueError(f'_codecs.encode with {encoding!r}')
    return text.encode('latin1')


def _history_method(owner, name):
    """The `getattr(HistoryBuffer, 'mean')` by which a HistoryBuffer pickles its statistics, and nothing else."""
    if owner is not HistoryBuffer or str(name).startswith('_') or not inspect.isfunction(getattr(owner, name, None)):
        raise ValueError(f'getattr of {name!r} on {owner!r}')
    return getattr(owner, name)


CHECKPOINT_GLOBALS = (
    HistoryBuffer, _NDARRAY, _DTYPE, _named(_encode, '_codecs', 'encode'),
    *(_named(_history_method, module, 'getattr') for module in ('builtins', '__builtin__')),
    *(_named(function, f'{core}.multiarray', name) for core in ('numpy.core', 'numpy._core')
      for function, name in ((_reconstruct, '_reconstruct'), (_scalar, 'scalar'))))


@contextlib.contextmanager
def checkpoint_globals():
    """Within the block, `torch.load(weights_only=True)` knows `CHECKPOINT_GLOBALS`; other allow-lists stay as they are."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals(list(CHECKPOINT_GLOBALS))
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
