"""The bodies that guide hands at test time, and in rows that train so: predicted by the frozen whole-body expert alone."""
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config

from hmradapter.engine.config import load_config
from hmradapter.fileio import atomic_write, load_npz

from .commands import Processes, alone_in, file_mark, option_arguments, option_values, read_options
from .scales import Scale, scenes_of

PLACES = ('body_model_root', 'data_root')


@dataclass(frozen=True)
class Guide:
    """The whole-body expert of a scale. expert: its file, where the config names none; options: --cfg-options of the user, of
    which PLACES concern it."""
    scale: Scale
    root: Path
    expert: str | None
    options: tuple[str, ...]

    def bodies(self, domain: str, split: str) -> Path:
        """Where the bodies of a split of a domain lie."""
        return self.root / self.scale.name / 'predicted_bodies' / f'{domain}-{split}.npz'

    def test_options(self, domain: str, split: str) -> dict[str, str]:
        folder = self.scale.data['body'][domain]
        options = {'data_root': folder} if folder else {}
        options['test_evaluator.dump_meshes'] = 'False'
        if self.expert:
            options['expert'] = self.expert
        if split == 'train':
            options['test_dataloader.dataset.source.split'] = 'train'
        return options | {key: value for key, value in read_options(self.options).items() if key in PLACES}

    def identity(self) -> str:
        """Hash of all that the bodies depend on but the code: the expert's config, file and crops, and how data is made."""
        cfg = load_config(self.scale.guide, option_values(self.test_options('target', 'val')))
        parts = [Config(dict(model=cfg.model, test_dataloader=cfg.test_dataloader)).pretty_text,
                 file_mark(cfg.model.get('expert')), *scenes_of(self.scale, 'body')]
        return hashlib.sha256('|'.join(parts).encode()).hexdigest()

    def predict(self, domain: str, split: str, processes: Processes) -> None:
        """Write `bodies` where they are missing or another guide's: what the expert's evaluation dumps.

        Raises:
            RunError: the evaluation failed, or another process makes bodies here.
        """
        path, identity = self.bodies(domain, split), self.identity()
        mark, whole = path.with_suffix('.identity'), path.with_suffix('.whole.npz')
        if path.is_file() and mark.is_file() and mark.read_text() == identity:
            return
        with alone_in(path.parent):
            processes.run([sys.executable, 'tools/test.py', self.scale.guide, '--adapter', 'none', '--work-dir',
                           str(path.parent / 'log'), '--dump', str(whole), *option_arguments(self.test_options(domain, split))],
                          path.with_suffix('.log'))
            arrays = load_npz(whole, ('key', 'pred_global_orient', 'pred_body_pose'))
            mark.unlink(missing_ok=True)
            with atomic_write(path) as file:
                np.savez(file, **{name: arrays[name] for name in ('key', 'pred_global_orient', 'pred_body_pose')})
            whole.unlink()
            with atomic_write(mark, 'w') as file:
                file.write(identity)
