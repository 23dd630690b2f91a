"""An adapter on disk: `adapter.safetensors` holds its weights alone and, in its header, the card that says what it is and which
base it fits. `adapter.json` beside it is the card again, for people; nothing reads it back, so the pair cannot fall apart."""
import json
import platform
from pathlib import Path

import torch
from torch import nn

from hmradapter.fileio import atomic_write, read_safetensors, write_safetensors
from hmradapter.version import __version__

FORMAT = 'hmradapter.adapter/1'
WEIGHTS, CARD = 'adapter.safetensors', 'adapter.json'


class AdapterMismatchError(ValueError):
    """The adapter file does not belong to this model."""


def save_adapter(model: nn.Module, folder: str | Path, config: str = '', **notes) -> Path:
    """Write the adapter of an estimator to `folder` atomically and return the weights' path.

    Args:
        model: estimator with `adapter`, `adapter_architecture` and `base_hash`.
        config: text of the config it was trained with.
        notes: further entries of the card (iteration, seed, ...).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.adapter.state_dict().items()}
    card = dict(format=FORMAT, architecture=model.adapter_architecture, base_hash=model.base_hash,
                parameters=sum(p.numel() for p in model.adapter.parameters()),
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
    """Load adapter weights into `model.adapter` and return the card.

    Raises:
        AdapterMismatchError: the model has no adapter, or the file's base (both hashes are named) or architecture differ.
    """
    card, weights = read_adapter(path)
    if model.adapter is None:
        raise AdapterMismatchError(f'{path} cannot be loaded: the model was built without an adapter; give its config '
                                   '`adapter=dict(...)`.')
    if card['base_hash'] != model.base_hash:
        raise AdapterMismatchError(f'{path} was trained on the base {card["base_hash"]}, but this model holds the base '
                                   f'{model.base_hash}: load the expert that it was trained on.')
    own = {name: tuple(tensor.shape) for name, tensor in model.adapter.state_dict().items()}
    stored = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if own != stored:
        differing = sorted(name for name in own.keys() | stored.keys() if own.get(name) != stored.get(name))
        raise AdapterMismatchError(f'{path} has another architecture than the config: {differing[0]!r} is '
                                   f'{stored.get(differing[0])} in the file and {own.get(differing[0])} in the model '
                                   f'({len(differing)} differ). The file was made with {card["architecture"]}.')
    model.adapter.load_state_dict(weights)
    return card
