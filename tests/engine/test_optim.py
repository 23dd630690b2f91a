"""What the optimizer holds."""
import pytest
from torch import nn

from hmradapter.engine import TrainableParamsConstructor


def model():
    net = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].requires_grad_(False)
    net[3].weight = net[2].weight  # shared: once in the optimizer
    return net


def build(paramwise=None, **optimizer):
    config = dict(optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.5, **optimizer))
    return TrainableParamsConstructor(config, paramwise)(model()).optimizer.param_groups


def test_only_what_learns_once_in_one_group():
    group, = build()
    assert [tuple(p.shape) for p in group['params']] == [(2,), (2,), (2, 2), (2,), (2,)]


def test_groups_by_rate_and_decay():
    groups = build(dict(norm_decay_mult=0, bias_decay_mult=0, custom_keys={'3': dict(lr_mult=0.1)}))
    assert [(g['lr'], g['weight_decay'], len(g['params'])) for g in groups] == [(1.0, 0.0, 3), (1.0, 0.5, 1), (0.1, 0.5, 1)]


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"paramwise_cfg has \['norm_decay'\]"):
        build(dict(norm_decay=0))
    with pytest.raises(ValueError, match='no parameter that learns'):
        TrainableParamsConstructor(dict(optimizer=dict(type='SGD', lr=1.0)))(model().requires_grad_(False))
