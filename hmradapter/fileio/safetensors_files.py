"""Our own tensor files: safetensors, which cannot hold code, written atomically, with string metadata."""
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hmradapter.fileio.atomic import atomic_write
from hmradapter.fileio.errors import DamagedFileError


def write_safetensors(path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors by name and string -> string metadata, atomically."""
    wrong = {k: v for k, v in (metadata or {}).items() if not (isinstance(k, str) and isinstance(v, str))}
    if wrong:
        raise ValueError(f'safetensors metadata must map str to str, but got {wrong}: encode values with json.dumps.')
    content = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, metadata=metadata)
    with atomic_write(path) as file:
        file.write(content)


def read_safetensors(path, device: str = 'cpu') -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors by name and metadata of a `.safetensors` file."""
    with open(path, 'rb') as file:  # a missing file is said as such, not as a damaged one
        file.read(1)
    try:
        with safe_open(str(path), framework='pt', device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise DamagedFileError(path, 'a .safetensors file', error) from error
