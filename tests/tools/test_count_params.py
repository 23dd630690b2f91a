"""Parameter counts of the paper's recipe, and of small models against gradients that were really computed."""
import json
import runpy
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / 'tools' / 'analysis_tools' / 'count_params.py'))
FULL = str(ROOT / 'configs' / 'hand_adapter_arctic.py')
BODY = str(ROOT / 'configs' / 'body_adapter_arctic.py')


def counted(capsys, *arguments, config=FULL) -> dict:
    TOOL['main']([config, *arguments])
    return json.loads(capsys.readouterr().out)


def test_the_papers_recipe(capsys):
    begin = time.process_time()
    got = counted(capsys)
    assert time.process_time() - begin < 20
    assert {name: part['total'] for name, part in got['modules'].items()} == dict(
        backbone=630_912_000, head=39_497_837, adapter=26_759_936)
    assert got['trainable'] == 26_759_936 and got['frozen'] == got['expert'] == 630_912_000 + 39_497_837
    assert got['trainable_with_gradient'] == 26_759_936 - 6_291_456  # q and k rows of six layers (one query token)
    assert got['total'] == got['trainable'] + got['frozen']


def test_the_papers_recipe_for_the_body(capsys):
    begin = time.process_time()
    got = counted(capsys, config=BODY)
    assert time.process_time() - begin < 20
    assert {name: part['total'] for name, part in got['modules'].items()} == dict(
        backbone=630_951_680, head=30_875_416, adapter=36_508_292)
    assert got['trainable'] == 36_508_292 and got['frozen'] == got['expert'] == 661_827_096
    # q and k rows of six layers (one query token), and what a zero is multiplied with
    assert got['trainable_with_gradient'] == 36_508_292 - 6_291_456 - 1024


@pytest.mark.parametrize('options, trainable, dead', [
    (['model.adapter.conv=per_hand'], 37_164_164, 6_292_480),
    (['model.adapter.conv=frozen', 'model.adapter.ffn_hidden=[1024,1024]'], 36_902_020, 6_292_480),
    (['model.adapter.root=False'], 36_502_142, 6_292_480),
    # k biases of the ViT shift a whole softmax; mouth, eye and hand tokens are keys of others all the same
    (['model.adapter=None', 'model.trainable=None'], 661_827_096, 32 * 1280)])
def test_other_readings_of_the_body_adapter_and_the_whole_expert(capsys, options, trainable, dead):
    got = counted(capsys, '--cfg-options', *options, config=BODY)
    assert got['trainable'] == trainable and got['trainable_with_gradient'] == trainable - dead


def test_own_norms_and_depth_of_the_listing(capsys):
    got = counted(capsys, '--cfg-options', 'model.adapter.own_norms=True', '--depth', '3')
    assert got['trainable'] == 26_784_512
    blocks = [part['trainable'] for name, part in got['modules'].items() if name.startswith('adapter.blocks.')]
    assert len(blocks) == 6 and len(set(blocks)) == 1


def small(adapter=None, trainable=('adapter',), **head) -> dict:
    return dict(type='HandExpert',
                backbone=dict(type='HaMeRViT', img_size=(64, 48), embed_dim=48, depth=2, num_heads=3, drop_path_rate=0.0),
                head=dict(type='MANODecoderHead', context_dim=48, dim=40, depth=2, heads=4, head_dim=12, mlp_dim=24, **head),
                adapter=adapter, trainable=list(trainable) if adapter else None, frozen_dtype='fp32')


@pytest.mark.parametrize('config', [
    small(dict(type='HandAdapter')), small(dict(type='HandAdapter', own_norms=True, joint_embedding=True, zero_gate=True)),
    small(dict(type='HandAdapter', joints='body')), small(), small(token='mean_shape', ief_iters=3),
    small(dict(type='KinematicHandAdapter')), small(dict(type='KinematicHandAdapter', compare=True)),
    small(dict(type='ImageTokenHandAdapter')),
    small(dict(type='WeightedSumHandAdapter'), ['head', 'adapter']),
    small(dict(type='LoRAAdapter', places=['decoder', 'backbone'], rank=2))],
    ids=['paper', 'switches', 'body', 'expert alone', 'error feedback', 'kinematic', 'compared', 'image tokens',
         'weighted sum', 'lora'])
def test_small_models_against_their_own_gradients(config):
    """Through the estimator's own forward, fused, in float32, at the model's own size."""
    torch.manual_seed(1)
    model = TOOL['build'](config, 'cpu')
    for name, parameter in model.named_parameters():
        if name.endswith(('gate', 'joint_embedding', 'B.weight')):
            torch.nn.init.normal_(parameter.data)  # at their initial zero they hide the rest for one step
    outputs = model(torch.randn(4, 3, 64, 64), TOOL['_guidance'](4).map(torch.Tensor.float), mode='tensor')
    sum((value * torch.randn_like(value)).sum() for value in outputs.values()).backward()
    alive = 0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.grad is not None:
            gradient = parameter.grad.abs()
            alive += int((gradient > 1e-6 * gradient.max()).sum()) if 'to_qkv.bias' in name else int((gradient > 0).sum())
    got = TOOL['count'](config)
    assert got['trainable_with_gradient'] == alive < got['trainable']


def test_a_model_whose_twin_is_unknown_is_named(capsys):
    config = small()
    config['backbone']['type'] = 'OtherViT'
    with pytest.raises(ValueError, match="'OtherViT'; the twin knows"):
        TOOL['tiny'](config)


def test_the_column_of_trainable_parameters_beside_the_papers(capsys):
    TOOL['main'](['--tables'])
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in capsys.readouterr().out.splitlines()[2:]]
    assert len(rows) == 12
    for _, row, counted, paper in rows:
        millions = int(counted.replace(',', '')) / 1e6
        printed = '670' if paper == '671M' else paper[:-1]  # docs/paper.md
        assert printed in (f'{millions:.0f}', str(int(millions))), row  # rounded, or cut as 39.5 to 39


def test_a_config_or_the_tables_are_asked_for(capsys):
    with pytest.raises(SystemExit):
        TOOL['main']([])
