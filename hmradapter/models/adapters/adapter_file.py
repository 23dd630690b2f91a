"""An adapter on disk: `adapter.safetensors` holds its weights and, in its header, the card that says what it is and which base
it fits. `adapter.json` beside it is the card again, for people; nothing reads it back, so the pair cannot fall apart.

The file is all that learnt: where parts of the expert learn, too (`trainable=['head', 'adapter']`, or no adapter at all), their
tensors are in it under `expert.`, and the rest still comes from the base. A file with the whole expert in it fits any base."""
import json
import platform
from pathlib import Path

import torch
from torch import Tensor, nn

from hmradapter.fileio import atomic_write, read_safetensors, write_safetensors
from hmradapter.version import __version__

from ..expert_weights import EXPERT_PARTS

FORMAT = 'hmradapter.adapter/1'
WEIGHTS, CARD = 'adapter.safetensors', 'adapter.json'
EXPERT = 'expert.'  # before the names of backbone.* and head.*


class AdapterMismatchError(ValueError):
    """The adapter file does not belong to this model."""


def save_adapter(model: nn.Module, folder: str | Path, config: str = '', **notes) -> Path:
    """Write what an estimator has learnt to `folder` atomically and return the weights' path.

    Args:
        model: estimator with `adapter`, which may be None, `adapter_architecture`, `base_hash` and `frozen_state()`.
        config: text of the config it was trained with.
        notes: further entries of the card (iteration, seed, ...).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    expert = _learnt_of_expert(model)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in {**_adapter_state(model), **expert}.items()}
    card = dict(format=FORMAT, architecture=model.adapter_architecture, base_hash=model.base_hash,
                parameters=sum(tensor.numel() for tensor in weights.values()), expert_tensors=len(expert),
                versions=dict(hmradapter=__version__, torch=torch.__version__, python=platform.python_version()),
                **notes, config=config)
    write_safetensors(folder / WEIGHTS, weights, metadata=dict(card=json.dumps(card)))
    with atomic_write(folder / CARD, 'w') as file:
        json.dump(card, file, indent=1)
    return folder / WEIGHTS


def read_adapter(path: str | Path) -> tuple[dict, dict]:
    """(card, weights) of an adapter, by its file or its folder.

    Raises:
        FileNotFoundError: names what is missing.
        ValueError: the file is not an adapter of this format.
    """
    path = Path(path)
    path = path / WEIGHTS if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: give the {WEIGHTS} that training wrote beside its checkpoints.')
    weights, metadata = read_safetensors(path)
    card = json.loads(metadata.get('card', '{}'))
    if card.get('format') != FORMAT:
        raise ValueError(f'{path} has format {card.get("format")!r} in its header; this version reads {FORMAT!r}. '
                         'An expert or a full checkpoint is not an adapter.')
    return card, weights


def load_adapter(model: nn.Module, path: str | Path) -> dict:
    """Load an adapter's file into `model.adapter`, and what it holds of the expert into the model; returns the card.

    Raises:
        AdapterMismatchError: the model has no adapter, or the file's base (both hashes are named) or architecture differ.
    """
    card, stored = read_adapter(path)
    own, expert = _adapter_state(model), _expert_state(model)
    if model.adapter is None and any(not name.startswith(EXPERT) for name in stored):
        raise AdapterMismatchError(f'{path} cannot be loaded: the model was built without an adapter; give its config '
                                   '`adapter=dict(...)`.')
    if not expert.keys() <= stored.keys() and card['base_hash'] != model.base_hash:
        raise AdapterMismatchError(f'{path} was trained on the base {card["base_hash"]}, but this model holds the base '
                                   f'{model.base_hash}: load the expert that it was trained on.')
    own |= {name: tensor for name, tensor in expert.items() if name in stored}
    differing = sorted(name for name in own.keys() | stored.keys() if _shape(own, name) != _shape(stored, name))
    if differing:
        raise AdapterMismatchError(f'{path} has another architecture than the config: {differing[0]!r} is '
                                   f'{_shape(stored, differing[0])} in the file and {_shape(own, differing[0])} in the model '
                                   f'({len(differing)} differ). The file was made with {card["architecture"]}.')
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(stored[name])
    return card


def _adapter_state(model: nn.Module) -> dict[str, Tensor]:
    """The adapter's tensors by their names in it."""
    return {} if model.adapter is None else model.adapter.state_dict()


def _expert_state(model: nn.Module) -> dict[str, Tensor]:
    """The expert's tensors by their names in a file."""
    return {EXPERT + name: tensor for name, tensor in model.state_dict().items() if name.startswith(EXPERT_PARTS)}


def _learnt_of_expert(model: nn.Module) -> dict[str, Tensor]:
    """Those of them that training changes, with the buffers of parts that learn."""
    frozen = {EXPERT + name for name, _ in model.frozen_state()}
    return {name: tensor for name, tensor in _expert_state(model).items() if name not in frozen}


def _shape(tensors: dict[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None
