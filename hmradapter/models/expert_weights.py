"""Weights of an expert: HaMeR's names and ours, strict loading, and the hash that says which base an adapter belongs to.

This is the one place that knows HaMeR's key names. An expert is a module with `backbone` (HaMeRViT) and `head`
(MANODecoderHead); its tensors are named `backbone.*` and `head.*` here. Source: the state dict of the released hamer.ckpt.
"""
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from hmradapter.fileio import DamagedFileError, load_lightning_state, load_torch, read_safetensors

from .freezing import state_hash

EXPERT_PARTS = ('backbone.', 'head.')
# Not the expert's: the training's adversary, the body model's buffers (licensed, and read from its own file), a flag.
IGNORED_HAMER = ('discriminator.', 'mano.', 'initialized')

# HaMeR's name <-> ours, longest part first; {i} is a layer's number.
_NAMES = (
    ('backbone.blocks.{i}.norm1.', 'backbone.blocks.{i}.norm_sa.'),
    ('backbone.blocks.{i}.attn.qkv.', 'backbone.blocks.{i}.self_attn.to_qkv.'),
    ('backbone.blocks.{i}.attn.proj.', 'backbone.blocks.{i}.self_attn.to_out.'),
    ('backbone.blocks.{i}.norm2.', 'backbone.blocks.{i}.norm_ff.'),
    ('backbone.blocks.{i}.mlp.fc1.', 'backbone.blocks.{i}.ff.0.'),
    ('backbone.blocks.{i}.mlp.fc2.', 'backbone.blocks.{i}.ff.2.'),
    ('backbone.pos_embed', 'backbone.pos_embed'),
    ('backbone.patch_embed.proj.', 'backbone.patch_embed.proj.'),
    ('backbone.last_norm.', 'backbone.last_norm.'),
    ('mano_head.transformer.transformer.layers.{i}.0.norm.', 'head.layers.{i}.norm_sa.'),
    ('mano_head.transformer.transformer.layers.{i}.0.fn.to_qkv.', 'head.layers.{i}.self_attn.to_qkv.'),
    ('mano_head.transformer.transformer.layers.{i}.0.fn.to_out.0.', 'head.layers.{i}.self_attn.to_out.'),
    ('mano_head.transformer.transformer.layers.{i}.1.norm.', 'head.layers.{i}.norm_ca.'),
    ('mano_head.transformer.transformer.layers.{i}.1.fn.to_q.', 'head.layers.{i}.cross_attn.to_q.'),
    ('mano_head.transformer.transformer.layers.{i}.1.fn.to_kv.', 'head.layers.{i}.cross_attn.to_kv.'),
    ('mano_head.transformer.transformer.layers.{i}.1.fn.to_out.0.', 'head.layers.{i}.cross_attn.to_out.'),
    ('mano_head.transformer.transformer.layers.{i}.2.norm.', 'head.layers.{i}.norm_ff.'),
    ('mano_head.transformer.transformer.layers.{i}.2.fn.net.0.', 'head.layers.{i}.ff.0.'),
    ('mano_head.transformer.transformer.layers.{i}.2.fn.net.3.', 'head.layers.{i}.ff.2.'),
    ('mano_head.transformer.pos_embedding', 'head.pos_embed'),
    ('mano_head.transformer.to_token_embedding.', 'head.to_token.'),
    ('mano_head.decpose.', 'head.to_pose.'),
    ('mano_head.decshape.', 'head.to_betas.'),
    ('mano_head.deccam.', 'head.to_cam.'),
    ('mano_head.init_hand_pose', 'head.init_pose6d'),
    ('mano_head.init_betas', 'head.init_betas'),
    ('mano_head.init_cam', 'head.init_cam'),
)


class ExpertWeightsError(ValueError):
    """The weights do not fit the expert; the message names the first keys of each kind."""


def _pattern(name: str) -> re.Pattern:
    """A name of the table, with whatever follows its last dot."""
    return re.compile(re.escape(name).replace(r'\{i\}', r'(\d+)') + (r'(weight|bias)' if name.endswith('.') else '()'))


def _renamer(source: int):
    rules = [(_pattern(pair[source]), pair[1 - source].replace('{i}', r'\1')) for pair in _NAMES]

    def rename(name: str) -> str | None:
        for pattern, other in rules:
            if match := pattern.fullmatch(name):
                return match.expand(other) + match.group(match.lastindex)
        return None
    return rename


ours_from_hamer = _renamer(0)  # HaMeR's name -> ours, None for a name that no expert has
hamer_from_ours = _renamer(1)


def convert_hamer_state(state: Mapping[str, Tensor], source: str | Path) -> tuple[dict[str, Tensor], list[str]]:
    """HaMeR's state dict to (tensors under our names, names that were ignored).

    Raises:
        ExpertWeightsError: a key is neither the expert's nor on the list of what is ignored.
    """
    ignored = sorted(name for name in state if name.startswith(IGNORED_HAMER))
    wanted = {name: ours_from_hamer(name) for name in state if not name.startswith(IGNORED_HAMER)}
    unexpected = sorted(name for name, ours in wanted.items() if ours is None)
    if unexpected:
        raise ExpertWeightsError(f'{source} holds {len(unexpected)} keys that HaMeR does not have: {_first(unexpected)}. '
                                 'It is another model, or another version of it.')
    return {ours: state[name] for name, ours in wanted.items()}, ignored


def read_expert(path: str | Path) -> tuple[dict[str, Tensor], list[str]]:
    """(tensors under our names, names that were ignored) of an expert's file.

    `path` is our .safetensors, an original HaMeR checkpoint (.ckpt, .pt), or a checkpoint of a training run here (.pth), whose
    adapter is ignored. Nothing that is pickled in it runs.

    Raises:
        FileNotFoundError, UnsafeFileError, DamagedFileError, ExpertWeightsError: each names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist: give the expert\'s .safetensors (made by '
                                'tools/model_converters/convert_hamer.py) or the original hamer.ckpt.')
    state = _read_state(path)
    if any(name.startswith('mano_head.') for name in state):
        return convert_hamer_state(state, path)
    if not any(name.startswith('head.') for name in state):
        raise DamagedFileError(path, 'an expert', f'it has neither head.* nor mano_head.* but {_first(sorted(state))}')
    expert = {name: tensor for name, tensor in state.items() if name.startswith(EXPERT_PARTS)}
    return expert, sorted(state.keys() - expert.keys())


def _read_state(path: Path) -> dict[str, Tensor]:
    if path.suffix == '.safetensors':
        return read_safetensors(path)[0]
    if path.suffix == '.pth':  # MMEngine's, whose log history is on load_torch's allow-list
        content = load_torch(path)
        return content.get('state_dict', content)
    return load_lightning_state(path)


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


def infer_sizes(tensors: Mapping[str, Tensor]) -> dict[str, dict]:
    """What the shapes of an expert's tensors say of its sizes, as arguments of HaMeRViT and MANODecoderHead.

    Heads do not show in shapes: `inner_dim` is heads x head_dim of the decoder, and the ViT's heads are not given.
    `tokens` counts the patches of an image.

    Raises:
        ExpertWeightsError: a tensor that the sizes are read from is missing.
    """
    def shape(name: str, dims: int = 2) -> tuple[int, ...]:
        found = tuple(tensors[name].shape) if name in tensors else None
        if found is None or len(found) != dims:
            raise ExpertWeightsError(f'{name} has shape {found} (None: is missing), but an expert\'s has {dims} dimensions and '
                                     'tells its sizes. The file is cut short or holds another model.')
        return found

    def count(prefix: str) -> int:
        return len({name.removeprefix(prefix).split('.')[0] for name in tensors if name.startswith(prefix)})

    width, _, patch_size, _ = shape('backbone.patch_embed.proj.weight', 4)
    return dict(
        backbone=dict(embed_dim=width, depth=count('backbone.blocks.'), patch_size=patch_size,
                      tokens=shape('backbone.pos_embed', 3)[1] - 1,
                      mlp_ratio=shape('backbone.blocks.0.ff.0.weight')[0] / width),
        head=dict(context_dim=shape('head.layers.0.cross_attn.to_kv.weight')[1], dim=shape('head.pos_embed', 3)[-1],
                  depth=count('head.layers.'), inner_dim=shape('head.layers.0.self_attn.to_qkv.weight')[0] // 3,
                  has_to_out='head.layers.0.self_attn.to_out.weight' in tensors,
                  mlp_dim=shape('head.layers.0.ff.0.weight')[0], num_betas=shape('head.to_betas.weight')[0],
                  token='zero' if shape('head.to_token.weight')[1] == 1 else 'mean_shape'))


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
