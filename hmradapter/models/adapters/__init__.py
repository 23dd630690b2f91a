"""The paper's adapters, what they are compared with, our own, and their files."""
from .adapter import Adapter
from .adapter_file import AdapterMismatchError, load_adapter, read_adapter, save_adapter
from .body_adapter import BodyAdapter
from .body_rivals import ConcatenationBodyAdapter, TaskTokenBodyAdapter, WeightedSumBodyAdapter
from .bottleneck import BottleneckBodyAdapter, BottleneckHandAdapter
from .hand_adapter import HandAdapter
from .hand_rivals import ConcatenationHandAdapter, ImageTokenHandAdapter, WeightedSumHandAdapter
from .kinematic_hand_adapter import KinematicHandAdapter
from .lora import LoRAAdapter

__all__ = ['Adapter', 'AdapterMismatchError', 'BodyAdapter', 'BottleneckBodyAdapter', 'BottleneckHandAdapter',
           'ConcatenationBodyAdapter', 'ConcatenationHandAdapter', 'HandAdapter', 'ImageTokenHandAdapter',
           'KinematicHandAdapter', 'LoRAAdapter', 'TaskTokenBodyAdapter', 'WeightedSumBodyAdapter', 'WeightedSumHandAdapter',
           'load_adapter', 'read_adapter', 'save_adapter']
