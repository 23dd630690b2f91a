"""The paper's mixtures on tiny releases of their data sets: trained by two processes, read from prepared folders."""
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hmradapter.datasets import sources
from hmradapter.engine.config import load_config
from hmradapter.registry import DATASETS
from hmradapter.synthetic.layouts import LAYOUTS

ROOT = Path(__file__).parents[2]
ENVIRONMENT = dict(os.environ, PYTHONPATH=str(ROOT), PYTHON=sys.executable, OMP_NUM_THREADS='1')
SOURCES = dict(rich=sources.RICHSource, bedlam=sources.BEDLAMSource, freihand=sources.FreiHANDSource,
               interhand=sources.InterHandSource, h36m=sources.H36MSource)
MIXTURES = dict(hand=['rich', 'bedlam', 'freihand', 'interhand'], body=['h36m', 'rich', 'bedlam'])


@pytest.fixture(scope='module')
def layouts(tmp_path_factory, open_body_models):
    """Folder of the releases; <layouts>/prepared/<name>-train leads to what is prepared of each."""
    root = tmp_path_factory.mktemp('layouts')
    (root / 'prepared').mkdir()
    for name, source in SOURCES.items():
        LAYOUTS[name](root / name, open_body_models)
        store = source(data_root=root / name, body_model_root=open_body_models, split='train').prepare()
        (root / 'prepared' / f'{name}-train').symlink_to(store.folder)
    return root


@pytest.mark.parametrize('kind', MIXTURES)
def test_the_mixture_trains_with_four_workers_and_two_processes(kind, layouts, tmp_path):
    done = subprocess.run(
        ['bash', 'tools/dist_train.sh', f'configs/open/{kind}_adapter_mixed_open.py', '2', '--no-validate', '--work-dir',
         tmp_path, '--cfg-options', f'layouts={layouts}', 'train_dataloader.batch_size=2', 'default_hooks.logger.interval=10'],
        cwd=ROOT, env=ENVIRONMENT, text=True, timeout=900, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout[-3000:]
    assert 'num_workers=4' in done.stdout and f'Mixture of {len(MIXTURES[kind])} data sets' in done.stdout
    losses = [float(loss) for loss in re.findall(r'Iter\(train\) .* loss: ([0-9.]+)', done.stdout)]
    assert len(losses) == 2 and re.search(r'Iter\(train\) \[20/20\]', done.stdout)
    assert re.search(r'all \d+ frozen tensors are bit-identical', done.stdout) and (tmp_path / 'adapter.safetensors').exists()


@pytest.mark.parametrize('kind', MIXTURES)
def test_the_mixture_reads_prepared_folders(kind, layouts):
    cfg = load_config(ROOT / 'configs' / f'{kind}_adapter_mixed.py', dict(prepared=str(layouts / 'prepared')))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert [part.metainfo['dataset'] for part in dataset.datasets] == MIXTURES[kind]
    for name, part in zip(MIXTURES[kind], dataset.datasets, strict=True):
        sample = part[0]['data_samples']
        assert sample.key.startswith(name)
        if kind == 'hand':  # who has no body is guided by zeros
            assert float(sample.guidance.has_body_pose) == (name in ('rich', 'bedlam'))
            assert bool(sample.guidance.body_pose.any()) == (name in ('rich', 'bedlam'))
    if kind == 'body':  # Human3.6M has no fingers
        assert not dataset[0]['data_samples'].gt.pose_valid[23:].any()
