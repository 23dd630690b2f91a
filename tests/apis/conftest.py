"""A tiny hand expert with random weights on disk, an adapter that fits it, and pictures."""
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from hmradapter.apis import HandModel, init_model
from hmradapter.fileio import write_safetensors
from hmradapter.models.adapters.adapter_file import save_adapter
from hmradapter.models.expert_weights import expert_state

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='session')
def weights(open_body_models, tmp_path_factory) -> SimpleNamespace:
    """Paths of config, expert and adapter, and the options that make the config find its body model from anywhere."""
    folder = tmp_path_factory.mktemp('weights')
    config = ROOT / 'configs' / 'open' / 'hand_adapter_open.py'
    options = {'body_model_root': str(Path(open_body_models).resolve())}
    torch.manual_seed(0)
    expert = init_model(ROOT / 'configs' / 'open' / 'hand_expert_open.py', device='cpu', cfg_options=options)
    with torch.no_grad():  # hands stand before the camera, as a trained network has them
        expert.head.to_cam.weight.mul_(0.05)
        expert.head.to_cam.bias.zero_()
        expert.head.init_cam.copy_(torch.tensor([0.9, 0, 0]))
    write_safetensors(folder / 'expert.safetensors', {name: value.contiguous() for name, value in expert_state(expert).items()})

    from hmradapter.engine.config import load_config
    from hmradapter.registry import MODELS
    cfg = load_config(config, options | {'model.expert': str(folder / 'expert.safetensors')})
    adapted = MODELS.build(cfg.model)
    for parameter in adapted.adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    adapter = save_adapter(adapted, folder / 'adapter', config='test')
    return SimpleNamespace(config=str(config), expert=str(folder / 'expert.safetensors'), adapter=str(adapter), options=options)


@pytest.fixture(scope='session')
def base_model(weights):
    return init_model(weights.config, weights.expert, device='cpu', cfg_options=weights.options)


@pytest.fixture(scope='session')
def adapted_model(weights):
    return init_model(weights.config, weights.expert, weights.adapter, device='cpu', cfg_options=weights.options)


@pytest.fixture(scope='session')
def hand_model(base_model):
    return HandModel.of(base_model.body_model)


@pytest.fixture(scope='session')
def picture() -> np.ndarray:
    """A smooth coloured picture (240, 320, 3) uint8 BGR."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 7)


@pytest.fixture(scope='session')
def body() -> np.ndarray:
    """A guiding body, (22, 3) axis-angle."""
    return np.random.default_rng(1).normal(0, 0.3, (22, 3)).astype(np.float32)
