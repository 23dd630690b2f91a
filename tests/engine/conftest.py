"""Runs of the toy, in this process."""
import sys
import uuid
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the config imports `toy`, as a user's config imports his own modules

from hmradapter.engine import HMRRunner  # noqa: E402
from hmradapter.engine.config import load_config  # noqa: E402
from hmradapter.engine.launch import set_resume  # noqa: E402

TOY = HERE / 'toy_config.py'


@pytest.fixture
def toy_runner():
    """`toy_runner(work_dir, resume=None, config=TOY, **options)`: a runner of the toy; options have `__` for dots."""
    def build(work_dir, resume=None, config=TOY, **options) -> HMRRunner:
        cfg = load_config(config, {key.replace('__', '.'): value for key, value in options.items()})
        cfg.work_dir, cfg.experiment_name = str(work_dir), uuid.uuid4().hex  # two runs of one second share no log
        set_resume(cfg, resume)
        return HMRRunner.from_cfg(cfg)
    return build
