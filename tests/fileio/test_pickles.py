"""Round trips of what the real files hold, and refusal of everything that would run."""
import collections
import os
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

from hmradapter.fileio import DamagedFileError, UnsafeFileError, load_npz, load_object_npy, load_pickle


def sample() -> dict:
    return dict(plain=np.arange(6.).reshape(2, 3), fortran=np.asfortranarray(np.arange(12, dtype='>i4').reshape(3, 4)),
                view=np.arange(10, dtype=np.uint8)[::-2], text=np.array(['ab', 'c']), raw=np.array([b'x']),
                empty=np.zeros((0, 3)), flag=np.array([True]), zero_d=np.array(4.0),
                objects=np.array([dict(q=np.ones(2)), None], dtype=object),
                nested=[np.float32(3), (np.arange(3), {'k': np.int64(2)})], names={'s', 't'}, sex='female', none=None,
                ordered=collections.OrderedDict(a=1), grouped=collections.defaultdict(list, a=[np.ones(1)]))


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, np.ndarray) and a.dtype != object:
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple, np.ndarray)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('core', ['numpy.core', 'numpy._core'])
def test_every_protocol_and_numpy_major_reads_back(tmp_path, protocol, core):
    stream = pickle.dumps(sample(), protocol=protocol)
    if protocol < 4:  # a GLOBAL opcode names its module in plain text: write the other major's name
        stream = stream.replace(b'numpy._core.', b'numpy.core.').replace(b'numpy.core.', f'{core}.'.encode())
    (tmp_path / 'x.pkl').write_bytes(stream)
    assert_same(load_pickle(tmp_path / 'x.pkl'), sample())


def test_object_npy_and_npz(tmp_path):
    np.save(tmp_path / 'x.npy', sample())
    assert_same(load_object_npy(tmp_path / 'x.npy'), sample())
    np.save(tmp_path / 'y.npy', np.arange(4).reshape(2, 2).T)
    assert_same(load_object_npy(tmp_path / 'y.npy'), np.arange(4).reshape(2, 2).T)
    np.savez_compressed(tmp_path / 'z.npz', a=np.ones((2, 3), np.float32), parts=dict(hand=1))
    assert load_npz(tmp_path / 'z.npz')['parts'] == dict(hand=1)
    assert list(load_npz(tmp_path / 'z.npz', ['a'])) == ['a']
    with pytest.raises(KeyError, match=r"lacks the arrays \['b'\]"):
        load_npz(tmp_path / 'z.npz', ['b'])


def test_counters_are_read_but_the_class_stays_what_it_is(tmp_path):
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(collections.Counter('aab')))
    assert load_pickle(tmp_path / 'x.pkl') == collections.Counter('aab')
    most_common = collections.Counter.most_common
    slots = pickle.dumps((None, dict(most_common='mine')), protocol=2)[2:-1]
    (tmp_path / 'y.pkl').write_bytes(b'\x80\x02ccollections\nCounter\n' + slots + b'b.')
    with pytest.raises(DamagedFileError, match='tries to change'):
        load_pickle(tmp_path / 'y.pkl')
    assert collections.Counter.most_common is most_common


def test_shared_and_cyclic_references_stay_shared(tmp_path):
    array, loop = np.ones(3), []
    loop += [array, array, loop]
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(loop))
    read = load_pickle(tmp_path / 'x.pkl')
    assert read[0] is read[1] and read[2] is read


def test_python_2_pickle_of_an_array(tmp_path):
    """Written by hand as Python 2's cPickle does: raw bytes as SHORT_BINSTRING, names of Python 2 modules."""
    raw = np.array([1.5, -2.0]).tobytes()
    stream = (b'\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02tcnumpy\ndtype\n'
              b'(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U'
              + bytes([len(raw)]) + raw + b'tb.')
    (tmp_path / 'x.pkl').write_bytes(stream)
    np.testing.assert_array_equal(load_pickle(tmp_path / 'x.pkl'), [1.5, -2.0])


@pytest.fixture
def fake_module(monkeypatch):
    """Makes importable classes of packages that are not installed, so that real pickles of them can be written."""
    def make(module: str, name: str, base=object):
        parts = module.split('.')
        for part in ('.'.join(parts[:i + 1]) for i in range(len(parts))):
            if part not in sys.modules:
                monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
        cls = type(name, (base,), {'__module__': module})
        setattr(sys.modules[module], name, cls)
        return cls
    return make


@pytest.mark.parametrize('protocol', [0, 2, 4])
def test_chumpy_arrays_without_chumpy(tmp_path, fake_module, protocol):
    leaf = fake_module('chumpy.ch', 'Ch')()
    leaf.x, leaf._dirty_vars = np.arange(12.).reshape(4, 3), set()
    view = fake_module('chumpy.reordering', 'Select')()
    view.a, view.idxs, view.preferred_shape = leaf, np.array([0, 5, 2, 3]), (2, 2)
    turned = fake_module('chumpy.reordering', 'transpose')()
    turned.a, turned.axes = leaf, None
    (tmp_path / 'mano.pkl').write_bytes(pickle.dumps(dict(shapedirs=leaf, J=view, T=turned), protocol=protocol))
    read = load_pickle(tmp_path / 'mano.pkl')
    np.testing.assert_array_equal(read['shapedirs'], leaf.x)
    np.testing.assert_array_equal(read['J'], [[0, 5], [2, 3]])
    np.testing.assert_array_equal(read['T'], leaf.x.T)


def test_chumpy_expression_is_refused_by_name(tmp_path, fake_module):
    product = fake_module('chumpy.ch_ops', 'multiply')()
    product.a = product.b = 2
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(product, protocol=2))
    with pytest.raises(DamagedFileError, match='x.pkl.*chumpy.multiply is an expression'):
        load_pickle(tmp_path / 'x.pkl')


@pytest.mark.parametrize('layout', ['csc', 'csr', 'coo'])
def test_sparse_matrices_become_dense(tmp_path, layout):
    sparse = pytest.importorskip('scipy.sparse')
    dense = np.array([[0, 2., 0], [1, 0, 0]])
    for kind in ('matrix', 'array'):
        (tmp_path / 'x.pkl').write_bytes(pickle.dumps(getattr(sparse, f'{layout}_{kind}')(dense), protocol=2))
        np.testing.assert_array_equal(load_pickle(tmp_path / 'x.pkl'), dense)


def test_csc_matrix_of_scipy_0_x(tmp_path, fake_module):
    """The layout inside MANO_RIGHT.pkl (written by Python 2), made without scipy."""
    matrix = fake_module('scipy.sparse.csc', 'csc_matrix')()
    matrix.__dict__ = dict(_shape=(2, 3), maxprint=50, data=np.array([1., 2.]), indices=np.array([1, 0], np.int32),
                           indptr=np.array([0, 1, 2, 2], np.int32))
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(matrix, protocol=2))
    np.testing.assert_array_equal(load_pickle(tmp_path / 'x.pkl'), [[0, 2., 0], [1, 0, 0]])


class Attack:
    """Pickles as a call of `function(*args)`."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def attacks(marker) -> dict:
    return dict(system=Attack(os.system, f'touch {marker}'), evaluate=Attack(eval, f"open({str(marker)!r}, 'w')"),
                opening=Attack(open, str(marker), 'w'), getter=Attack(getattr, [], 'append'),
                importing=Attack(__import__, 'antigravity'),
                in_array=np.array([Attack(os.system, f'touch {marker}')], dtype=object),
                in_dict=dict(v_template=np.ones(3), extra=[(Attack(os.system, f'touch {marker}'),)]))


@pytest.mark.parametrize('kind', list(attacks('')))
@pytest.mark.parametrize('protocol', [0, 2, 5])
def test_malicious_pickles_are_refused_and_nothing_runs(tmp_path, kind, protocol):
    marker = tmp_path / 'marker'
    payload = attacks(marker)[kind]
    (tmp_path / 'evil.pkl').write_bytes(pickle.dumps(payload, protocol=protocol))
    with pytest.raises(UnsafeFileError, match='evil.pkl') as caught:
        load_pickle(tmp_path / 'evil.pkl')
    assert caught.value.name.split('.')[-1] in ('system', 'eval', 'open', 'getattr', '__import__')
    np.save(tmp_path / 'evil.npy', np.array([payload], dtype=object), allow_pickle=True)
    with pytest.raises(UnsafeFileError, match='evil.npy'):
        load_object_npy(tmp_path / 'evil.npy')
    np.savez(tmp_path / 'evil.npz', good=np.ones(2), bad=np.array([payload], dtype=object))
    with pytest.raises(UnsafeFileError, match='evil.npz'):
        load_npz(tmp_path / 'evil.npz')
    assert not marker.exists()


@pytest.mark.parametrize('stream', [
    b'\x80\x02cchumpy.ch\nCh\nN}(X\x0c\x00\x00\x00__setstate__cbuiltins\nint\nu\x86b.',     # alter a stand-in class
    b'\x80\x02cnumpy.core.multiarray\n_reconstruct\nN}(X\x09\x00\x00\x00_functioncbuiltins\nint\nu\x86b.',  # alter a function
    b'\x80\x02cnumpy.core.multiarray\n_reconstruct\ncbuiltins\nint\n)K\x00\x87R.',             # reconstruct a foreign class
    b'\x80\x02ccopyreg\n_reconstructor\ncbuiltins\nint\ncbuiltins\nobject\nN\x87R.',
])
def test_pickles_cannot_alter_what_reads_them(tmp_path, stream):
    (tmp_path / 'x.pkl').write_bytes(stream)
    with pytest.raises(DamagedFileError, match='x.pkl'):
        load_pickle(tmp_path / 'x.pkl')
    (tmp_path / 'good.pkl').write_bytes(pickle.dumps(sample()))
    assert_same(load_pickle(tmp_path / 'good.pkl'), sample())


def test_array_state_that_lies_about_its_size_is_refused(tmp_path):
    stream = pickle.dumps(np.arange(4, dtype=np.int32), protocol=2)
    lying = stream.replace(b'K\x04\x85', b'K\x7f\x85')
    assert lying != stream
    (tmp_path / 'x.pkl').write_bytes(lying)
    with pytest.raises(DamagedFileError, match=r'shape \(127,\).*16 bytes'):
        load_pickle(tmp_path / 'x.pkl')


def test_truncated_files_are_named(tmp_path):
    np.save(tmp_path / 'x.npy', np.arange(1000))
    np.savez(tmp_path / 'x.npz', a=np.arange(1000))
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(sample()))
    for name, load in (('x.npy', load_object_npy), ('x.npz', load_npz), ('x.pkl', load_pickle)):
        content = (tmp_path / name).read_bytes()
        for keep in (0, 5, len(content) // 2, len(content) - 3):
            (tmp_path / name).write_bytes(content[:keep])
            with pytest.raises(DamagedFileError, match=name):
                load(tmp_path / name)
    with zipfile.ZipFile(tmp_path / 'bad.npz', 'w') as archive:
        archive.writestr('a.npy', b'not an array')
    with pytest.raises(DamagedFileError, match='bad.npz'):
        load_npz(tmp_path / 'bad.npz')
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / 'absent.pkl')
