"""Laws of what the body adapter is compared with: how they start, what they see, what is missing, what they cost."""
import warnings

import pytest
import torch
import torch.nn.functional as F
from tiny_experts import BODY

from hmradapter.models.adapters import Adapter
from hmradapter.models.heads import HandMaps
from hmradapter.registry import MODELS

SIZES = dict(depth=1, dim=32, heads=2, head_dim=16, mlp_dim=32, ffn_hidden=(40,))
RIVALS = dict(TaskTokenBodyAdapter=SIZES, ConcatenationBodyAdapter=dict(), WeightedSumBodyAdapter=dict(),
              BottleneckBodyAdapter=dict(width=8))
KNUCKLES = ['ConcatenationBodyAdapter', 'WeightedSumBodyAdapter']
FULL = [('TaskTokenBodyAdapter', dict(), 36_508_292), ('ConcatenationBodyAdapter', dict(conv='frozen'), 540_672),
        ('ConcatenationBodyAdapter', dict(), 1_196_544), ('WeightedSumBodyAdapter', dict(conv='frozen'), 6_884_483),
        ('BottleneckBodyAdapter', dict(), 165_184)]


def expert(name=None, **fields):
    """The same random expert for every adapter, with boxes of some size."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = MODELS.build(dict(BODY, adapter=None if name is None else dict(RIVALS[name], type=name), **fields)).eval()
    with torch.no_grad():
        for size in model.head.boxes.to_size.values():
            size[-1].bias.fill_(2.0)  # cells
    return model


def awake(adapter, seed=1):
    """The adapter as training leaves it: nothing is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return adapter


def crops(batch=3):
    return torch.rand(batch, 3, 128, 96, generator=torch.Generator().manual_seed(2))


def person(model, batch=3, seed=3):
    """Tokens, joints and hands as the head hands them over."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(batch, *shape, generator=generator)  # noqa: E731
    boxes = torch.tensor([[10.0, 20, 42, 52], [50, 40, 82, 72]]).expand(batch, 2, 4)
    hands = HandMaps(normal(2, 32, 8, 8).flatten(0, 1), normal(2, 24, 8, 8).flatten(0, 1).relu(),
                     1 + 5 * torch.rand(2 * batch, 20, 3, generator=generator), boxes)
    return normal(25, 32), normal(25, 3), hands


def regress(model, tokens, positions, hands, guidance=None):
    return model.adapter.regress(model.head.body_rotation, tokens, positions, hands, guidance)


@pytest.mark.parametrize('name, options, count', FULL)
def test_counts_at_full_size(name, options, count):
    with torch.device('meta'):
        adapter = MODELS.build(dict(options, type=name))
    assert sum(p.numel() for p in adapter.parameters()) == count


def test_an_adapter_that_overrides_nothing_is_the_expert():
    model = expert()
    plain, model.adapter = model(crops()), Adapter()
    beside = model(crops())
    assert all(torch.equal(plain[name], beside[name]) for name in plain)


@pytest.mark.parametrize('name', ['TaskTokenBodyAdapter', 'ConcatenationBodyAdapter', 'BottleneckBodyAdapter'])
def test_they_start_at_the_expert_bit_for_bit_and_change_the_pose_alone(name):
    base, model = expert()(crops()), expert(name)
    with torch.no_grad():
        assert all(torch.equal(base[key], value) for key, value in model(crops()).items())
        awake(model.adapter)
        changed = {key for key, value in model(crops()).items() if not torch.equal(base[key], value)}
    assert changed == {'global_orient', 'body_pose', 'pose'}


@pytest.mark.parametrize('name', RIVALS)
def test_who_reads_the_hands(name):
    model = expert(name)
    awake(model.adapter)
    tokens, positions, hands = person(model)
    others = hands._replace(features=hands.features.flip(0), projected=hands.projected.flip(0))
    same = torch.equal(regress(model, tokens, positions, hands), regress(model, tokens, positions, others))
    assert same == (name not in KNUCKLES)


@pytest.mark.parametrize('name', KNUCKLES)
def test_without_a_knuckle_they_are_the_expert_and_a_missing_hand_counts_nothing(name):
    model = expert(name)
    awake(model.adapter)
    tokens, positions, hands = person(model)
    plain = model.head.body_rotation(tokens, positions)
    torch.testing.assert_close(regress(model, tokens, positions, hands, dict(has_hands=torch.zeros(3, 2))), plain)
    one = dict(has_hands=torch.tensor([[0.0, 1]] * 3))
    found = regress(model, tokens, positions, hands, one)
    left = hands.features.clone()
    left[:3] = 100 * torch.randn(3, 32, 8, 8)
    assert torch.equal(regress(model, tokens, positions, hands._replace(features=left), one), found)
    assert (found - plain).abs().max() > 1e-3
    found.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.adapter.parameters())


def test_concatenation_is_one_wider_linear_layer():
    """The paper's reading written out: 25 x (512 + 3) and 8 x 512 numbers into one regressor."""
    model = expert('ConcatenationBodyAdapter')
    awake(model.adapter)
    tokens, positions, hands = person(model)
    keys, seen = model.adapter.guide(hands, None)
    assert seen.all()
    regressor = model.head.body_rotation
    given = torch.cat((torch.cat((regressor.project(tokens), positions), dim=2).flatten(1), keys.flatten(1)), dim=1)
    rows = torch.cat((regressor.to_root.weight, regressor.to_body.weight))
    bias = torch.cat((regressor.to_root.bias, regressor.to_body.bias))
    wide = F.linear(given, torch.cat((rows, model.adapter.to_pose.weight), dim=1), bias)
    torch.testing.assert_close(regress(model, tokens, positions, hands), wide, atol=1e-5, rtol=1e-5)


def test_the_task_token_adapter_reads_the_tokens_and_is_as_large_as_ours():
    model = expert('TaskTokenBodyAdapter')
    awake(model.adapter)
    tokens, positions, hands = person(model)
    offset = regress(model, tokens, positions, hands) - model.head.body_rotation(tokens, positions)
    turned = regress(model, tokens.flip(1), positions, hands) - model.head.body_rotation(tokens.flip(1), positions)
    torch.testing.assert_close(turned, offset, atol=1e-4, rtol=1e-4)  # attention does not see the tokens' order
    other = regress(model, tokens + 1, positions, hands) - model.head.body_rotation(tokens + 1, positions)
    assert (other - offset).abs().max() > 1e-2
