"""Speed among the logged scalars."""
from mmengine.dist import get_world_size
from mmengine.hooks import Hook

from hmradapter.registry import HOOKS


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Adds `samples_per_s`, over all ranks, beside MMEngine's `time` and `data_time` (seconds an iteration, and of it waiting
    for data), so that logs and TensorBoard show them with losses and learning rate."""
    priority = 55  # between IterTimerHook (50), which measures, and LoggerHook (60), which writes

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        seconds = runner.message_hub.get_scalar('train/time').current()
        samples = len(data_batch['inputs']) * get_world_size()
        runner.message_hub.update_scalar('train/samples_per_s', samples / seconds)
