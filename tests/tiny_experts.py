"""Both experts in a few thousand parameters, with random weights on disk, and a config that joins them into a dual path."""
from pathlib import Path

import pytest
import torch

from hmradapter.fileio import write_safetensors
from hmradapter.models.adapters import save_adapter
from hmradapter.models.expert_weights import EXPERT_FORMAT, expert_state
from hmradapter.registry import MODELS

BODY = dict(
    type='WholeBodyExpert', frozen_dtype='fp32',
    backbone=dict(type='SMPLerXViT', img_size=(128, 96), embed_dim=32, depth=1, num_heads=2),
    head=dict(type='SMPLerXHead', context_dim=32, boxes=dict(dim=16), hand_rotation=dict(dim=24), body_rotation=dict(dim=16),
              frame=dict(img_size=(128, 96), map_size=(8, 8, 6), hand_map_size=(8, 8, 8), focal=(2500.0, 2500.0),
                         princpt=(48.0, 64.0))))
BODY_ADAPTER = dict(type='BodyAdapter', depth=1, dim=32, heads=2, head_dim=16, mlp_dim=32, ffn_hidden=(40,))
HAND = dict(
    type='HandExpert', frozen_dtype='fp32',
    backbone=dict(type='HaMeRViT', img_size=(128, 96), embed_dim=32, depth=1, num_heads=2),
    head=dict(type='MANODecoderHead', context_dim=32, dim=32, depth=2, heads=2, head_dim=16, mlp_dim=32))
HAND_ADAPTER = dict(type='HandAdapter', joints='arm')
CROP = dict(type='HandCrop', image_size=128)
PIPELINE = [dict(type='LoadImage'), dict(type='PersonCrop', size=(256, 192), ratio=1.2),
            dict(type='PackPersonInputs', image=True)]


def write_experts(folder: Path, body_models: Path) -> dict[str, dict]:
    """Configs of the parts 'body' and 'hand' with weights in `folder`, random ones with boxes of hands of some size."""
    parts = dict(body=dict(BODY, body_model=dict(type='SMPLXLayer', model_path=str(body_models))),
                 hand=dict(HAND, body_model=dict(type='MANOLayer', model_path=str(body_models))))
    for name, part in parts.items():
        torch.manual_seed(0)
        with pytest.warns(UserWarning, match='RANDOM WEIGHTS'):
            model = MODELS.build(part)
        if name == 'body':
            for size in model.head.boxes.to_size.values():
                torch.nn.init.constant_(size[-1].bias, 2.0)  # cells
        part['expert'] = str(folder / f'{name}.safetensors')
        write_safetensors(part['expert'], expert_state(model), dict(format=EXPERT_FORMAT))
    return parts


def write_adapters(parts: dict[str, dict], folder: Path) -> dict[str, dict]:
    """Further keys of both parts: adapters that do something."""
    files = {}
    for name, adapter in dict(body=BODY_ADAPTER, hand=HAND_ADAPTER).items():
        model = MODELS.build(dict(parts[name], adapter=adapter, trainable=['adapter']))
        with torch.no_grad():
            for parameter in model.adapter.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
        save_adapter(model, folder / name)
        files[name] = dict(adapter=adapter, adapter_file=str(folder / name))
    return files


def write_dual_path(path: Path, parts: dict[str, dict], adapters: dict[str, dict]) -> Path:
    """A config file of a DualPathEstimator of such parts, which takes every hand."""
    model = dict({name: dict(part, **adapters.get(name, {})) for name, part in parts.items()}, type='DualPathEstimator',
                 hand_crop=CROP, min_side=0.0, min_inside=0.0)
    path.write_text(f'model = {model!r}\ntest_dataloader = dict(dataset=dict(pipeline={PIPELINE!r}))\n')
    return path
