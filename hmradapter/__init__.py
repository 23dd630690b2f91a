"""hmradapter: adapters on frozen experts for expressive human mesh recovery (HMR-Adapter, ACM MM 2024)."""
from hmradapter.version import __version__

__all__ = ['__version__']
