"""Before a run: processes joined with the right backend, the checkpoint to go on from found."""
import contextlib
import ctypes
import datetime
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import print_log

from hmradapter.body_models.model_files import BodyModelFileError
from hmradapter.datasets.store.prepared import StoreError
from hmradapter.engine.config import ConfigError
from hmradapter.engine.hooks.atomic_checkpoint import latest_checkpoint
from hmradapter.fileio import DamagedFileError, UnsafeFileError
from hmradapter.models.adapters.adapter_file import AdapterMismatchError
from hmradapter.models.expert_layouts import ExpertWeightsError

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
# rank, processes, rank within the machine: the variables that each launcher sets
_VARIABLES = dict(pytorch=('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
                  mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'))


# What is wrong with a file or an option of the user's, whenever it is noticed. Other errors keep their traceback.
USER_ERRORS = (AdapterMismatchError, BodyModelFileError, ConfigError, DamagedFileError, ExpertWeightsError, FileNotFoundError,
               StoreError, UnsafeFileError)


@contextlib.contextmanager
def mistakes_told_plainly() -> Iterator[None]:
    """End the program with one line instead of a traceback where the user's files or options are at fault."""
    try:
        yield
    except USER_ERRORS as error:
        sys.exit(f'{Path(sys.argv[0]).name}: {error}')


def join_processes(cfg: Config, launcher: str = 'none') -> None:
    """Start torch.distributed in this process, unless `launcher` is 'none', and note it in the config for the runner.

    MMEngine's own start needs CUDA; this one takes gloo where there is none. `env_cfg.dist_cfg` may name a `backend` ('auto':
    nccl with CUDA, else gloo) and a `timeout` in seconds, after which a missing process is an error.
    """
    cfg.launcher = launcher
    if launcher == 'none':
        return
    if launcher not in _VARIABLES:
        raise ValueError(f'launcher is {launcher!r}; it must be one of {LAUNCHERS}.')
    missing = [name for name in _VARIABLES[launcher] if name not in os.environ]
    if missing:
        raise ValueError(f'--launcher {launcher} needs the environment variables {missing}, which that launcher sets: start '
                         'with tools/dist_train.sh or tools/slurm_train.sh, or leave --launcher out for one process.')
    if launcher == 'pytorch':
        _die_with_launcher()
    values = [os.environ[name] for name in _VARIABLES[launcher]]
    os.environ.update(zip(_VARIABLES['pytorch'], values, strict=True))
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_slurm_host() if launcher == 'slurm' else '127.0.0.1'
    os.environ.setdefault('MASTER_PORT', '29500')
    if torch.cuda.is_available():
        local_rank = int(values[2])
        if local_rank >= torch.cuda.device_count():
            raise ValueError(f'process {local_rank} of this machine has no GPU: it has {torch.cuda.device_count()}. '
                             'Start as many processes as there are GPUs.')
        torch.cuda.set_device(local_rank)
    options = cfg.get('env_cfg', {}).get('dist_cfg', {})
    backend = options.get('backend', 'auto')
    if backend == 'auto':
        backend = 'nccl' if torch.cuda.is_available() else 'gloo'
    dist.init_process_group(backend, timeout=datetime.timedelta(seconds=options.get('timeout', 1800)))


def leave_processes() -> None:
    """End torch.distributed in order, so that no rank waits for another that has left."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def set_resume(cfg: Config, resume: str | None) -> None:
    """Let a run go on from a checkpoint: a path, 'auto' for the latest in `cfg.work_dir`, None to start anew."""
    latest = latest_checkpoint(cfg.work_dir) if resume == 'auto' or resume is None else None
    if resume is None:
        if latest is not None:
            print_log(f'{cfg.work_dir} holds {latest.name} of an earlier run, which this one replaces; --resume would go on '
                      'from it.', logger='current')
        return
    if resume != 'auto' and not Path(resume).is_file():
        raise FileNotFoundError(f'--resume {resume} does not exist; without a path it takes the latest checkpoint of the '
                                'work dir.')
    path = latest if resume == 'auto' else resume
    if path is None:
        print_log(f'{cfg.work_dir} holds no checkpoint yet: training starts anew.', logger='current')
        return
    cfg.resume, cfg.load_from = True, str(path)


def _die_with_launcher() -> None:
    """Linux: be killed when torchrun is. Otherwise its processes train on unseen, beside the run that is resumed after it."""
    if sys.platform == 'linux':
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of linux/prctl.h
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _first_slurm_host() -> str:
    hosts = subprocess.run(['scontrol', 'show', 'hostnames', os.environ['SLURM_JOB_NODELIST']], capture_output=True, text=True,
                           check=True)
    return hosts.stdout.split()[0]
