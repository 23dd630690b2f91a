"""Checkpoints of which the latest can always be loaded, whenever the process is killed."""
from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook

from hmradapter.fileio import atomic_write, remove_partial_files
from hmradapter.registry import HOOKS

POINTER = 'last_checkpoint'  # MMEngine's name: a text file with the path of the latest checkpoint


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook in another order: write the new file whole, point to it, only then remove the oldest.

    A user changes `interval` and `max_keep_ckpts`. Runs under HMRRunner, whose `save_checkpoint` replaces files atomically.
    """

    def __init__(self, interval: int = 1000, by_epoch: bool = False, max_keep_ckpts: int = 2, save_last: bool = True,
                 save_optimizer: bool = True, save_param_scheduler: bool = True, save_best: str | Sequence[str] | None = None,
                 rule: str | Sequence[str] | None = None, save_begin: int = 0):
        super().__init__(interval=interval, by_epoch=by_epoch, max_keep_ckpts=max_keep_ckpts, save_last=save_last,
                         save_optimizer=save_optimizer, save_param_scheduler=save_param_scheduler, save_best=save_best,
                         rule=rule, save_begin=save_begin)

    def before_train(self, runner) -> None:
        accumulated = runner.optim_wrapper._accumulative_counts
        if self.interval > 0 and self.interval % accumulated:
            raise ValueError(f'checkpoint.interval is {self.interval}, but gradients are accumulated over {accumulated} '
                             'iterations and a checkpoint does not hold half of a sum: make it a multiple.')
        super().before_train(runner)
        if is_main_process():
            Path(self.out_dir).mkdir(parents=True, exist_ok=True)
            remove_partial_files(self.out_dir)

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        outdated = self._make_room(runner, step)
        path = Path(self.out_dir) / self.filename_tmpl.format(step)
        self.last_ckpt = str(path)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(self.out_dir, path.name, save_optimizer=self.save_optimizer,
                               save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch)
        if is_main_process():
            with atomic_write(Path(runner.work_dir) / POINTER, 'w') as file:
                file.write(self.last_ckpt)
            if outdated is not None:
                (Path(self.out_dir) / self.filename_tmpl.format(outdated)).unlink(missing_ok=True)

    def _make_room(self, runner, step: int) -> int | None:
        """Note `step` as kept, before it is saved, so that the note is in the checkpoint; returns the step to remove after."""
        if self.max_keep_ckpts <= 0 or step in self.keep_ckpt_ids:
            return None
        full = len(self.keep_ckpt_ids) == self.max_keep_ckpts
        outdated = self.keep_ckpt_ids.popleft() if full else None
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return outdated


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The checkpoint that `last_checkpoint` in `work_dir` names, also after the folder was moved; None without one.

    Raises:
        FileNotFoundError: the named file is gone.
    """
    pointer = Path(work_dir) / POINTER
    if not pointer.exists():
        return None
    named = Path(pointer.read_text().strip())
    for path in (named, pointer.with_name(named.name)):
        if path.exists():
            return path
    raise FileNotFoundError(f'{pointer} names {named}, which does not exist: give a checkpoint to --resume, or remove '
                            f'{pointer} to start anew.')
