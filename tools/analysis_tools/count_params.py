"""Count the parameters of a config's model, as JSON, without its memory (meta device) and without a body model's files.

    python tools/analysis_tools/count_params.py configs/hand_adapter_arctic.py
    python tools/analysis_tools/count_params.py configs/body_adapter_arctic.py
    python tools/analysis_tools/count_params.py CONFIG --cfg-options model.adapter.own_norms=True --depth 2
    python tools/analysis_tools/count_params.py --tables          what learns in tables 3 and 4, beside the paper's figures

`expert` is backbone and head, without the adapter. `trainable_with_gradient` leaves out what can never learn, such as the q and
k rows of a self-attention over one token. It is measured: a twin of the model, as deep but a few channels wide, gets random
weights and inputs (with all that guides its adapter) and a loss on all outputs in float64; the share of each tensor that gets
a gradient is then applied to its full size.
"""
import argparse
import copy
import json
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import torch
from mmengine.config import DictAction
from mmengine.structures import BaseDataElement
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))  # tools are run as files

from reproduction.tables import TABLES  # noqa: E402

from hmradapter.engine.config import load_config  # noqa: E402
from hmradapter.geometry.rotations import axis_angle_to_rotmat  # noqa: E402
from hmradapter.registry import MODELS  # noqa: E402
from hmradapter.structures import HMRDataSample  # noqa: E402


def _part(kind: str, **widths):
    """Widths of a head's part, whatever else the config says of it."""
    return lambda head, name: dict(dict(type=kind), **{**(head.get(name) or {}), **widths})


# Widths of the twin by class: channels are few, but heads, layers and tokens stay as many.
_VIT = dict(embed_dim=lambda part, _: 2 * part.get('num_heads', 16), fused=lambda *_: False)
TINY = {
    'HaMeRViT': _VIT,
    'SMPLerXViT': _VIT,
    'MANODecoderHead': dict(dim=lambda part, _: 2 * part.get('heads', 8), head_dim=lambda *_: 2, mlp_dim=lambda *_: 16,
                            fused=lambda *_: False),
    'SMPLerXHead': dict(body_rotation=_part('BodyRotationHead', dim=8), boxes=_part('BoxHead', dim=8),
                        hand_rotation=_part('HandRotationHead', dim=8)),
    **dict.fromkeys(('HandAdapter', 'KinematicHandAdapter', 'ImageTokenHandAdapter', 'ConcatenationHandAdapter',
                     'WeightedSumHandAdapter', 'ConcatenationBodyAdapter', 'WeightedSumBodyAdapter', 'LoRAAdapter',
                     'BottleneckHandAdapter', 'BottleneckBodyAdapter'), {}),
    **dict.fromkeys(('BodyAdapter', 'TaskTokenBodyAdapter'), dict(
        dim=lambda part, _: 2 * part.get('heads', 8), head_dim=lambda *_: 2, mlp_dim=lambda *_: 16,
        ffn_hidden=lambda part, _: [16] * len(part.get('ffn_hidden', (1024,)))))}
DRAWS = 3     # softmax and chance hide an entry in one of them, hardly in all
_DEAD = 1e-10  # of a tensor's largest gradient; float64 rounding is near 1e-16, a living entry rarely below 1e-6
_FIELDS = ('total', 'trainable', 'frozen', 'trainable_with_gradient')
ABLATIONS = Path(__file__).parents[2] / 'configs' / 'ablations'


def count(model_cfg: dict, depth: int = 1) -> dict:
    """Numbers of the whole model, and per module down to `depth` names."""
    model = build(model_cfg, 'meta')
    alive = living_shares(model_cfg) if any(p.requires_grad for p in model.parameters()) else {}
    modules: dict[str, dict[str, int]] = {}
    total = dict.fromkeys(_FIELDS, 0)
    for name, parameter in model.named_parameters():
        size = parameter.numel()
        learns = size * parameter.requires_grad
        living = alive[name] * size if learns else Fraction(0)
        if living.denominator != 1:
            raise ValueError(f'{name}: {alive[name]} of its {size} entries get a gradient in the twin, which is no whole '
                             'number; its dead part does not scale with its width.')
        module = modules.setdefault('.'.join(name.split('.')[:depth]), dict.fromkeys(_FIELDS, 0))
        for counts in (total, module):
            for field, value in zip(_FIELDS, (size, learns, size - learns, int(living)), strict=True):
                counts[field] += value
    expert = sum(modules[name]['total'] for name in modules if name.split('.')[0] in ('backbone', 'head'))
    return dict(total, expert=expert, modules=modules)


def build(model_cfg: dict, device: str) -> nn.Module:
    """The model without its body model and without weights from files."""
    config = copy.deepcopy(model_cfg)
    for key in ('body_model', 'expert', 'adapter_file', 'losses'):
        config.pop(key, None)
    with warnings.catch_warnings(), torch.device(device):
        warnings.simplefilter('ignore')  # random weights are announced, and meant here
        return MODELS.build(config)


def trainable_parameters(model: nn.Module) -> int:
    """How many parameters learn."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def living_shares(model_cfg: dict) -> dict[str, Fraction]:
    """Share of each trainable tensor's entries that receive a gradient in one of DRAWS twins, by name."""
    torch.manual_seed(0)
    model = build(tiny(model_cfg), 'cpu').double().eval()
    model.frozen_dtype = 'fp32'
    model.prepare_frozen = lambda: None  # stays in float64
    for module in [*model.modules()]:  # a unit that is off for these inputs is not one that can never learn
        for name, child in module.named_children():
            if isinstance(child, (nn.ReLU, nn.GELU)):
                setattr(module, name, nn.LeakyReLU(0.3))
    alive = {name: torch.zeros_like(p, dtype=torch.bool) for name, p in model.named_parameters() if p.requires_grad}
    for _ in range(DRAWS):
        for name, gradient in _gradients(model).items():
            alive[name] |= gradient > _DEAD * gradient.max()
    return {name: Fraction(int(living.sum()), living.numel()) for name, living in alive.items()}


def _gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    """Absolute gradient of all that learns, for random weights, inputs and loss."""
    model.zero_grad()
    for parameter in model.parameters():
        nn.init.normal_(parameter.data, std=0.5)  # also what starts at zero, such as a gate, and would hide the rest
    outputs = _raw_outputs(model, torch.randn(2, 3, *model.backbone.img_size, dtype=torch.float64), _guidance(2))
    sum((value * torch.randn_like(value)).sum() for value in outputs.values()).backward()
    return {name: p.grad.abs() for name, p in model.named_parameters() if p.grad is not None}


def tiny(model_cfg: dict) -> dict:
    """The config of the twin."""
    config = copy.deepcopy(model_cfg)
    for key in ('backbone', 'head', 'adapter'):
        part = config.get(key)
        if part is None and key == 'adapter':
            continue
        if part['type'] not in TINY:
            raise ValueError(f'model.{key}.type is {part["type"]!r}; the twin knows {sorted(TINY)}: add its widths to TINY.')
        part.update({name: width(part, name) for name, width in TINY[part['type']].items()})
    config['head']['context_dim'] = config['backbone']['embed_dim']
    return config


def _raw_outputs(model: nn.Module, images: torch.Tensor, samples: HMRDataSample) -> dict[str, torch.Tensor]:
    features = model.backbone(images) if model.adapter is None else model.adapter.see(model.backbone, images)
    if isinstance(features, tuple):  # a whole body: feature map and task tokens
        # both hands must be there, and the adapter sees none whose box has no area; boxes carry no gradient
        whole = features[0].new_tensor((0, 0, *model.head.frame.img_size[::-1]))
        model.head._restore = lambda centers, sizes: whole.expand(len(centers), 3, 4)
        return model.head(*features, adapter=model.adapter)
    return model.read(features, (samples.guidance.body_pose, samples.guidance.has_body_pose))


def _guidance(batch: int) -> HMRDataSample:
    pose = axis_angle_to_rotmat(torch.randn(batch, 22, 3, dtype=torch.float64))
    return HMRDataSample(guidance=BaseDataElement(body_pose=pose, has_body_pose=torch.ones(batch, dtype=torch.float64)))


def tables() -> str:
    """Markdown: what learns in each row of the paper's tables 3 and 4, counted at real size."""
    lines = ['| table | row | trainable | paper |', '| --- | --- | ---: | ---: |']
    for number in ('3', '4'):
        for row in filter(lambda row: row.config, TABLES[number].rows):
            model = build(load_config(ABLATIONS / f'{row.config}.py').model.to_dict(), 'meta')
            lines.append(f'| {number} | {row.key} | {trainable_parameters(model):,} | {row.params} |')
    return '\n'.join(lines)


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('config', nargs='?')
    what.add_argument('--tables', action='store_true', help='the rows of tables 3 and 4, as Markdown')
    parser.add_argument('--depth', type=int, default=1, help='how many names of a module to list (default 1)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    if args.tables:
        print(tables())
        return
    try:
        counted = count(load_config(args.config, args.cfg_options).model.to_dict(), args.depth)
    except (ValueError, FileNotFoundError) as error:  # the user's mistakes, told without a traceback
        sys.exit(f'count_params.py: {error}')
    print(json.dumps(dict(config=args.config, **counted), indent=1))


if __name__ == '__main__':
    main()
