"""One file is all that learnt: an adapter, an adapter and parts of the expert, parts alone, or everything."""
import json
import warnings

import pytest
import torch
from tiny_experts import BODY, HAND
from torch import nn

from hmradapter.models.adapters import AdapterMismatchError, load_adapter, read_adapter, save_adapter
from hmradapter.models.expert_weights import expert_state
from hmradapter.models.freezing import state_hash
from hmradapter.registry import MODELS

CONCATENATION = dict(type='ConcatenationHandAdapter')


def expert(trainable, adapter=None, seed=0, part=HAND, **fields):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return MODELS.build(dict(part, adapter=adapter, trainable=trainable, **fields))


def trained(model):
    """The model after a step on all that learns, and what batch norms count besides."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d) and module.weight.requires_grad:
                module.running_mean += 1
    return model


def everything(model):
    return state_hash(model.state_dict().items())


@pytest.mark.parametrize('trainable, adapter', [(['adapter'], CONCATENATION), (['head', 'adapter'], CONCATENATION),
                                                (['head'], None), (['backbone', 'head'], None), (['head.to_cam'], None)])
def test_the_file_brings_back_what_learnt_and_nothing_else(trainable, adapter, tmp_path):
    model = trained(expert(trainable, adapter))
    path = save_adapter(model, tmp_path)
    again = expert(trainable, adapter, adapter_file=str(path))
    frozen = expert([], adapter, adapter_file=str(path))  # as one that only looks loads it
    assert everything(again) == everything(frozen) == everything(model)
    card, stored = read_adapter(path)
    of_expert = {name.removeprefix('expert.') for name in stored if name.startswith('expert.')}
    learns = {name for name in expert_state(model) if name.startswith(tuple(f'{part}.' for part in trainable))}
    assert of_expert == learns and card['expert_tensors'] == len(learns)
    assert card['parameters'] == sum(tensor.numel() for tensor in stored.values())
    assert json.loads((tmp_path / 'adapter.json').read_text())['expert_tensors'] == len(learns)
    assert again.base_is_intact == (trainable == ['adapter'])


def test_running_statistics_of_parts_that_learn_are_in_it(tmp_path):
    model = trained(expert(['head'], part=BODY))
    again = expert(['head'], part=BODY, adapter_file=str(save_adapter(model, tmp_path)))
    assert everything(again) == everything(model) != everything(expert(['head'], part=BODY))


def test_what_stays_of_the_base_must_be_the_base(tmp_path):
    model = expert(['head', 'adapter'], CONCATENATION)
    path = save_adapter(model, tmp_path)
    other = expert(['head', 'adapter'], CONCATENATION, seed=1)
    with pytest.raises(AdapterMismatchError, match=f'{model.base_hash}.*{other.base_hash}'):
        load_adapter(other, path)


def test_a_file_with_the_whole_expert_fits_any_base(tmp_path):
    """A model from scratch has no base: its random start need not be found again."""
    model = trained(expert(['backbone', 'head']))
    assert model.base_hash == ''
    other = expert([], seed=1, adapter_file=str(save_adapter(model, tmp_path)))
    assert everything(other) == everything(model) and not other.base_is_intact


def test_a_file_of_another_expert_is_refused_before_anything_is_written(tmp_path):
    path = save_adapter(expert(['head']), tmp_path)
    wide = dict(HAND, head=dict(HAND['head'], mlp_dim=48))
    model = expert(['head'], part=wide)
    model.base_hash = read_adapter(path)[0]['base_hash']
    before = everything(model)
    with pytest.raises(AdapterMismatchError, match=r"'expert.head.layers.0.ff.0.bias' is \(32,\) in the file and \(48,\)"):
        load_adapter(model, path)
    assert everything(model) == before
    with pytest.raises(AdapterMismatchError, match='was built without an adapter'):
        load_adapter(expert(['head']), save_adapter(expert(['head', 'adapter'], CONCATENATION), tmp_path))


@pytest.mark.parametrize('adapter, trainable', [(CONCATENATION, ['head', 'adapter']),
                                                (dict(type='LoRAAdapter', places=['backbone']), ['adapter'])])
def test_a_dual_path_has_no_base_rows_where_the_base_is_gone(adapter, trainable, tmp_path):
    path = save_adapter(expert(trainable, adapter), tmp_path)
    hand = expert([], adapter, adapter_file=str(path))
    parts = dict(type='DualPathEstimator', body=expert([], part=BODY), hand=hand, hand_crop=dict(type='HandCrop'))
    with pytest.raises(ValueError, match="rows is .*adapter of hand changes the expert"):
        MODELS.build(dict(parts, rows=('combined',)))
    assert MODELS.build(parts).rows == ()


def test_an_unknown_adapter_is_named():
    with pytest.raises(KeyError, match='HandAdaptor is not in'):
        expert(['adapter'], dict(type='HandAdaptor'))
