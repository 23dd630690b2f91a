"""An interrupted run ends where the uninterrupted one ends, bit for bit; and the latest checkpoint can always be loaded."""
import os
from pathlib import Path

import pytest
import torch

from hmradapter.engine.hooks.atomic_checkpoint import latest_checkpoint
from hmradapter.fileio import load_torch
from hmradapter.models.adapters.adapter_file import AdapterMismatchError

MIXTURE = Path(__file__).parent / 'toy_mixture_config.py'


def assert_identical(a, b, path='checkpoint'):
    assert type(a) is type(b), path
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_identical(a[key], b[key], f'{path}.{key}')
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_identical(x, y, f'{path}.{i}')
    else:
        assert a == b, path


@pytest.mark.parametrize('options', [{}, dict(config=MIXTURE)], ids=['one', 'mixture'])
@pytest.mark.parametrize('workers', [0, 2])
def test_three_and_three_iterations_are_six(tmp_path, toy_runner, workers, options):
    """Dropout, augmentation, data order over a pass's end, Adam's state, schedulers and a validation in between included."""
    toy_runner(tmp_path / 'whole', **options).train()
    toy_runner(tmp_path / 'parts', train_cfg__max_iters=3, **options).train()
    toy_runner(tmp_path / 'parts', resume='auto', train_dataloader__num_workers=workers, **options).train()
    whole, parts = (load_torch(tmp_path / name / 'iter_6.pth') for name in ('whole', 'parts'))
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_identical(whole[part], parts[part], part)
    losses = [c['message_hub']['log_scalars']['train/loss'].data[0].tolist() for c in (whole, parts)]
    assert losses[0] == losses[1] and len(losses[0]) == 6
    assert len(set(losses[0])) == 6


def test_seed_of_a_run_without_one_is_resumed(tmp_path, toy_runner):
    toy_runner(tmp_path, randomness__seed=None).train()
    first = load_torch(tmp_path / 'iter_6.pth')
    resumed = toy_runner(tmp_path, resume=str(tmp_path / 'iter_3.pth'), randomness__seed=None)
    resumed.train()
    assert_identical(first['optimizer'], load_torch(tmp_path / 'iter_6.pth')['optimizer'])


@pytest.mark.parametrize('moment', ['while writing', 'before the pointer', 'before pruning'])
def test_a_run_killed_while_saving_leaves_a_loadable_latest(tmp_path, toy_runner, monkeypatch, moment):
    """The kill is an exception that no one handles, at the worst places; nothing older is kept to fall back on."""
    options = dict(default_hooks__checkpoint__max_keep_ckpts=1)
    toy_runner(tmp_path, train_cfg__max_iters=3, **options).train()

    class Killed(BaseException):
        pass

    def kill(*_, **__):
        raise Killed

    def write_half(checkpoint, file):
        file.write(b'half of a checkpoint')
        raise Killed

    runner = toy_runner(tmp_path, resume='auto', **options)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        if moment == 'while writing':
            patch.setattr(torch, 'save', write_half)
        elif moment == 'before the pointer':
            patch.setattr('hmradapter.engine.hooks.atomic_checkpoint.atomic_write', kill)
        else:
            patch.setattr('hmradapter.engine.hooks.atomic_checkpoint.Path.unlink', kill)
        runner.train()
    expected = 6 if moment == 'before pruning' else 3
    assert load_torch(latest_checkpoint(tmp_path))['meta']['iter'] == expected
    toy_runner(tmp_path, resume='auto', train_cfg__max_iters=7, **options).train()
    assert latest_checkpoint(tmp_path).name == 'iter_7.pth'


def test_old_checkpoints_are_pruned_and_partial_files_removed(tmp_path, toy_runner):
    tmp_path.joinpath('.iter_1.pth.partial-1-abc').write_bytes(b'of a killed run')
    toy_runner(tmp_path, default_hooks__checkpoint__interval=1).train()
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['iter_5.pth', 'iter_6.pth']
    assert not list(tmp_path.glob('.*'))


def test_latest_checkpoint_survives_a_moved_folder_and_names_a_lost_file(tmp_path, toy_runner):
    toy_runner(tmp_path / 'a', train_cfg__max_iters=3).train()
    os.rename(tmp_path / 'a', tmp_path / 'b')
    assert latest_checkpoint(tmp_path / 'b') == tmp_path / 'b' / 'iter_3.pth'
    (tmp_path / 'b' / 'iter_3.pth').unlink()
    with pytest.raises(FileNotFoundError, match='last_checkpoint names .*iter_3.pth'):
        latest_checkpoint(tmp_path / 'b')
    assert latest_checkpoint(tmp_path / 'c') is None


def test_checkpoint_of_another_architecture_is_refused(tmp_path, toy_runner):
    toy_runner(tmp_path, train_cfg__max_iters=3).train()
    with pytest.raises(RuntimeError, match='size mismatch for backbone.0.weight'):
        toy_runner(tmp_path, resume='auto', model__width=9).train()


def test_a_checkpoint_of_another_base_is_refused_with_both_named(tmp_path, toy_runner):
    first = toy_runner(tmp_path / 'first')
    first.train()
    last = str(tmp_path / 'first' / 'iter_6.pth')
    other = toy_runner(tmp_path / 'other', resume=last)
    other.model.base_hash = 'another base'
    with pytest.raises(AdapterMismatchError, match=f'{first.model.base_hash}.*another base'):
        other.train()


def test_interval_that_splits_an_accumulated_gradient_is_refused(tmp_path, toy_runner):
    with pytest.raises(ValueError, match='interval is 3.*accumulated over 2'):
        toy_runner(tmp_path, optim_wrapper__accumulative_counts=2).train()
