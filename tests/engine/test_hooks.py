"""Laws of the frozen base, the adapter's file and the logged scalars."""
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from hmradapter.engine.hooks import FrozenParamsError, PredictionVisualizationHook
from hmradapter.engine.hooks.frozen_params import check_ranks, frozen_modules
from hmradapter.structures import HMRDataSample, stack_samples


def test_frozen_parts_keep_their_bits_and_the_rest_learns(tmp_path, toy_runner):
    runner = toy_runner(tmp_path)
    before = {name: tensor.clone() for name, tensor in runner.model.state_dict().items()}
    modes = []
    runner.model.backbone[2].register_forward_hook(lambda module, *_: modes.append(module.training))
    runner.train()
    after = runner.model.state_dict()
    assert all(torch.equal(before[name], after[name]) == name.startswith('backbone') for name in before)
    assert set(modes) == {False}  # BaseModel.train() puts the dropout in training mode before each iteration


def test_frozen_modules_are_all_but_the_trainable_parts_and_the_root(toy_runner, tmp_path):
    model = toy_runner(tmp_path).model
    frozen = {name for name, module in model.named_modules() if module in frozen_modules(model)}
    assert frozen == {'data_preprocessor', 'backbone', 'backbone.0', 'backbone.1', 'backbone.2'}


def test_a_frozen_weight_that_moved_fails_the_run_by_name(tmp_path, toy_runner):
    with pytest.raises(FrozenParamsError, match='1 of 7 frozen tensors changed.*backbone.0.weight'):
        toy_runner(tmp_path, model__broken='writes').train()


def test_an_optimizer_with_frozen_parameters_is_refused_before_training(tmp_path, toy_runner):
    with pytest.raises(FrozenParamsError, match='optimizer holds 4 frozen parameters: backbone.0.bias'):
        toy_runner(tmp_path, optim_wrapper__constructor='DefaultOptimWrapperConstructor').train()
    with pytest.raises(FrozenParamsError, match='optimizer holds'):  # a model that forgot to freeze
        toy_runner(tmp_path, model__broken='not frozen').train()
    assert not list(tmp_path.glob('*.pth'))


def test_buffers_that_no_checkpoint_holds_are_watched_too(tmp_path, toy_runner):
    model = toy_runner(tmp_path).model
    model.backbone.register_buffer('table', torch.zeros(3), persistent=False)
    assert 'backbone.table' in dict(model.frozen_state())


def test_an_unknown_trainable_part_is_named(tmp_path, toy_runner):
    with pytest.raises(ValueError, match="trainable names 'adaptor'.*'adapter'"):
        toy_runner(tmp_path, model__trainable=['adaptor'])


def test_adapter_file_is_written_with_the_checkpoints(tmp_path, toy_runner):
    runner = toy_runner(tmp_path)
    runner.train()
    card = json.loads((tmp_path / 'adapter.json').read_text())
    assert card['iteration'] == 6 and card['base_hash'] == runner.model.base_hash and 'ToyExpert' in card['config']
    assert (tmp_path / 'adapter.safetensors').stat().st_size < 10_000


def test_scalars_reach_the_log_and_tensorboard(tmp_path, toy_runner):
    toy_runner(tmp_path).train()
    vis, = tmp_path.glob('*/vis_data')
    rows = [json.loads(line) for line in (vis / 'scalars.json').read_text().splitlines()]
    assert {'loss', 'lr', 'samples_per_s', 'data_time', 'time', 'grad_norm'} <= rows[0].keys()
    assert [row['step'] for row in rows if 'toy/error' in row] == [4, 6]
    assert list(vis.glob('events.out.tfevents*'))


def test_groups_of_parameters_pass_the_optimizer_check(tmp_path, toy_runner):
    toy_runner(tmp_path, optim_wrapper__paramwise_cfg=dict(bias_decay_mult=0.0), train_cfg__max_iters=1).train()


def test_ranks_with_differing_bases_are_refused(monkeypatch):
    monkeypatch.setattr('hmradapter.engine.hooks.frozen_params.all_gather_object', lambda mine: [mine, dict(mine, a='00')])
    with pytest.raises(FrozenParamsError, match='1 frozen tensors of rank 1 differ from those of rank 0, first a'):
        check_ranks(dict(a='ff', b='ee'))


class Hands(torch.nn.Module):
    """Predicts the samples that it is given; notes in which mode."""
    body_model = SimpleNamespace(faces=np.zeros((1, 3), int))

    def test_step(self, data):
        self.mode = self.training, torch.is_grad_enabled()
        return data['data_samples'].split()


def test_pictures_show_the_first_crops_every_so_often():
    gt = BaseDataElement(betas=torch.ones(10))
    batch = stack_samples([HMRDataSample(metainfo=dict(key=str(i)), gt=gt) for i in range(6)])
    drawn = []
    visualizer = SimpleNamespace(add_batch=lambda *said: drawn.append(said))
    runner = SimpleNamespace(model=Hands().train(), iter=0, visualizer=visualizer)
    hook = PredictionVisualizationHook(interval=2, num_samples=3)
    hook.before_train(runner)
    for runner.iter in range(5):
        hook.after_train_iter(runner, runner.iter, dict(inputs=torch.zeros(6, 3, 8, 8), data_samples=batch))
    assert [(name, len(crops), [s.key for s in samples], step) for name, crops, samples, _, step, _ in drawn] == [
        ('predictions', 3, ['0', '1', '2'], 2), ('predictions', 3, ['0', '1', '2'], 4)]
    assert runner.model.mode == (False, False) and runner.model.training
    with pytest.raises(ValueError, match="visualizer.type is 'object'"):
        hook.before_train(SimpleNamespace(visualizer=object()))
