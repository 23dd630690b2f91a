"""Inert objects that a restricted unpickler builds in place of real ones, and their conversion to plain arrays.

A pickle may call what it names, so it is only given these: they store their arguments and state, and `finish` turns a
complete tree of them into ndarrays afterwards, with every length, shape and dtype checked in between.
"""
import collections
import re

import numpy as np

_DTYPE = re.compile(r'[<>|=]?[biufcSUO]\d*')
_MAX_DENSE_BYTES = 8 << 30  # a sparse matrix beyond this would be a bomb; SMPL-X's largest regressor is 5 MB dense


class _Sealed(type):
    """Classes whose attributes a pickle cannot overwrite (its BUILD opcode may call setattr on anything it holds)."""

    def __setattr__(cls, name, value):
        raise ValueError(f'a pickle tries to change {cls.__name__}.{name}')


class Pending(metaclass=_Sealed):
    """Keeps constructor arguments and state; runs nothing."""
    __slots__ = ('args', 'state')

    def __new__(cls, *args, **kwargs):
        self = object.__new__(cls)
        self.args, self.state = args, None
        return self

    def __setstate__(self, state):
        self.state = state


class PendingDtype(Pending):
    """numpy.dtype(spec, align, copy) with state (version, byteorder, subdtype, names, fields, ...)."""
    __slots__ = ()

    def finish(self, _) -> np.dtype:
        spec = as_text(self.args[0])
        if not _DTYPE.fullmatch(spec):
            raise ValueError(f'dtype {spec!r} is not a plain numeric, string or object type')
        dtype = np.dtype(spec)
        if self.state is not None:
            if any(field is not None for field in self.state[2:5]):
                raise ValueError('structured dtypes are not supported')
            dtype = dtype.newbyteorder(as_text(self.state[1]))
        return dtype


class PendingArray(Pending):
    """numpy.ndarray with state (version, shape, dtype, is_fortran, bytes or list of objects)."""
    __slots__ = ()

    def finish(self, walk) -> np.ndarray:
        if self.state is None:
            raise ValueError('an array without content')
        shape, dtype, fortran, data = self.state[-4:]
        return build_array(data, dtype.finish(walk), tuple(shape), 'F' if fortran else 'C', walk)


class PendingSparse(Pending):
    """scipy.sparse csc, csr or coo matrix, turned dense: model files hold small ones only, and scipy is not needed."""
    __slots__ = ()
    layout = ''

    def finish(self, walk) -> np.ndarray:
        fields = walk(dict(self.state))
        rows, columns = map(int, fields['_shape'] if '_shape' in fields else fields['shape'])
        data = np.asarray(fields['data'])
        if rows < 0 or columns < 0 or rows * columns * data.itemsize > _MAX_DENSE_BYTES:
            raise ValueError(f'a sparse matrix of {rows} x {columns} is beyond {_MAX_DENSE_BYTES >> 30} GB when dense')
        if self.layout == 'coo':
            row, column = fields['coords'] if 'coords' in fields else (fields['row'], fields['col'])
        else:
            starts = np.asarray(fields['indptr'])
            major = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
            row, column = (major, fields['indices']) if self.layout == 'csr' else (fields['indices'], major)
        if len(data) and (np.min(row) < 0 or np.min(column) < 0):
            raise ValueError('a sparse matrix with negative indices')
        dense = np.zeros((rows, columns), data.dtype)
        np.add.at(dense, (row, column), data)
        return dense


class PendingChumpy(Pending):
    """A chumpy object: a leaf `Ch` holds its value in `x`, the reordering views point at another object in `a`."""
    __slots__ = ()
    kind = ''

    def finish(self, walk) -> np.ndarray:
        fields = dict(self.state)
        if self.kind == 'Ch':
            return np.asarray(walk(fields['x']))
        if self.kind == 'Select':
            chosen = np.asarray(walk(fields['a'])).ravel()[walk(fields['idxs'])]
            return chosen.reshape(walk(fields['preferred_shape'])) if 'preferred_shape' in fields else chosen
        if self.kind == 'Reshape':
            return np.asarray(walk(fields['a'])).reshape(walk(fields['newshape']))
        if self.kind == 'transpose':
            return np.ascontiguousarray(np.asarray(walk(fields['a'])).transpose(walk(fields.get('axes'))))
        raise ValueError(f'chumpy.{self.kind} is an expression, not a stored array; evaluate it with chumpy and save again')


class PendingConfig(Pending):
    """Any object of a configuration library: swallows whatever the pickle gives it and is thrown away."""
    __slots__ = ()

    def __setitem__(self, key, value):
        """Content of a dict-like config: not kept."""

    def extend(self, items):
        """Content of a list-like config: not kept."""

    append = add = extend


def build_array(data, dtype: np.dtype, shape: tuple, order: str, walk) -> np.ndarray:
    """Array from raw bytes (text where Python 2 wrote them) or, for object dtype, from a list of as many objects."""
    count = int(np.prod(shape, dtype=object)) if shape else 1
    if dtype.hasobject:
        if type(data) is not list or len(data) != count:
            raise ValueError(f'an object array of shape {shape} does not come with {count} objects')
        flat = np.empty(count, object)
        for i, item in enumerate(data):
            flat[i] = walk(item)
        return flat.reshape(shape, order=order)
    raw = data.encode('latin1') if isinstance(data, str) else bytes(data)
    if len(raw) != count * dtype.itemsize:
        raise ValueError(f'an array of shape {shape} and dtype {dtype} comes with {len(raw)} bytes')
    if dtype.itemsize == 0:  # '' arrays: frombuffer refuses an item size of 0
        return np.zeros(shape, dtype)
    return np.frombuffer(raw, dtype).reshape(shape, order=order).copy(order='K')


def as_text(value) -> str:
    """str from the str or bytes that differing pickle protocols hold."""
    return value.decode('latin1') if isinstance(value, bytes) else str(value)


_CONTAINERS = (Pending, list, tuple, dict, set, frozenset, collections.deque)


def finish(tree):
    """Replace every Pending in nested containers by the array that it stands for; containers are changed in place."""
    done = {}  # id -> (original kept alive, result): shared and cyclic references stay shared

    def walk(item):
        if id(item) in done:
            return done[id(item)][1]
        if isinstance(item, PendingConfig) or not isinstance(item, _CONTAINERS):
            return item
        if isinstance(item, Pending):
            result = item.finish(walk)
        elif isinstance(item, (tuple, set, frozenset)):
            result = type(item)(walk(x) for x in item)
        else:
            done[id(item)] = (item, item)
            for key in list(item) if isinstance(item, dict) else range(len(item)):
                item[key] = walk(item[key])
            return item
        done[id(item)] = (item, result)
        return result

    return walk(tree)
