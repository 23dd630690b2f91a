"""Count the parameters of a config's model, as JSON, without its memory (meta device) and without a body model's files.

    python tools/analysis_tools/count_params.py configs/hand_adapter_arctic.py
    python tools/analysis_tools/count_params.py CONFIG --cfg-options model.adapter.own_norms=True --depth 2

`trainable_with_gradient` leaves out what can never learn, such as the q and k rows of a self-attention over one token. It is
measured: a twin of the model, as deep but a few channels wide, gets random weights and inputs (with a body pose as guidance)
and a loss on all outputs in float64; the share of each tensor that receives a gradient is then applied to its full size.
"""
import argparse
import copy
import json
import sys
import warnings
from fractions import Fraction

import torch
from mmengine.config import DictAction
from mmengine.structures import BaseDataElement
from torch import nn

from hmradapter.engine.config import load_config
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import MODELS
from hmradapter.structures import HMRDataSample

# Widths of the twin by class: channels are few, but heads, layers and tokens stay as many.
TINY = {
    'HaMeRViT': dict(embed_dim=lambda part: 2 * part.get('num_heads', 16), fused=lambda _: False),
    'MANODecoderHead': dict(dim=lambda part: 2 * part.get('heads', 8), head_dim=lambda part: 2, mlp_dim=lambda part: 16,
                            fused=lambda _: False)}
_DEAD = 1e-10  # of a tensor's largest gradient; float64 rounding is near 1e-16, a living entry rarely below 1e-6
_FIELDS = ('total', 'trainable', 'frozen', 'trainable_with_gradient')


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
    return dict(total, modules=modules)


def build(model_cfg: dict, device: str) -> nn.Module:
    """The model without its body model and without weights from files."""
    config = copy.deepcopy(model_cfg)
    for key in ('body_model', 'expert', 'adapter_file', 'losses'):
        config.pop(key, None)
    with warnings.catch_warnings(), torch.device(device):
        warnings.simplefilter('ignore')  # random weights are announced, and meant here
        return MODELS.build(config)


def living_shares(model_cfg: dict) -> dict[str, Fraction]:
    """Share of each trainable tensor's entries that receive a gradient, by name."""
    torch.manual_seed(0)
    model = build(tiny(model_cfg), 'cpu').double().eval()
    model.frozen_dtype = 'fp32'
    model.prepare_frozen = lambda: None  # stays in float64
    for parameter in model.parameters():
        nn.init.normal_(parameter.data, std=0.5)  # also what starts at zero, such as a gate, and would hide the rest
    size = max(model.backbone.img_size)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        outputs = _raw_outputs(model, torch.randn(2, 3, size, size, dtype=torch.float64), _guidance(2))
    sum((value * torch.randn_like(value)).sum() for value in outputs.values()).backward()
    return {name: _living(parameter) for name, parameter in model.named_parameters() if parameter.requires_grad}


def tiny(model_cfg: dict) -> dict:
    """The config of the twin."""
    config = copy.deepcopy(model_cfg)
    for key in ('backbone', 'head'):
        part = config[key]
        if part['type'] not in TINY:
            raise ValueError(f'model.{key}.type is {part["type"]!r}; the twin knows {sorted(TINY)}: add its widths to TINY.')
        part.update({name: width(part) for name, width in TINY[part['type']].items()})
    config['head']['context_dim'] = config['backbone']['embed_dim']
    return config


def _raw_outputs(model: nn.Module, images: torch.Tensor, samples: HMRDataSample) -> dict[str, torch.Tensor]:
    features = model.backbone(images[..., :model.backbone.img_size[1]])
    guidance = None
    if model.adapter is not None:
        guidance = model.adapter.encode(samples.guidance.body_pose, samples.guidance.has_body_pose)
    return model.head(features, adapter=model.adapter, guidance=guidance)


def _guidance(batch: int) -> HMRDataSample:
    pose = axis_angle_to_rotmat(torch.randn(batch, 22, 3, dtype=torch.float64))
    return HMRDataSample(guidance=BaseDataElement(body_pose=pose, has_body_pose=torch.ones(batch, dtype=torch.float64)))


def _living(parameter: nn.Parameter) -> Fraction:
    if parameter.grad is None:
        return Fraction(0)
    gradient = parameter.grad.abs()
    return Fraction(int((gradient > _DEAD * gradient.max()).sum()), parameter.numel())


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('--depth', type=int, default=1, help='how many names of a module to list (default 1)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    args = parser.parse_args(argv)
    try:
        counted = count(load_config(args.config, args.cfg_options).model.to_dict(), args.depth)
    except (ValueError, FileNotFoundError) as error:  # the user's mistakes, told without a traceback
        sys.exit(f'count_params.py: {error}')
    print(json.dumps(dict(config=args.config, **counted), indent=1))


if __name__ == '__main__':
    main()
