"""Loading and converting experts: strict, safe, and the same weights by every way."""
import copy
import json
import os
import pickle
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest
import torch

from hmradapter.fileio import UnsafeFileError, read_safetensors, write_safetensors
from hmradapter.models.estimators import HandExpert
from hmradapter.models.expert_weights import (
    ExpertWeightsError,
    expert_hash,
    expert_state,
    hamer_from_ours,
    load_expert,
    ours_from_hamer,
)

TOOL = Path(__file__).parents[2] / 'tools' / 'model_converters' / 'convert_hamer.py'
BACKBONE = dict(type='HaMeRViT', embed_dim=32, depth=1, num_heads=2)
HEAD = dict(type='MANODecoderHead', context_dim=32, dim=40, depth=1, heads=2, head_dim=12, mlp_dim=36)


def expert(**options):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return HandExpert(backbone=dict(BACKBONE, **options), head=HEAD)


@pytest.fixture
def checkpoint(parity_file):
    """small_eps.pt as a dict of its own."""
    return torch.load(parity_file('hamer/small_eps.pt'), weights_only=True)


def convert(checkpoint, output):
    return subprocess.run([sys.executable, str(TOOL), str(checkpoint), str(output)], capture_output=True, text=True)


def test_every_key_of_the_released_model_has_one_name_here(parity_file):
    stored = json.loads(parity_file('hamer/full_size_keys.json').read_text())
    wanted = {name: tuple(shape) for name, (shape, _) in stored['keys'].items() if name.startswith(('backbone.', 'mano_head.'))}
    with torch.device('meta'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = HandExpert(backbone=dict(type='HaMeRViT'), head=dict(type='MANODecoderHead'))
    ours = {name: tuple(tensor.shape) for name, tensor in expert_state(model).items()}
    assert len(wanted) == 503
    assert {ours_from_hamer(name): shape for name, shape in wanted.items()} == ours
    assert {hamer_from_ours(name): shape for name, shape in ours.items()} == wanted
    assert ours_from_hamer('backbone.cls_token') is None and ours_from_hamer('backbone.blocks.0.norm1.scale') is None


def test_an_original_checkpoint_loads_by_path_and_says_what_it_ignored(parity_file, checkpoint):
    model = expert()
    ignored = load_expert(model, parity_file('hamer/small_eps.pt'))
    assert ignored == ['initialized']
    assert torch.equal(model.head.layers[0].cross_attn.to_q.weight,
                       checkpoint['state_dict']['mano_head.transformer.transformer.layers.0.1.fn.to_q.weight'])


@pytest.mark.parametrize('change, words', [
    (lambda state: state.pop('mano_head.deccam.bias'), r'1 missing: head\.to_cam\.bias'),
    (lambda state: state.update({'backbone.blocks.7.norm1.weight': torch.zeros(32)}), r'1 unexpected: backbone\.blocks\.7'),
    (lambda state: state.update({'backbone.cls_token': torch.zeros(32)}), r'1 keys that HaMeR does not have: backbone\.cls'),
    (lambda state: state.update({'mano_head.init_cam': torch.zeros(3)}), r'1 mis-shaped: head\.init_cam is \(3,\) instead')])
def test_a_key_too_few_too_many_or_of_another_shape_is_refused(tmp_path, checkpoint, change, words):
    change(checkpoint['state_dict'])
    torch.save(checkpoint, tmp_path / 'changed.ckpt')
    model = expert()
    before = copy.deepcopy(expert_state(model))
    with pytest.raises(ExpertWeightsError, match=f'changed.ckpt.*{words}'):
        load_expert(model, tmp_path / 'changed.ckpt')
    assert all(torch.equal(before[name], tensor) for name, tensor in expert_state(model).items())
    done = convert(tmp_path / 'changed.ckpt', tmp_path / 'out.safetensors')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert not (tmp_path / 'out.safetensors').exists()


def test_converted_weights_are_the_same_expert(tmp_path, parity_file):
    done = convert(parity_file('hamer/small_eps.pt'), tmp_path / 'out.safetensors')
    assert done.returncode == 0, done.stderr
    assert 'ignored: initialized (1 keys)' in done.stdout
    converted, original = expert(), expert()
    assert load_expert(converted, tmp_path / 'out.safetensors') == []
    load_expert(original, parity_file('hamer/small_eps.pt'))
    assert expert_hash(converted) == expert_hash(original) != expert_hash(expert())
    sizes = json.loads(read_safetensors(tmp_path / 'out.safetensors')[1]['sizes'])
    assert sizes['backbone'] == dict(embed_dim=32, depth=1, patch_size=16, tokens=192, mlp_ratio=4.0)
    assert sizes['head'] == dict(context_dim=32, dim=40, depth=1, inner_dim=24, has_to_out=True, mlp_dim=36, num_betas=10,
                                 token='zero')


@pytest.fixture
def omegaconf_module():
    """A class whose pickle names omegaconf, as the released checkpoint's hyper_parameters do."""
    module = types.ModuleType('omegaconf.dictconfig')
    module.DictConfig = type('DictConfig', (), dict(__module__='omegaconf.dictconfig'))
    parent = types.ModuleType('omegaconf')
    sys.modules.update({'omegaconf': parent, 'omegaconf.dictconfig': module})
    yield module
    del sys.modules['omegaconf'], sys.modules['omegaconf.dictconfig']


def test_a_lightning_checkpoint_with_a_pickled_config_converts(tmp_path, checkpoint, omegaconf_module):
    config = omegaconf_module.DictConfig()
    config.MODEL = dict(IMAGE_SIZE=256)
    checkpoint.update(hyper_parameters=dict(cfg=config), optimizer_states=[dict(state={0: dict(step=torch.tensor(3.0))})])
    checkpoint['state_dict']['discriminator.betas_fc1.weight'] = torch.zeros(10, 10)
    torch.save(checkpoint, tmp_path / 'hamer.ckpt')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'hamer.ckpt', weights_only=True)
    done = convert(tmp_path / 'hamer.ckpt', tmp_path / 'hamer.safetensors')
    assert done.returncode == 0, done.stderr
    assert 'ignored: discriminator (1 keys), initialized (1 keys)' in done.stdout
    load_expert(expert(), tmp_path / 'hamer.safetensors')


class Malice:
    """Touches a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


def test_a_malicious_checkpoint_is_refused_and_nothing_runs(tmp_path, checkpoint):
    checkpoint['hyper_parameters'] = Malice(tmp_path / 'ran')
    torch.save(checkpoint, tmp_path / 'hamer.ckpt')
    with pytest.raises(UnsafeFileError, match='hamer.ckpt.*system'):
        load_expert(expert(), tmp_path / 'hamer.ckpt')
    done = convert(tmp_path / 'hamer.ckpt', tmp_path / 'out.safetensors')
    assert done.returncode == 1 and 'UnsafeFileError' in done.stderr
    assert not (tmp_path / 'ran').exists() and not (tmp_path / 'out.safetensors').exists()


def test_a_lost_last_layer_of_the_released_model_is_noticed(tmp_path):
    """Depth is not inferred from a file of HaMeR's widths."""
    sys.path.insert(0, str(TOOL.parent))
    try:
        from convert_hamer import FAMILY
        from released_experts import expected_shapes
    finally:
        sys.path.pop(0)
    sizes = dict(backbone=dict(embed_dim=1280, depth=31), head=dict(dim=1024))
    assert 'backbone.blocks.31.norm_sa.weight' in expected_shapes(FAMILY, sizes)


def test_a_training_checkpoint_of_ours_loads_without_its_adapter(tmp_path):
    model = expert()
    state = dict(model.state_dict(), **{'adapter.project.weight': torch.zeros(3)})
    torch.save(dict(meta={}, state_dict=state), tmp_path / 'iter_10.pth')
    other = expert()
    assert load_expert(other, tmp_path / 'iter_10.pth') == ['adapter.project.weight']
    assert expert_hash(other) == expert_hash(model)


def test_files_that_are_no_expert(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.ckpt does not exist.*convert_hamer'):
        load_expert(expert(), tmp_path / 'nowhere.ckpt')
    write_safetensors(tmp_path / 'other.safetensors', dict(weight=torch.zeros(2)))
    with pytest.raises(ValueError, match='other.safetensors.*neither head'):
        load_expert(expert(), tmp_path / 'other.safetensors')


def test_the_hash_sees_every_value_and_no_adapter():
    model = expert()
    first = expert_hash(model)
    model.adapter = torch.nn.Linear(2, 2)
    assert expert_hash(model) == first
    model.head.init_cam += 1e-3
    assert expert_hash(model) != first
    assert expert_hash(expert().to('meta')) == ''
