"""Weights of an expert: strict loading by our names or the original's, and the hash that says which base an adapter belongs to.

An expert is a module with `backbone` and `head`; what the released files call their tensors stands in `expert_layouts`.
"""
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from hmradapter.fileio import DamagedFileError, load_lightning_state, load_torch, read_safetensors

from .expert_layouts import HAMER, LAYOUTS, ExpertWeightsError, Layout, infer_sizes
from .freezing import state_hash

__all__ = ['ExpertWeightsError', 'check_fit', 'convert_state', 'expert_hash', 'expert_state', 'hamer_from_ours', 'infer_sizes',
           'load_expert', 'ours_from_hamer', 'read_expert', 'shapes_of']

EXPERT_FORMAT = 'hmradapter.expert/1'  # in the header of the files that we write
EXPERT_PARTS = ('backbone.', 'head.')

ours_from_hamer = HAMER.ours
hamer_from_ours = HAMER.theirs


def convert_state(state: Mapping[str, Tensor], layout: Layout, source: str | Path) -> tuple[dict[str, Tensor], list[str]]:
    """A released state dict to (tensors under our names, names that were ignored).

    Raises:
        ExpertWeightsError: a key is neither the expert's nor on the list of what is ignored, or two mean the same.
    """
    ignored = sorted(name for name in state if layout.normal(name).startswith(layout.ignored))
    wanted = {name: layout.ours(name) for name in state.keys() - set(ignored)}
    unexpected = sorted(name for name, ours in wanted.items() if ours is None)
    if unexpected:
        raise ExpertWeightsError(f'{source} holds {len(unexpected)} keys that {layout.title} does not have: '
                                 f'{_first(unexpected)}. It is another model, or another version of it.')
    tensors = {ours: state[name] for name, ours in wanted.items()}
    if len(tensors) < len(wanted):
        raise ExpertWeightsError(f'{source} names some tensors twice, with and without {layout.prefix!r} or in an older '
                                 'spelling; which of the two counts cannot be told.')
    return tensors, ignored


def read_expert(path: str | Path) -> tuple[dict[str, Tensor], list[str]]:
    """(tensors under our names, names that were ignored) of an expert's file.

    `path` is our .safetensors, an original checkpoint (HaMeR's .ckpt or .pt, SMPLer-X's .pth.tar), or a checkpoint of a
    training run here (.pth), whose adapter is ignored. Nothing that is pickled in it runs.

    Raises:
        FileNotFoundError, UnsafeFileError, DamagedFileError, ExpertWeightsError: each names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: give the expert\'s .safetensors (made by '
                                'tools/model_converters/convert_hamer.py or convert_smplerx.py) or its original checkpoint.')
    state = _read_state(path)
    for layout in LAYOUTS:
        if layout.fits(state):
            return convert_state(state, layout, path)
    if not any(name.startswith('head.') for name in state):
        beginnings = ', '.join(f'{layout.markers[0]}* ({layout.title})' for layout in LAYOUTS)
        raise DamagedFileError(path, 'an expert', f'it has neither head.* (ours) nor {beginnings} but {_first(sorted(state))}')
    expert = {name: tensor for name, tensor in state.items() if name.startswith(EXPERT_PARTS)}
    return expert, sorted(state.keys() - expert.keys())


def _read_state(path: Path) -> dict[str, Tensor]:
    if path.suffix == '.safetensors':
        return read_safetensors(path)[0]
    if path.suffix not in ('.pth', '.tar'):
        return load_lightning_state(path)
    content = load_torch(path, mapped=True)
    for key in ('state_dict', 'network'):  # MMEngine's, whose log history is on load_torch's allow-list; SMPLer-X's
        content = content.get(key, content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        found = _first(sorted(map(str, content))) if isinstance(content, dict) else type(content).__name__
        raise DamagedFileError(path, 'an expert', f'it has no state_dict or network of tensors but {found}')
    return content


def check_fit(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], source: str | Path) -> None:
    """Compare shapes by name.

    Raises:
        ExpertWeightsError: with the first missing, unexpected and mis-shaped names.
    """
    shapes = [f'{name} is {tuple(found[name])} instead of {tuple(expected[name])}'
              for name in sorted(expected.keys() & found.keys()) if tuple(found[name]) != tuple(expected[name])]
    kinds = dict(missing=sorted(expected.keys() - found.keys()), unexpected=sorted(found.keys() - expected.keys()))
    kinds['mis-shaped'] = shapes
    problems = [f'{len(names)} {kind}: {_first(names)}' for kind, names in kinds.items() if names]
    if problems:
        raise ExpertWeightsError(f'{source} does not fit the expert. ' + '. '.join(problems) +
                                 '. Build the expert with the sizes of the file, or give the file of this expert.')


def load_expert(model: nn.Module, path: str | Path) -> list[str]:
    """Load `model.backbone` and `model.head` strictly from a file of `read_expert` and return the names that were ignored.

    Raises:
        ExpertWeightsError: on any missing, unexpected or mis-shaped key; the model is unchanged then.
    """
    tensors, ignored = read_expert(path)
    check_fit(shapes_of(expert_state(model)), shapes_of(tensors), path)
    for part in EXPERT_PARTS:
        getattr(model, part[:-1]).load_state_dict({name.removeprefix(part): tensor for name, tensor in tensors.items()
                                                   if name.startswith(part)})
    return ignored


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shape by name, for `check_fit`."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def expert_state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of `model.backbone` and `model.head` under our names."""
    return {part + name: tensor for part in EXPERT_PARTS
            for name, tensor in getattr(model, part[:-1]).state_dict().items()}


def expert_hash(model: nn.Module) -> str:
    """sha256 over names, dtypes, shapes and bytes of the expert's tensors; '' on the meta device, where there are no values."""
    state = expert_state(model)
    if any(tensor.is_meta for tensor in state.values()):
        return ''
    return state_hash(state.items())


def _first(names: Iterable[str], count: int = 4) -> str:
    names = list(names)
    return ', '.join(names[:count]) + (', ...' if len(names) > count else '')
