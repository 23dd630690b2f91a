"""The paper's recipe for the body, shrunken: two processes train, what is frozen stays, and test.py reads the adapter back."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = 'configs/body_adapter_arctic.py'
sys.path.insert(0, str(ROOT / 'tests' / 'datasets'))
from arctic_fixture import write_arctic  # noqa: E402

SHRUNKEN = [
    'model.backbone.embed_dim=32', 'model.backbone.depth=1', 'model.backbone.num_heads=2', 'model.head.context_dim=32',
    'adapter.dim=32', 'adapter.depth=2', 'adapter.heads=2', 'adapter.head_dim=16', 'adapter.mlp_dim=32', 'iterations=12',
    'train_dataloader.batch_size=2', 'source.stride=1', 'optim_wrapper.optimizer.lr=0.003',
    'default_hooks.logger.interval=1', 'visualizer.vis_backends=[]',
    *(f'{name}_dataloader.{key}' for name in ('train', 'val', 'test') for key in ('num_workers=0', 'persistent_workers=False'))]


def run(*command) -> str:
    environment = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, text=True, timeout=900,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope='module')
def options(tmp_path_factory, open_body_models) -> list[str]:
    root = tmp_path_factory.mktemp('arctic')
    write_arctic(root, open_body_models)
    return ['--cfg-options', *SHRUNKEN, f'data_root={root}', f'body_model_root={open_body_models}',
            'val_evaluator.protocol=bodies', 'test_evaluator.protocol=bodies']


def test_two_processes_train_it_and_test_reads_it_back(options, tmp_path):
    said = run('bash', 'tools/dist_train.sh', CONFIG, 2, '--work-dir', tmp_path / 'train', *options)
    losses = [float(value) for value in re.findall(r'Iter\(train\).*?  loss: (\S+)', said)]
    assert len(losses) == 12 and sum(losses[-3:]) < 0.95 * sum(losses[:3])
    assert re.search(r'all \d+ frozen tensors are bit-identical', said)
    said_pve = re.search(r'Iter\(val\).*body/PVE: (\S+)', said)[1]
    run(sys.executable, 'tools/test.py', CONFIG, '--adapter', tmp_path / 'train' / 'adapter.safetensors', '--work-dir',
        tmp_path / 'test', *options)
    metrics = json.loads((tmp_path / 'test' / 'test_metrics.json').read_text())['metrics']
    assert metrics['body/PVE'] == pytest.approx(float(said_pve), abs=2e-3)
    card = json.loads((tmp_path / 'train' / 'adapter.json').read_text())
    assert card['architecture']['type'] == 'BodyAdapter' and card['iteration'] == 12
