"""Every way to a checkpoint keeps weights_only on."""
import os

import mmengine
import pytest
import torch
from mmengine.runner import CheckpointLoader

from hmradapter.fileio import UnsafeFileError


class Attack:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}',)


@pytest.fixture
def evil(tmp_path):
    torch.save(dict(state_dict={}, meta=dict(iter=0, epoch=0), message_hub=Attack(tmp_path / 'marker')), tmp_path / 'evil.pth')
    yield tmp_path / 'evil.pth'
    assert not (tmp_path / 'marker').exists()


def test_resume_and_load_from(evil, tmp_path, toy_runner):
    with pytest.raises(UnsafeFileError, match='evil.pth.*posix.system'):
        toy_runner(tmp_path / 'run', resume=str(evil)).train()
    with pytest.raises(UnsafeFileError, match='evil.pth.*posix.system'):
        toy_runner(tmp_path / 'run', load_from=str(evil)).train()


def test_mmengines_own_functions_and_urls(evil, monkeypatch):
    with pytest.raises(UnsafeFileError):
        mmengine.runner.load_checkpoint(torch.nn.Linear(1, 1), str(evil))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(evil.parent / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda url, path: os.link(evil, path))
    with pytest.raises(UnsafeFileError):
        CheckpointLoader.load_checkpoint('https://example.org/evil.pth')
    with pytest.raises(ValueError, match='s3://bucket/a.pth.*download'):
        CheckpointLoader.load_checkpoint('s3://bucket/a.pth')
