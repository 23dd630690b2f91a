"""From a config and weight files to a model that is ready to look at pictures."""
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from hmradapter.engine.config import load_config
from hmradapter.models.adapters.adapter_file import read_adapter
from hmradapter.models.expert_weights import expert_hash
from hmradapter.registry import MODELS


def pick_device(device: str = 'auto') -> torch.device:
    """'auto' is the first GPU where torch sees one, else the CPU; any other name goes to torch."""
    if device == 'auto':
        device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} cannot be used here ({reason}); 'auto' or 'cpu' can.") from error


def init_model(config: str | Path | Config, checkpoint: str | Path | None = None, adapter: str | Path | None = None,
               device: str = 'auto', cfg_options: dict | None = None) -> nn.Module:
    """A model in eval mode on its device, with the config it was built from as `model.cfg`.

    Args:
        config: path of a config, or one loaded by `engine.config.load_config`.
        checkpoint: the expert's weights instead of the config's `model.expert`: .safetensors, an original HaMeR checkpoint, or
            a training checkpoint of this package (.pth).
        adapter: adapter.safetensors or its folder, instead of the config's `model.adapter_file`; 'none' or without any, the
            expert runs alone, also where the config describes an adapter: an untrained one is not the base. The files of a
            dual path stand in its config; 'none' leaves both of its adapters out.
        device: 'auto', 'cpu', 'cuda:0', ...
        cfg_options: dotted keys of the config -> values.

    Raises:
        ConfigError, FileNotFoundError, ExpertWeightsError, AdapterMismatchError, UnsafeFileError: each names file and fix.
    """
    cfg = config if isinstance(config, Config) else load_config(config, cfg_options)
    if isinstance(config, Config) and cfg_options:
        raise ValueError('cfg_options belong to a config that is given by path; change a loaded config directly.')
    options = cfg.model.to_dict() if hasattr(cfg.model, 'to_dict') else dict(cfg.model)
    if options['type'] == 'DualPathEstimator':
        return _dual_path(cfg, options, checkpoint, adapter, device)
    if checkpoint is not None:
        options['expert'] = str(checkpoint)
    if adapter is not None:
        options['adapter_file'] = None if adapter == 'none' else str(adapter)
    if options.get('adapter_file') is None:
        options['adapter'] = None
    elif options.get('adapter') is None:
        options['adapter'] = read_adapter(options['adapter_file'])[0]['architecture']
    options['trainable'] = []  # nothing learns here, so the frozen parts may run in the config's low precision
    model = MODELS.build(options)
    model.base_hash = model.base_hash or expert_hash(model)
    return _ready(model, cfg, device)


def pipeline_step(model: nn.Module, kind: str) -> dict:
    """Arguments of the one step of this kind in the test pipeline of a model's config."""
    found = [dict(step) for step in model.cfg.test_dataloader.dataset.pipeline if step['type'] == kind]
    if len(found) != 1:
        raise ValueError(f'the test pipeline of {model.cfg.filename} has {len(found)} {kind} steps; inference needs one.')
    found[0].pop('type')
    return found[0]


def _dual_path(cfg: Config, options: dict, checkpoint, adapter, device: str) -> nn.Module:
    if checkpoint is not None or adapter not in (None, 'none'):
        raise ValueError(f'{cfg.filename} is a dual path, which has two experts and two adapters: name their files in the '
                         'config, or by cfg_options such as body_adapter=FILE hand_adapter=FILE.')
    if adapter == 'none':
        for part in ('body', 'hand'):
            options[part] = dict(options[part], adapter_file=None)
    model = MODELS.build(options)
    for part in (model.body, model.hand):
        part.base_hash = part.base_hash or expert_hash(part)
    return _ready(model, cfg, device)


def _ready(model: nn.Module, cfg: Config, device: str) -> nn.Module:
    model.cfg = cfg
    return model.to(pick_device(device)).eval()
