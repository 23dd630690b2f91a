"""Pickles read without running them: numpy arrays, scipy.sparse and chumpy arrays (both become ndarrays) and plain containers.

The formats behind it: MANO and SMPL-X `.pkl` (Python 2, chumpy), dataset annotations (`.pkl`, object `.npy`).
"""
import collections
import contextlib
import pickle
import zipfile
from collections.abc import Iterator

import numpy as np

from hmradapter.fileio.errors import DamagedFileError, UnsafeFileError
from hmradapter.fileio.pending import (
    Pending,
    PendingArray,
    PendingChumpy,
    PendingDtype,
    PendingSparse,
    as_text,
    build_array,
    finish,
)

ALLOWED = 'plain Python containers, numpy arrays, scipy.sparse matrices, chumpy arrays'
_BUILTINS = dict(set=set, frozenset=frozenset, complex=complex, bytearray=bytearray, list=list, tuple=tuple, dict=dict,
                 int=int, long=int, float=float, bool=bool, str=str, unicode=str, bytes=bytes, object=object, slice=slice,
                 range=range, xrange=range)
_SPARSE = {f'{layout}_{kind}': layout for layout in ('csc', 'csr', 'coo') for kind in ('matrix', 'array')}


class Constructor:
    """A function that a pickle may call but not alter."""
    __slots__ = ('_function',)

    def __init__(self, function):
        object.__setattr__(self, '_function', function)

    def __call__(self, *args):
        return self._function(*args)

    def __setattr__(self, name, value):
        raise ValueError(f'a pickle tries to change {self._function.__name__}.{name}')

    def __setstate__(self, state):
        raise ValueError(f'a pickle tries to change {self._function.__name__}')


def _reconstruct(subtype, shape, dtype):
    if subtype is not PendingArray:
        raise ValueError('numpy _reconstruct of something that is not an ndarray')
    return PendingArray()


def _scalar(dtype, raw):
    dtype = dtype.finish(None)
    if dtype.hasobject:
        raise ValueError('a numpy scalar of object dtype')
    return build_array(raw, dtype, (), 'C', None)[()]


def _frombuffer(raw, dtype, shape, order):
    array = PendingArray()
    array.state = (1, shape, dtype, order == 'F', bytes(raw))
    return array


def _reconstructor(cls, base, state):
    if not (isinstance(cls, type) and issubclass(cls, Pending)) or base is not object:
        raise ValueError('copyreg._reconstructor of a class that is not on the allow-list')
    return cls()


def _encode(text, encoding='utf-8', *_):
    if as_text(encoding) not in ('latin1', 'latin-1'):
        raise ValueError(f'_codecs.encode with {encoding!r}: pickles use latin1 only')
    return text.encode('latin1')


def _plain_globals() -> dict:
    found = {(module, name): value for module in ('builtins', '__builtin__') for name, value in _BUILTINS.items()}
    for name in ('OrderedDict', 'defaultdict', 'deque'):  # built in, so that a pickle cannot alter the class
        found['collections', name] = getattr(collections, name)
    found['collections', 'Counter'] = Constructor(collections.Counter)
    for core in ('numpy.core', 'numpy._core'):  # numpy 1 and numpy 2
        found[f'{core}.multiarray', '_reconstruct'] = Constructor(_reconstruct)
        found[f'{core}.multiarray', 'scalar'] = Constructor(_scalar)
        found[f'{core}.numeric', '_frombuffer'] = Constructor(_frombuffer)
    found['numpy', 'ndarray'] = PendingArray
    found['numpy', 'dtype'] = PendingDtype
    found['copy_reg', '_reconstructor'] = found['copyreg', '_reconstructor'] = Constructor(_reconstructor)
    found['_codecs', 'encode'] = Constructor(_encode)
    return found


class RestrictedUnpickler(pickle.Unpickler):
    """Resolves a name to a harmless stand-in or refuses it; subclasses add names in `extra_globals`."""
    plain_globals = _plain_globals()
    allowed = ALLOWED

    def __init__(self, file, path):
        # latin1: numpy bytes and strings of Python-2 pickles; Python 3 writes no opcode that this touches
        super().__init__(file, encoding='latin1')
        self.path = path

    def find_class(self, module, name):
        if (module, name) in self.plain_globals:
            return self.plain_globals[module, name]
        stand_in = self.stand_in(module, name)
        if stand_in is None:
            raise UnsafeFileError(self.path, f'{module}.{name}', self.allowed)
        return stand_in

    def stand_in(self, module: str, name: str):
        """A Pending class for `module.name`, or None where it is refused."""
        if module.split('.')[0] == 'chumpy' and name.isidentifier():
            return type(name, (PendingChumpy,), dict(kind=name, __slots__=()))
        if module.startswith('scipy.sparse') and name in _SPARSE:
            return type(name, (PendingSparse,), dict(layout=_SPARSE[name], __slots__=()))
        return None


def unpickle(file, path, expected: str = 'a pickle', unpickler=RestrictedUnpickler):
    """Read one pickle from an open binary file; `path` is what errors name."""
    try:
        return finish(unpickler(file, path).load())
    except UnsafeFileError:
        raise
    except Exception as error:  # a hostile or cut-off stream can raise anything while it is parsed
        raise DamagedFileError(path, expected, error) from error


def load_pickle(path):
    """Content of a `.pkl`; numpy, scipy.sparse (dense) and chumpy arrays are ndarrays; anything else is an UnsafeFileError."""
    with open(path, 'rb') as file:
        return unpickle(file, path)


def load_object_npy(path):
    """Content of a `.npy`: an ndarray, or the object itself where a 0-d object array wraps one (ARCTIC's raw_seqs)."""
    with open(path, 'rb') as file:
        return read_npy(file, path)


def npz_names(path) -> list[str]:
    """Names of the arrays of a `.npz`, none of which is read."""
    with _opened_npz(path) as archive:
        return [name[:-4] for name in archive.namelist() if name.endswith('.npy')]


def load_npz(path, names=None) -> dict:
    """Arrays of a `.npz` by name (all, or just `names`), object arrays included, as `load_object_npy` gives them."""
    stored = npz_names(path)
    missing = sorted(set(names or ()) - set(stored))
    if missing:
        raise KeyError(f'{path} lacks the arrays {missing}; it has {sorted(stored)}.')
    content = {}
    with _opened_npz(path) as archive:
        for name in stored if names is None else names:
            with archive.open(f'{name}.npy') as file:
                content[name] = read_npy(file, path)
                while file.read(1 << 20):  # to its end, where the archive's checksum is compared
                    pass
    return content


@contextlib.contextmanager
def _opened_npz(path) -> Iterator[zipfile.ZipFile]:
    with open(path, 'rb') as file:  # a missing file is said as such
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except (UnsafeFileError, DamagedFileError):
            raise
        except Exception as error:  # damaged bytes of a directory or of deflated data raise many kinds
            raise DamagedFileError(path, 'an .npz archive', error) from error


def read_npy(file, path):
    """One `.npy` stream; see `load_object_npy`."""
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(file)
        if not dtype.hasobject:
            return _read_plain(file, shape, fortran, dtype)
    except Exception as error:  # numpy's header parser raises many kinds on damaged bytes
        raise DamagedFileError(path, 'an .npy file', error) from error
    content = unpickle(file, path, 'an .npy file of objects')
    if not isinstance(content, np.ndarray) or content.shape != shape:
        raise DamagedFileError(path, 'an .npy file of objects', f'its header says shape {shape}, its content differs')
    return content[()] if shape == () else content


def _read_plain(file, shape, fortran, dtype) -> np.ndarray:
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize if shape else dtype.itemsize
    raw = bytearray(size)
    view, got = memoryview(raw), 0
    while got < size:
        read = file.readinto(view[got:])
        if not read:
            raise EOFError(f'{got} of {size} bytes of an array of shape {shape} and dtype {dtype}')
        got += read
    return np.ndarray(shape, dtype, raw, order='F' if fortran else 'C')


