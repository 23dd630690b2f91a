"""LoRA through peft: the expert stays what it is, and beside it the update is W + alpha / rank B A."""
import copy
import warnings

import pytest
import torch
from tiny_experts import BODY, HAND

from hmradapter.models.adapters import LoRAAdapter, save_adapter
from hmradapter.models.expert_weights import expert_hash, expert_state
from hmradapter.models.freezing import state_hash
from hmradapter.registry import MODELS
from hmradapter.structures import HMRDataSample

PLACES = [['decoder'], ['backbone'], ['decoder', 'backbone']]
INPUTS = dict(HandExpert=(3, 128, 128), WholeBodyExpert=(3, 128, 96))


def expert(part, places=None, **fields):
    torch.manual_seed(0)
    adapter = places and dict(type='LoRAAdapter', places=places, rank=3, alpha=6)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return MODELS.build(dict(part, adapter=adapter, trainable=['adapter'] if places else None, **fields)).eval()


def run(model):
    """Raw predictions of two crops; without guidance, which LoRA does not read."""
    crops = torch.rand(2, *INPUTS[type(model).__name__], generator=torch.Generator().manual_seed(1))
    nothing = HMRDataSample()
    nothing.guidance = HMRDataSample(body_pose=torch.zeros(2, 22, 3, 3), has_body_pose=torch.zeros(2))
    return model(crops, nothing)


def awake(adapter):
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))


def differ(a, b):
    return {name for name in a if not torch.equal(a[name], b[name])}


@pytest.mark.parametrize('places', PLACES, ids='+'.join)
@pytest.mark.parametrize('part', [HAND, BODY], ids=['hand', 'body'])
def test_it_starts_at_the_expert_and_leaves_names_and_hash_alone(part, places):
    base, model = expert(part), expert(part, places)
    assert not differ(run(base), run(model))
    assert expert_state(model).keys() == expert_state(base).keys()
    assert model.base_hash == expert_hash(model) == expert_hash(base)
    awake(model.adapter)
    assert differ(run(base), run(model))
    adapter, model.adapter = model.adapter, None  # the expert alone, as the dual path's rows want it
    assert not differ(run(base), run(model))
    assert adapter.in_backbone == ('backbone' in places)


@pytest.mark.parametrize('part', [HAND, BODY], ids=['hand', 'body'])
def test_updates_are_those_of_merged_weights(part):
    model, merged = expert(part, PLACES[2]), expert(part)
    awake(model.adapter)
    with torch.no_grad():
        for name, update in model.adapter.updates.items():
            merged.get_submodule(name.replace('/', '.')).weight += 2 * update['B'].weight @ update['A'].weight
    found, expected = run(model), run(merged)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('places', PLACES, ids='+'.join)
@pytest.mark.parametrize('part', [HAND, BODY], ids=['hand', 'body'])
def test_a_step_teaches_the_updates_alone(part, places):
    model = expert(part, places).train()
    awake(model.adapter)
    frozen, learns = state_hash(model.frozen_state()), {n for n, p in model.named_parameters() if p.requires_grad}
    assert learns == {f'adapter.{name}' for name, _ in model.adapter.named_parameters()}
    assert {name for name, _ in model.frozen_state() if name.startswith(('backbone.', 'head.'))} == set(expert_state(model))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    before = {name: p.detach().clone() for name, p in model.adapter.named_parameters()}
    sum(value.square().sum() for value in run(model).values()).backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()} == learns
    optimizer.step()
    assert not {name for name, p in model.adapter.named_parameters() if torch.equal(before[name], p)}
    assert state_hash(model.frozen_state()) == frozen


@pytest.mark.parametrize('places', PLACES, ids='+'.join)
def test_the_adapters_file_holds_the_updates_alone(places, tmp_path):
    model = expert(HAND, places)
    awake(model.adapter)
    path = save_adapter(model, tmp_path)
    again = expert(HAND, places, adapter_file=str(path))
    assert not differ(run(model), run(again)) and path.stat().st_size < 40_000
    assert {name.split('/')[0] for name in again.adapter.updates} == {dict(decoder='head').get(p, p) for p in places}


def test_the_expert_is_put_back_when_a_piece_fails():
    model = expert(HAND, ['decoder'])
    names = [name for name, _ in model.named_modules()]
    with pytest.raises(RuntimeError), model.adapter.standing_in():
        raise RuntimeError('a piece')
    assert [name for name, _ in model.named_modules()] == names


def test_a_copy_has_updates_of_its_own():
    model = expert(HAND, PLACES[2])
    other = copy.deepcopy(model)
    awake(other.adapter)
    assert differ(run(model), run(other)) and not differ(run(model), run(expert(HAND)))


def test_a_backbone_in_bf16_keeps_its_updates_in_fp32():
    model = expert(HAND, ['backbone'], )
    awake(model.adapter)
    exact = run(model)['betas']
    model.frozen_dtype = 'bf16'
    coarse = run(model)['betas']
    assert next(model.backbone.parameters()).dtype == torch.bfloat16
    assert {p.dtype for p in model.adapter.parameters()} == {torch.float32}
    assert 0 < (exact - coarse).abs().max() < 0.1
    coarse.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.adapter.parameters())


@pytest.mark.parametrize('places', [[], ['head'], ['decoder', 'encoder']])
def test_unknown_places_are_named(places):
    with pytest.raises(ValueError, match=r"must name some of \['backbone', 'decoder'\]"):
        LoRAAdapter(places)
