"""Torch files with `weights_only` on, always; and Lightning checkpoints whose pickled config is swallowed, not built."""
import pickle
import re
import tarfile
import zipfile

import torch

from hmradapter.fileio.checkpoint_globals import checkpoint_globals
from hmradapter.fileio.errors import DamagedFileError, UnsafeFileError
from hmradapter.fileio.pending import Pending, PendingConfig
from hmradapter.fileio.pickles import Constructor, RestrictedUnpickler, unpickle

ALLOWED = "tensors, plain containers, numpy arrays, and MMEngine's HistoryBuffer"
# torch says: GLOBAL posix.system was not; unrecognized function <built-in function x>; but got <class 'x'>
_REFUSED = re.compile(r"(?:GLOBAL |unrecognized function <[\w-]+ (?:function )?|but got <class ')([\w.]+)")
_CONFIG_PREFIXES = ('omegaconf', 'yacs', 'hydra', 'typing', 'pathlib', 'argparse', 'lightning', 'pytorch_lightning',
                    'lightning_fabric', 'lightning_utilities')
# what objects of typing and hydra pickle as
_CONFIG_GLOBALS = {('operator', 'getitem'), ('_operator', 'getitem'), ('functools', 'partial'),
                   ('builtins', 'type'), ('__builtin__', 'type')}
_STORAGES = dict(FloatStorage=torch.float32, DoubleStorage=torch.float64, HalfStorage=torch.float16,
                 BFloat16Storage=torch.bfloat16, LongStorage=torch.int64, IntStorage=torch.int32, ShortStorage=torch.int16,
                 CharStorage=torch.int8, ByteStorage=torch.uint8, BoolStorage=torch.bool)


def load_torch(path, map_location='cpu', mapped: bool = False):
    """`torch.load(weights_only=True)` with the allow-list of `checkpoint_globals`; errors name file and refused global.

    With `mapped`, tensors stay in the file until they are read, where it allows that: what is not asked for (an optimizer's
    state, twice the weights) then costs no memory."""
    with open(path, 'rb') as file:  # a missing file is said as such, not as a damaged one
        file.read(1)
    if not zipfile.is_zipfile(path) and tarfile.is_tarfile(path):
        # torch < 2.6 runs pickles of this oldest format even under weights_only (CVE-2025-32434)
        raise UnsafeFileError(path, "torch's legacy .tar format", ALLOWED)
    try:
        with checkpoint_globals():
            return torch.load(path, map_location=map_location, weights_only=True, mmap=mapped and _can_be_mapped(path))
    except pickle.UnpicklingError as error:
        refused = _REFUSED.search(str(error))
        if refused:
            raise UnsafeFileError(path, refused.group(1), ALLOWED) from error
        cause = str(error).split('WeightsUnpickler error:')[-1].strip().split('\n')[0]  # the rest advises to switch safety off
        raise DamagedFileError(path, 'a torch file', cause) from error
    except Exception as error:  # a hostile or cut-off file can raise anything while it is parsed
        raise DamagedFileError(path, 'a torch file', error) from error


def _can_be_mapped(path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())


def load_lightning_state(path) -> dict[str, torch.Tensor]:
    """`state_dict` (name -> CPU tensor) of a Lightning checkpoint such as hamer.ckpt, or of a plain torch file.

    Such a file pickles its training config with the weights, so `weights_only` refuses it. Here objects of configuration
    libraries become inert placeholders, which are thrown away; any other class or function is refused.
    """
    if zipfile.is_zipfile(path):
        content = _read_zip(path)
    else:
        content = load_torch(path)
    state = content.get('state_dict', content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        found = sorted(map(str, content))[:12] if isinstance(content, dict) else type(content).__name__
        raise DamagedFileError(path, 'a checkpoint', f'it has no state_dict of tensors, but {found}')
    return dict(state)


def _tensor(storage, offset, size, stride, *_):
    return storage.as_strided(tuple(size), tuple(stride), offset)  # checks that it stays inside the storage


def _parameter(tensor, *_):
    return tensor


_TENSOR_GLOBALS = {('torch', 'Size'): tuple, ('torch._utils', '_rebuild_tensor_v2'): _tensor,
                   ('torch._utils', '_rebuild_parameter'): _parameter}


class _CheckpointUnpickler(RestrictedUnpickler):
    """Builds tensors on storages of the surrounding zip archive and swallows configuration objects."""
    allowed = f'{ALLOWED}, and configuration objects of {", ".join(_CONFIG_PREFIXES)}'

    def __init__(self, file, path, archive, prefix):
        super().__init__(file, path)
        self.archive, self.prefix, self.storages = archive, prefix, {}

    def stand_in(self, module, name):
        if module == 'torch' and name in _STORAGES:
            return type(name, (Pending,), dict(__slots__=(), dtype=_STORAGES[name]))
        if module == 'torch' and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if (module, name) in _TENSOR_GLOBALS:
            return Constructor(_TENSOR_GLOBALS[module, name])
        if module.split('.')[0] in _CONFIG_PREFIXES or (module, name) in _CONFIG_GLOBALS:
            return type(name, (PendingConfig,), dict(__slots__=()))
        return super().stand_in(module, name)

    def persistent_load(self, pid):
        kind, storage_type, key, _, count = pid
        if kind != 'storage' or not str(key).isalnum():
            raise ValueError(f'persistent id of kind {kind!r}, key {key!r}')
        if key not in self.storages:
            raw = bytearray(self.archive.read(f'{self.prefix}data/{key}'))
            dtype = storage_type.dtype
            if len(raw) != count * dtype.itemsize:
                raise ValueError(f'storage {key} has {len(raw)} bytes, not {count} of {dtype}')
            self.storages[key] = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
        return self.storages[key]


def _read_zip(path):
    try:
        with zipfile.ZipFile(path) as archive:
            found = [name for name in archive.namelist() if name.endswith('/data.pkl')]
            if len(found) != 1:
                raise DamagedFileError(path, 'a torch file', f'the zip archive has {len(found)} data.pkl instead of 1')
            prefix = found[0][:-len('data.pkl')]
            if f'{prefix}byteorder' in archive.namelist() and archive.read(f'{prefix}byteorder') != b'little':
                raise DamagedFileError(path, 'a torch file', 'it is not little-endian')
            with archive.open(found[0]) as file:
                return unpickle(file, path, 'a torch file', lambda f, p: _CheckpointUnpickler(f, p, archive, prefix))
    except zipfile.BadZipFile as error:
        raise DamagedFileError(path, 'a torch file', error) from error
