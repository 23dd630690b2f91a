"""Torch, Lightning and safetensors files: what is read, what is refused, and that nothing runs."""
import os
import pathlib
import pickle
import sys
import tarfile
import types
import typing
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch.testing import assert_close

from hmradapter.fileio import (
    DamagedFileError,
    UnsafeFileError,
    load_lightning_state,
    load_torch,
    read_safetensors,
    write_safetensors,
)
from hmradapter.fileio.checkpoint_globals import CHECKPOINT_GLOBALS


class Attack:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}',)


def state() -> OrderedDict:
    base = torch.arange(12.).reshape(3, 4)
    return OrderedDict(weight=base, view=base.t()[1:], half=torch.ones(2, dtype=torch.bfloat16), flag=torch.tensor(True),
                       empty=torch.zeros(0, 3), count=torch.tensor([3]), parameter=torch.nn.Parameter(torch.ones(2)))


def fake_class(monkeypatch, module, name, base=object, **body):
    for i in range(1, len(module.split('.')) + 1):
        part = '.'.join(module.split('.')[:i])
        if part not in sys.modules:
            monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    cls = type(name, (base,), {'__module__': module, **body})
    setattr(sys.modules[module], name, cls)
    return cls


@pytest.mark.parametrize('zipped', [True, False])
def test_checkpoints_of_tensors_and_log_history_load(tmp_path, zipped):
    history = HistoryBuffer([1., 2.], [1, 1])
    torch.save(dict(state_dict=state(), history=history, scalar=np.float64(2), array=np.arange(3)), tmp_path / 'x.pth',
               _use_new_zipfile_serialization=zipped)
    read = load_torch(tmp_path / 'x.pth')
    assert_close(read['state_dict']['view'], state()['view'])
    assert read['history'].mean() == 1.5 and read['scalar'] == 2


def test_allowed_names_are_what_torch_2_4_derives_from_the_functions():
    names = {f'{part.__module__}.{part.__name__}' for part in CHECKPOINT_GLOBALS}
    numpy_names = {f'{core}.multiarray.{name}' for core in ('numpy.core', 'numpy._core') for name in ('_reconstruct', 'scalar')}
    assert names == numpy_names | {'numpy.ndarray', 'numpy.dtype', '_codecs.encode', 'builtins.getattr', '__builtin__.getattr',
                                   'mmengine.logging.history_buffer.HistoryBuffer'}


@pytest.mark.parametrize('call', [(getattr, torch.Tensor, 'numpy'), (getattr, HistoryBuffer, '__init__'),
                                  (getattr, HistoryBuffer, '_statistics_methods')])
def test_getattr_gives_the_statistics_of_a_history_and_nothing_else(tmp_path, call):
    class Call:
        def __reduce__(self):
            return call[0], call[1:]
    torch.save(Call(), tmp_path / 'x.pt')
    with pytest.raises((UnsafeFileError, DamagedFileError), match='x.pt'):
        load_torch(tmp_path / 'x.pt')


def test_arrays_of_a_checkpoint_are_checked_and_pickle_as_plain_ones(tmp_path):
    torch.save(np.arange(3), tmp_path / 'x.pt')
    read = load_torch(tmp_path / 'x.pt')
    assert isinstance(read, np.ndarray) and read.tolist() == [0, 1, 2]
    assert type(pickle.loads(pickle.dumps(read))) is np.ndarray


def test_lightning_checkpoint_with_configs(tmp_path, monkeypatch):
    """As in real ones: yacs' dict subclass, omegaconf's nodes with `typing` in their metadata, a path."""
    node = fake_class(monkeypatch, 'yacs.config', 'CfgNode', dict)(MODEL=dict(IMAGE_SIZE=256))
    node.__dict__['__immutable__'] = False
    config = fake_class(monkeypatch, 'omegaconf.dictconfig', 'DictConfig')()
    config._content = {'lr': 1e-5}
    config._metadata = fake_class(monkeypatch, 'omegaconf.base', 'ContainerMetadata')()
    config._metadata.ref_type, config._metadata.element_type = typing.Any, typing.Optional[int]  # noqa: UP045
    config._metadata.groups = defaultdict(dict)
    hyper_parameters = dict(cfg=node, hydra=config, out=pathlib.PurePosixPath('/a'))
    torch.save(dict(state_dict=state(), epoch=3, hyper_parameters=hyper_parameters),
               tmp_path / 'hamer.ckpt')
    with pytest.raises(UnsafeFileError, match='hamer.ckpt'):
        load_torch(tmp_path / 'hamer.ckpt')
    for name in ('yacs', 'yacs.config', 'omegaconf', 'omegaconf.base', 'omegaconf.dictconfig'):
        monkeypatch.delitem(sys.modules, name)
    read = load_lightning_state(tmp_path / 'hamer.ckpt')
    assert list(read) == list(state())
    for name, tensor in state().items():
        assert read[name].dtype == tensor.dtype
        assert_close(read[name], tensor.detach())
    assert read['weight'].untyped_storage().data_ptr() == read['view'].untyped_storage().data_ptr()


def test_plain_files_load_as_lightning_state_too(tmp_path):
    torch.save(state(), tmp_path / 'a.pt')
    torch.save(state(), tmp_path / 'b.pt', _use_new_zipfile_serialization=False)
    assert list(load_lightning_state(tmp_path / 'a.pt')) == list(load_lightning_state(tmp_path / 'b.pt')) == list(state())
    torch.save(dict(epoch=3), tmp_path / 'c.pt')
    with pytest.raises(DamagedFileError, match=r"c.pt.*no state_dict of tensors, but \['epoch'\]"):
        load_lightning_state(tmp_path / 'c.pt')


@pytest.mark.parametrize('loader', [load_torch, load_lightning_state])
@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('place', ['top', 'hyper_parameters', 'object array'])
def test_malicious_torch_files_are_refused_and_nothing_runs(tmp_path, loader, zipped, place):
    marker = tmp_path / 'marker'
    attack = Attack(marker)
    content = {'top': attack, 'hyper_parameters': dict(state_dict=state(), hyper_parameters=[attack]),
               'object array': dict(state_dict=dict(a=np.array([attack], dtype=object)))}[place]
    torch.save(content, tmp_path / 'evil.pt', _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsafeFileError, match=r'evil.pt.*(system|ObjectDType)'):
        loader(tmp_path / 'evil.pt')
    (tmp_path / 'raw.pt').write_bytes(pickle.dumps(content))
    with pytest.raises((UnsafeFileError, DamagedFileError), match='raw.pt'):
        loader(tmp_path / 'raw.pt')
    assert not marker.exists()


def test_a_class_that_only_poses_as_config_is_refused(tmp_path, monkeypatch):
    torch.save(dict(state_dict=state(), x=fake_class(monkeypatch, 'omegaconfig', 'DictConfig')()), tmp_path / 'x.ckpt')
    with pytest.raises(UnsafeFileError, match='omegaconfig.DictConfig'):
        load_lightning_state(tmp_path / 'x.ckpt')


def test_legacy_tar_is_refused_before_torch_sees_it(tmp_path):
    with tarfile.open(tmp_path / 'x.pt', 'w') as archive:
        (tmp_path / 'storages').write_bytes(pickle.dumps(Attack(tmp_path / 'marker')))
        archive.add(tmp_path / 'storages', 'storages')
    with pytest.raises(UnsafeFileError, match='legacy .tar'):
        load_torch(tmp_path / 'x.pt')
    assert not (tmp_path / 'marker').exists()


def test_truncated_files_are_named(tmp_path):
    torch.save(state(), tmp_path / 'x.pt')
    torch.save(state(), tmp_path / 'old.pt', _use_new_zipfile_serialization=False)
    write_safetensors(tmp_path / 'x.safetensors', dict(a=torch.ones(100)))
    for name, load in (('x.pt', load_torch), ('x.pt', load_lightning_state), ('old.pt', load_torch),
                       ('x.safetensors', read_safetensors)):
        content = (tmp_path / name).read_bytes()
        for keep in (0, 7, len(content) // 2, len(content) - 9):
            (tmp_path / 'cut').mkdir(exist_ok=True)
            (tmp_path / 'cut' / name).write_bytes(content[:keep])
            with pytest.raises((DamagedFileError, UnsafeFileError), match=name):
                load(tmp_path / 'cut' / name)
        with pytest.raises(FileNotFoundError):
            load(tmp_path / 'absent')


def test_safetensors_round_trip(tmp_path):
    tensors = dict(a=torch.arange(6).reshape(2, 3).t(), b=torch.ones(2, dtype=torch.bfloat16))
    write_safetensors(tmp_path / 'x.safetensors', tensors, dict(base='f00'))
    read, metadata = read_safetensors(tmp_path / 'x.safetensors')
    assert metadata == dict(base='f00')
    for name in tensors:
        assert_close(read[name], tensors[name])
    with pytest.raises(ValueError, match='str to str'):
        write_safetensors(tmp_path / 'y.safetensors', tensors, dict(epoch=3))
