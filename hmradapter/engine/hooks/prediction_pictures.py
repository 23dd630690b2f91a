"""Pictures of what the network predicts, as it learns."""
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from hmradapter.registry import HOOKS
from hmradapter.structures import stack_samples


@HOOKS.register_module()
class PredictionVisualizationHook(Hook):
    """Every `interval` iterations, draws the first `num_samples` crops of the batch with labels and predicted meshes.

    The sheet goes to the run's vis_data folder and to TensorBoard. Needs `visualizer=dict(type='PredictionVisualizer')`.
    """
    priority = 'LOW'

    def __init__(self, interval: int = 500, num_samples: int = 4):
        self.interval, self.num_samples = interval, num_samples

    def before_train(self, runner) -> None:
        if not hasattr(runner.visualizer, 'add_batch'):
            raise ValueError(f'PredictionVisualizationHook draws with a PredictionVisualizer, but visualizer.type is '
                             f'{type(runner.visualizer).__name__!r}: set it, or remove the hook.')

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if not self.every_n_train_iters(runner, self.interval) or not is_main_process():
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        crops = data_batch['inputs'][:self.num_samples]
        samples = stack_samples(data_batch['data_samples'].split()[:self.num_samples])
        model.eval()
        with torch.no_grad():
            predicted = model.test_step(dict(inputs=crops, data_samples=samples))
        model.train()
        frame = getattr(getattr(model, 'head', None), 'frame', None)  # whole-body experts have one
        runner.visualizer.add_batch('predictions', crops, predicted, model.body_model.faces, runner.iter + 1, frame)
