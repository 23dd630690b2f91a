"""Configs that are wrong fail before anything is built, with the nearest right name."""
from .errors import ConfigError
from .loading import load_config
from .validation import validate

__all__ = ['ConfigError', 'load_config', 'validate']
