"""What happens around training: checkpoints, the adapter's file, proof that frozen parts stay frozen, speed, pictures."""
from .adapter_checkpoint import AdapterCheckpointHook
from .atomic_checkpoint import AtomicCheckpointHook
from .frozen_params import FrozenParamsError, FrozenParamsHook
from .prediction_pictures import PredictionVisualizationHook
from .throughput import ThroughputHook

__all__ = ['AdapterCheckpointHook', 'AtomicCheckpointHook', 'FrozenParamsError', 'FrozenParamsHook',
           'PredictionVisualizationHook', 'ThroughputHook']
