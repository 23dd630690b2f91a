"""The command lines, as a user types them, on the toy of tests/engine."""
import contextlib
import json
import os
import random
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from hmradapter.engine.hooks.atomic_checkpoint import latest_checkpoint
from hmradapter.engine.launch import join_processes
from hmradapter.fileio import load_torch, read_safetensors

ROOT = Path(__file__).parents[2]
ENGINE_TESTS = ROOT / 'tests' / 'engine'
TOY = ENGINE_TESTS / 'toy_config.py'
ENVIRONMENT = dict(os.environ, PYTHONPATH=f'{ENGINE_TESTS}:{ROOT}', PYTHON=sys.executable, OMP_NUM_THREADS='1')


def run(*command, check=True) -> str:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=ENVIRONMENT, text=True, timeout=600,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert not check or done.returncode == 0, done.stdout[-3000:]
    return done.stdout if check else f'{done.returncode}: {done.stdout}'


def tool(name, *arguments, check=True):
    return run(sys.executable, f'tools/{name}.py', *arguments, check=check)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """One process, four draws an iteration, no dropout (its mask would differ by rank)."""
    work_dir = tmp_path_factory.mktemp('alone')
    tool('train', TOY, '--work-dir', work_dir, '--cfg-options', 'batch=4', 'model.dropout=0')
    return work_dir


def test_two_processes_train_as_one(trained, tmp_path):
    log = run('bash', 'tools/dist_train.sh', TOY, 2, '--work-dir', tmp_path, '--cfg-options', 'batch=2', 'model.dropout=0')
    assert 'all 7 frozen tensors are bit-identical' in log
    alone, _ = read_safetensors(trained / 'adapter.safetensors')
    together, _ = read_safetensors(tmp_path / 'adapter.safetensors')
    for name in alone:
        assert (alone[name] - together[name]).abs().max() < 1e-5
    again = run('bash', 'tools/dist_train.sh', TOY, 2, '--work-dir', tmp_path, '--resume', '--cfg-options', 'batch=2',
                'train_cfg.max_iters=7')
    assert 'resumed epoch: 0, iter: 6' in again and (tmp_path / 'iter_7.pth').exists()


def test_checkpoints_are_tested_alone_and_together(trained, tmp_path):
    same = ['--cfg-options', 'test_dataloader.dataset.noise=0.0']  # the toy's noise differs by process
    tool('test', TOY, trained / 'iter_6.pth', '--work-dir', tmp_path / 'a', *same)
    run('bash', 'tools/dist_test.sh', TOY, 2, trained / 'iter_6.pth', '--work-dir', tmp_path / 'b', *same)
    alone, together = (json.loads((tmp_path / name / 'test_metrics.json').read_text())['metrics'] for name in 'ab')
    assert alone['toy/count'] == together['toy/count'] == 11
    assert alone['toy/error'] == pytest.approx(together['toy/error'], rel=1e-6)


def running(work_dir) -> list[str]:
    """Command lines of processes that were given this work dir."""
    lines = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):  # ended meanwhile
            lines.append(path.read_text().replace('\0', ' '))
    return [line for line in lines if str(work_dir) in line]


def test_a_run_killed_at_a_random_moment_goes_on(tmp_path):
    """SIGKILL of the launcher while 2 processes save at every iteration: they die with it, and --resume goes on."""
    options = ['--cfg-options', 'train_cfg.max_iters=100000', 'train_cfg.val_interval=100000',
               'default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=100000']
    process = subprocess.Popen(['bash', 'tools/dist_train.sh', str(TOY), '2', '--work-dir', str(tmp_path), *options], cwd=ROOT,
                               env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 300
    while not (tmp_path / 'last_checkpoint').exists():
        assert process.poll() is None and time.monotonic() < give_up
        time.sleep(0.01)
    time.sleep(random.uniform(0, 1))
    process.send_signal(signal.SIGKILL)
    process.wait()
    while sys.platform == 'linux' and running(tmp_path):
        assert time.monotonic() < give_up, 'the processes train on without their launcher'
        time.sleep(0.1)
    reached = load_torch(latest_checkpoint(tmp_path))['meta']['iter']
    log = run('bash', 'tools/dist_train.sh', TOY, 2, '--work-dir', tmp_path, '--resume', '--cfg-options',
              f'train_cfg.max_iters={reached + 2}')
    assert f'resumed epoch: 0, iter: {reached}' in log
    assert latest_checkpoint(tmp_path).name == f'iter_{reached + 2}.pth'
    assert not list(tmp_path.glob('.*partial*'))


def main_of(name):
    """`main` of tools/<name>.py in this process, which spares its imports."""
    return runpy.run_path(str(ROOT / 'tools' / f'{name}.py'))['main']


@pytest.mark.parametrize(('name', 'arguments', 'message'), [
    ('train', ['--cfg-options', 'model.widthh=3'], "ToyExpert has no argument 'widthh'. Did you mean 'width'?"),
    ('train', ['--resume', 'absent.pth'], '--resume absent.pth does not exist'),
    ('train', ['--launcher', 'slurm'], "needs the environment variables ['SLURM_PROCID'"),
    ('test', ['absent.pth'], 'absent.pth does not exist'),
    ('test', [str(TOY), '--adapter', str(TOY)], 'give either the checkpoint or --adapter')])
def test_mistakes_are_told_in_one_line_and_leave_nothing_behind(tmp_path, monkeypatch, name, arguments, message):
    monkeypatch.syspath_prepend(str(ENGINE_TESTS))
    with pytest.raises(SystemExit) as caught:
        main_of(name)([str(TOY), *arguments, '--work-dir', str(tmp_path)])
    assert message in caught.value.code and not list(tmp_path.iterdir())


def test_resume_without_a_checkpoint_starts_anew(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ENGINE_TESTS))
    main_of('train')([str(TOY), '--work-dir', str(tmp_path), '--resume', '--no-validate', '--cfg-options',
                      'train_cfg.max_iters=1'])
    log, = tmp_path.glob('*/*.log')
    assert 'Iter(train) [1/1]' in log.read_text() and 'Iter(val)' not in log.read_text()
    assert (tmp_path / 'iter_1.pth').exists()


@pytest.mark.parametrize('name', ['train', 'test'])
def test_help_has_examples(name, capsys):
    with pytest.raises(SystemExit):
        main_of(name)(['--help'])
    said = capsys.readouterr().out
    assert f'python tools/{name}.py' in said and '--cfg-options' in said and '--launcher' in said


@pytest.mark.parametrize('name', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_scripts_say_how_to_be_used(name):
    said = run('bash', f'tools/{name}.sh', check=False)
    assert said.startswith(f'2: # bash tools/{name}.sh')


def test_slurm_script_starts_one_task_per_gpu(tmp_path):
    """A stand-in for srun prints what it was asked for."""
    (tmp_path / 'srun').write_text('#!/bin/bash\necho "$@"\n')
    (tmp_path / 'srun').chmod(0o755)
    said = run('env', f'PATH={tmp_path}:{os.environ["PATH"]}', 'GPUS=4', 'SRUN_ARGS=--time=1 --mem=2', 'bash',
               'tools/slurm_train.sh', 'gpu', 'job', 'CONFIG', '--resume')
    assert re.search(r'--partition=gpu --job-name=job --gres=gpu:4 --ntasks=4 --ntasks-per-node=4 .*--time=1 --mem=2 '
                     r'.*train\.py CONFIG --resume --launcher slurm', said)


@pytest.mark.parametrize(('launcher', 'names'), [
    ('slurm', ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID')),
    ('mpi', ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'))])
def test_variables_of_slurm_and_mpi_are_passed_on(monkeypatch, tmp_path, launcher, names):
    (tmp_path / 'scontrol').write_text('#!/bin/bash\n[ "$3" = "node[3-4]" ] && printf "node3\\nnode4\\n"\n')
    (tmp_path / 'scontrol').chmod(0o755)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(name, 'x')  # so that what the call sets is undone after the test
        monkeypatch.delenv(name)
    variables = dict(zip(names, '350', strict=True), SLURM_JOB_NODELIST='node[3-4]', PATH=f'{tmp_path}:/bin:/usr/bin')
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    asked = {}
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.distributed, 'init_process_group',
                        lambda backend, **options: asked.update(options, backend=backend))
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='auto', timeout=60))))
    join_processes(cfg, launcher)
    assert [os.environ[name] for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')] == ['3', '5', '0'] and cfg.launcher == launcher
    assert os.environ['MASTER_ADDR'] == ('node3' if launcher == 'slurm' else '127.0.0.1')
    assert asked['backend'] == 'gloo' and asked['timeout'].total_seconds() == 60
