"""Every row of configs/ablations, at both scales: it says what it is, is as large as its label, and learns what it names."""
import re
import sys
import warnings
from pathlib import Path

import pytest
import torch

from hmradapter.engine.config import load_config
from hmradapter.models.adapters import save_adapter
from hmradapter.models.freezing import state_hash
from hmradapter.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / 'configs' / 'ablations').glob('*/*.py'))
ROWS = [row for row in FILES if row.parent.name in ('hand', 'body')]
DUAL = [row for row in FILES if row not in ROWS]
MAY_DIFFER = {'model', 'train_cfg', 'param_scheduler'}
SCREENFUL = 25  # lines
OPEN = {part: ROOT / 'configs' / 'open' / f'{part}_adapter_open.py' for part in ('hand', 'body')}


@pytest.fixture(scope='module')
def make_batch():
    sys.path.insert(0, str(ROOT / 'tools' / 'analysis_tools'))
    try:
        from benchmarks.experts import make_batch
    finally:
        sys.path.pop(0)
    return make_batch


@pytest.fixture(scope='module')
def body_models(open_body_models):
    """The layers that every row of one expert shares: what they read is no row's business."""
    return dict(hand=MODELS.build(dict(type='MANOLayer', model_path=str(open_body_models / 'mano'), side='right')),
                body=MODELS.build(dict(type='SMPLXLayer', model_path=str(open_body_models / 'smplx'))))


def on_the_open_world(row):
    return load_config(row, {'_base_': str(OPEN[row.parent.name])})


def may_differ(row):
    data = {'train_pipeline', 'train_dataloader'}
    differs = dict(occlusion=data | {'optim_wrapper'}, rate={'optim_wrapper'}, noise=data)
    return MAY_DIFFER.union(*(keys for name, keys in differs.items() if name in row.stem))


def built(model_cfg, **changes):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return MODELS.build(dict(model_cfg.to_dict(), body_model=None, frozen_dtype='fp32', **changes))


def test_all_rows_of_the_tables_are_there_and_no_two_have_one_work_dir():
    names = [row.stem for row in FILES]
    assert len(names) == len(set(names))
    for table in (3, 4):
        assert sum(name.startswith(f'table{table}_no') for name in names) == 6


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.stem)
def test_a_row_is_a_screenful_of_what_differs_and_counts_what_its_label_says(row):
    text = row.read_text()
    assert len(text.splitlines()) <= SCREENFUL
    cfg = load_config(row)
    with torch.device('meta'):
        model = built(cfg.model, losses=None)
    learns = sum(p.numel() for p in model.parameters() if p.requires_grad)
    said = re.search(r'(\d[\d,]{6,}) parameters', text)
    assert said is None or int(said[1].replace(',', '')) == learns
    assert said is not None or not re.match(r'table[34]_no', row.stem)
    full = load_config(ROOT / 'configs' / f'{row.parent.name}_adapter_arctic.py')
    assert {key for key in full if cfg.get(key) != full[key]} <= may_differ(row)
    assert cfg.train_cfg.max_iters == full.train_cfg.max_iters * (2 if 'scratch' in row.stem else 1)


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.stem)
def test_a_row_on_the_open_world_makes_a_step_on_what_it_names(row, body_models, make_batch, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # `expert` is named from there
    cfg = on_the_open_world(row)
    base = load_config(OPEN[row.parent.name])
    assert {key for key in base if cfg.get(key) != base[key]} <= may_differ(row)
    torch.manual_seed(0)
    model = built(cfg.model).train()
    model.body_model = body_models[row.parent.name]
    if row.parent.name == 'body':
        model.landmark_model = model.body_model.landmarks_only()
    inputs, batch = make_batch(model, 2, torch.device('cpu'))
    with torch.no_grad():  # gates and last layers at zero would hide the rest for one step
        for name, parameter in model.named_parameters():
            if name.startswith('adapter.'):
                parameter += 0.02 * torch.randn_like(parameter)
    frozen = state_hash(model.frozen_state())
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert {name.split('.')[0] for name in learning} == set(cfg.model.trainable)
    loss = sum(model(inputs, batch, mode='loss').values())
    loss.backward()
    assert loss.isfinite() and all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    reached = {name for name, p in model.named_parameters() if p.grad is not None}
    assert reached == set(learning)  # none is left out, so processes that train together need no search for it
    torch.optim.AdamW(learning.values(), lr=1e-3).step()
    assert state_hash(model.frozen_state()) == frozen
    again = built(cfg.model, adapter_file=str(save_adapter(model, tmp_path)))
    state = model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())


@pytest.mark.parametrize('base', [None, 'dual_path_ehf', 'open/dual_path_open', 'open/dual_path_3dpw_open'])
@pytest.mark.parametrize('row', DUAL, ids=lambda row: row.stem)
def test_a_row_of_whole_persons_is_the_dual_path_but_for_what_it_names(row, base):
    assert len(row.read_text().splitlines()) <= SCREENFUL
    path = ROOT / 'configs' / f'{base or "dual_path_arctic"}.py'
    cfg, full = load_config(row, {'_base_': str(path)} if base else {}), load_config(path)
    assert {key for key in full if cfg.get(key) != full[key]} <= {'model', 'test_evaluator'}
    assert cfg.test_evaluator.protocol == full.test_evaluator[-1].protocol and cfg.test_evaluator.get('row') in (None, 'expert')
    assert (cfg.model.body.adapter_file is None) == (row.stem in ('table1_expert', 'table1_combined'))
    assert all(cfg.model[part].expert == full.model[part].expert for part in ('body', 'hand'))


def test_noisy_guidance_is_one_step_of_the_pipeline():
    row = ROOT / 'configs' / 'ablations' / 'hand' / 'hand_guidance_noise.py'
    for cfg in (load_config(row), on_the_open_world(row)):
        kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
        assert kinds[-2:] == ['GuidanceNoise', 'PackHandInputs'] and kinds.count('GuidanceNoise') == 1


@pytest.mark.parametrize('name', ['hand_occlusion', 'hand_kinematic_occlusion'])
def test_hands_are_covered_once_they_are_cropped_and_the_adapter_learns_at_four_times_the_rate(name):
    row = ROOT / 'configs' / 'ablations' / 'hand' / f'{name}.py'
    for cfg in (load_config(row), on_the_open_world(row)):
        kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
        assert kinds[kinds.index('HandCrop') + 1] == 'RandomOcclusion' and kinds.count('RandomOcclusion') == 1
        assert 'RandomOcclusion' not in [step.type for step in cfg.test_dataloader.dataset.pipeline]
        model = built(cfg.model, losses=None, backbone=dict(type='HaMeRViT', depth=1, embed_dim=16, num_heads=2), expert=None,
                      head=dict(type='MANODecoderHead', context_dim=16, dim=16, depth=1, heads=2, head_dim=8, mlp_dim=16))
        optimizer = OPTIM_WRAPPER_CONSTRUCTORS.build(dict(
            type='TrainableParamsConstructor', optim_wrapper_cfg=dict(optimizer=cfg.optim_wrapper.optimizer),
            paramwise_cfg=cfg.optim_wrapper.paramwise_cfg))(model).optimizer
        assert {group['lr'] for group in optimizer.param_groups} == {4 * cfg.optim_wrapper.optimizer.lr}


def test_the_named_config_is_the_row_that_did_best():
    named, row = (load_config(ROOT / 'configs' / name) for name in ('hand_adapter_predicted_arctic.py',
                                                                    'ablations/hand/hand_occlusion.py'))
    assert all(named.get(key) == row.get(key) for key in row if 'dataloader' not in key)
    for split in ('train', 'val', 'test'):
        ours, theirs = named[f'{split}_dataloader'].to_dict(), row[f'{split}_dataloader'].to_dict()
        assert ours['dataset'].pop('guidance')['path'] == f'data/arctic/bodies_{"train" if split == "train" else "val"}.npz'
        theirs['dataset'].pop('guidance')
        assert ours == theirs


def test_a_model_from_scratch_trains_twice_as_long_at_both_scales_and_at_any_length():
    row = ROOT / 'configs' / 'ablations' / 'hand' / 'table3_no2_scratch.py'
    cfg = load_config(row, {'_base_': str(OPEN['hand']), 'iterations': 200})
    assert cfg.train_cfg.max_iters == 400 and [part.end for part in cfg.param_scheduler] == [40, 400]
    assert cfg.model.expert is None
