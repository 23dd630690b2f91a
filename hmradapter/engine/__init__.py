"""Training: the runner, its loop and data order, hooks, optimizers, configs. Importing it makes checkpoint loading safe."""
from . import hooks
from .checkpoint_loading import use_safe_loaders
from .optim import TrainableParamsConstructor
from .resumable_data import ResumableInfiniteSampler, SeededDataset
from .runner import HMRRunner
from .train_loop import ResumableTrainLoop

use_safe_loaders()

__all__ = ['HMRRunner', 'ResumableInfiniteSampler', 'ResumableTrainLoop', 'SeededDataset', 'TrainableParamsConstructor',
           'hooks', 'use_safe_loaders']
