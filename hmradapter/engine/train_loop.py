"""Training by iterations that a restart cannot be told from: data order, augmentation and dropout are functions of the seed,
the iteration and the rank."""
import random

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from mmengine.runner import BaseLoop, IterBasedTrainLoop
from torch.utils.data import IterableDataset

from hmradapter.datasets.mixture import MixtureDataset
from hmradapter.engine.draw_order import mixed_seed
from hmradapter.engine.resumable_data import ResumableInfiniteSampler, SeededDataset
from hmradapter.registry import LOOPS


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """MMEngine's IterBasedTrainLoop that resumes bit for bit, at once, with any number of workers.

    Differs from it: the data loader starts at the right draw instead of replaying all that came before, and random number
    generators are seeded before each sample and each iteration, so that no generator state needs to be saved.
    """

    def __init__(self, runner, dataloader: dict, max_iters: int, val_begin: int = 1, val_interval: int = 1000):
        # Not IterBasedTrainLoop's own: it starts the data workers at draw 0, before a resumed iteration is known.
        dataset = DATASETS.build(dataloader['dataset'])
        if isinstance(dataset, IterableDataset):
            raise ValueError(f'{type(dataset).__name__} is a stream, whose samples have no numbers to resume at: train it with '
                             "train_cfg=dict(type='IterBasedTrainLoop', ...).")
        BaseLoop.__init__(self, runner, dict(dataloader, dataset=SeededDataset(dataset)))
        if not isinstance(self.dataloader.sampler, ResumableInfiniteSampler):
            raise ValueError(f'train_dataloader.sampler is {type(self.dataloader.sampler).__name__}, but ResumableTrainLoop '
                             "needs dict(type='ResumableInfiniteSampler').")
        if int(max_iters) != max_iters or max_iters < 1:
            raise ValueError(f'train_cfg.max_iters is {max_iters!r}; it must be a positive whole number.')
        self._max_iters, self._max_epochs = int(max_iters), 1
        self._iter = self._epoch = 0
        self.val_begin, self.val_interval = val_begin, val_interval
        self.stop_training = False  # set by EarlyStoppingHook
        if isinstance(self.dataloader.dataset.dataset, MixtureDataset):
            draws = 1000 * self.dataloader.batch_size * get_world_size()
            print_log(f'{self.dataloader.dataset.summary(draws)}, which are 1000 iterations.', 'current')
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, 'metainfo', None)

    def run(self):
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')  # the whole training is one epoch, as in IterBasedTrainLoop
        batches = self._batches()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches))
            if self._validates_now():
                self.runner.val_loop.run()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_iter(self, data_batch) -> None:
        seed = mixed_seed(self.runner.seed, self._iter, get_rank(), 1)  # 1: not the seed of any sample
        random.seed(seed)
        np.random.seed(seed % 2 ** 32)
        torch.manual_seed(seed)
        super().run_iter(data_batch)

    def _batches(self):
        """The data from the current iteration on. The seed is read here: resuming may have replaced it."""
        self.dataloader.dataset.seed = self.runner.seed
        self.dataloader.sampler.start_at(self._iter * self.dataloader.batch_size, self.runner.seed)
        return iter(self.dataloader)

    def _validates_now(self) -> bool:
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        return self.runner.val_loop is not None and self._iter >= self.val_begin and due
