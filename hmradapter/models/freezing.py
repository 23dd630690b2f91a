"""What learns and what does not, and the proof of it."""
import hashlib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def freeze_all_but(model: nn.Module, trainable: Sequence[str]) -> list[str]:
    """Freeze `model` except the named parts; returns the names of the parameters that still learn.

    Raises:
        ValueError: for a part that the model does not have.
    """
    parts = dict(model.named_modules())
    for name in trainable:
        if name not in parts:
            raise ValueError(f'trainable names {name!r}, but {type(model).__name__} has the parts '
                             f'{sorted(name for name, _ in model.named_children())}: name one of these.')
    model.requires_grad_(False)
    for name in trainable:
        parts[name].requires_grad_(True)
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def keep_frozen_in_eval(module: nn.Module) -> None:
    """Eval mode for every part that has parameters, none of which learns."""
    parameters = list(module.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        module.eval()
        return
    for child in module.children():
        keep_frozen_in_eval(child)


def frozen_tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Every parameter that does not learn, and every buffer, saved or not, of a part without a learning parameter."""
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    parts = {name.rpartition('.')[0] for name in learning}
    return [(name, tensor) for name, tensor in (*model.named_parameters(), *model.named_buffers())
            if name not in learning and name.rpartition('.')[0] not in parts]


def tensor_digest(name: str, tensor: Tensor) -> str:
    """sha256 over name, dtype, shape and bytes of one tensor."""
    tensor = tensor.detach().contiguous().cpu()
    digest = hashlib.sha256(f'{name}|{tensor.dtype}|{tuple(tensor.shape)}|'.encode())
    digest.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def state_hash(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """One sha256 over named tensors, independent of their order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        digest.update(tensor_digest(name, tensor).encode())
    return digest.hexdigest()
