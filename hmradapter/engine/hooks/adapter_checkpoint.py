"""The adapter alone, beside the full checkpoints."""
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from hmradapter.models.adapters.adapter_file import save_adapter
from hmradapter.registry import HOOKS


@HOOKS.register_module()
class AdapterCheckpointHook(Hook):
    """Writes adapter.safetensors and adapter.json into the work dir with every checkpoint, and at the end of training."""
    priority = 'LOW'

    def before_run(self, runner) -> None:
        self.config = runner.cfg.pretty_text  # formatting it takes a good part of a second: once

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:  # called by the main process only
        self._save(runner, checkpoint['meta']['iter'])

    def after_train(self, runner) -> None:
        if is_main_process():
            path = self._save(runner, runner.iter)
            runner.logger.info(f'The adapter is saved to {path}.')

    def _save(self, runner, iteration: int):
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        return save_adapter(model, runner.work_dir, config=self.config, iteration=iteration, seed=runner.seed)
