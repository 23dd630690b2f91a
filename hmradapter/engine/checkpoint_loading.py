"""Every way by which MMEngine reads a checkpoint, with `weights_only` on.

MMEngine 0.10.7 calls `torch.load(path)`: torch >= 2.6 then refuses its checkpoints (HistoryBuffer), and older torch runs
whatever a file's pickle says. Its loader of URLs switches `weights_only` off. All of them are replaced here.
"""
import os
from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_rank
from mmengine.runner import CheckpointLoader

from hmradapter.fileio import load_torch

_UNSUPPORTED = (r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'pavi://', 'modelzoo://', 'torchvision://', 'open-mmlab://', 'openmmlab://',
                'mmcls://')


def load_from_file(path: str, map_location=None):
    """A local checkpoint; `~` is expanded."""
    return load_torch(os.path.expanduser(path), map_location=map_location or 'cpu')


def load_from_url(url: str, map_location=None):
    """A checkpoint behind http(s), downloaded once into torch.hub's folder by the first process."""
    path = Path(torch.hub.get_dir()) / 'checkpoints' / Path(urlparse(url).path).name
    if get_rank() == 0 and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path))  # writes a temporary file and renames it
    barrier()
    return load_from_file(str(path), map_location)


def load_from_store(path: str, map_location=None):
    raise ValueError(f'{path} is in a store that this package does not read: download the file and give its local path.')


def use_safe_loaders() -> None:
    """Replace MMEngine's loaders of all prefixes. Importing `hmradapter.engine` calls it."""
    CheckpointLoader.register_scheme('', load_from_file, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'), load_from_url, force=True)
    CheckpointLoader.register_scheme(_UNSUPPORTED, load_from_store, force=True)
