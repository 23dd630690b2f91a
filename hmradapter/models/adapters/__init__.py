"""The paper's adapters and their files."""
from .adapter import Adapter
from .adapter_file import AdapterMismatchError, load_adapter, read_adapter, save_adapter
from .body_adapter import BodyAdapter
from .hand_adapter import HandAdapter

__all__ = ['Adapter', 'AdapterMismatchError', 'BodyAdapter', 'HandAdapter', 'load_adapter', 'read_adapter', 'save_adapter']
