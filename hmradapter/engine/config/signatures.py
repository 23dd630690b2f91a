"""Which keyword arguments a class or function takes, through `**kwargs` up its bases."""
import inspect
from collections.abc import Callable

from torch import nn


def accepted_keys(target: type | Callable) -> set[str] | None:
    """Names of keyword arguments; None where anything may be given."""
    if not inspect.isclass(target):
        return _function_keys(target)
    keys: set[str] = set()
    for cls in target.__mro__:
        if cls in (object, nn.Module):  # nn.Module declares **kwargs, but takes none
            return keys
        if '__init__' not in vars(cls):
            continue
        own = _function_keys(vars(cls)['__init__'], method=True)
        if own is not None:
            return keys | own  # this one passes nothing on
        keys |= _named(inspect.signature(vars(cls)['__init__']), method=True)
    return None


def _function_keys(function: Callable, method: bool = False) -> set[str] | None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C
        return None
    if any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return None
    return _named(signature, method)


def _named(signature: inspect.Signature, method: bool) -> set[str]:
    parameters = list(signature.parameters.values())[1 if method else 0:]
    return {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
