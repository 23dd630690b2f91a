"""Configs that are made of other configs: `dict(from_config=('hand_adapter_arctic.py', 'model'), adapter_file=...)`.

`_base_` inherits a whole config and cannot take two that both have a `model`. Here a dict becomes an entry of another config,
with the further keys laid over it. Paths are relative to the config that is loaded, or to one of its bases.
"""
from collections.abc import Callable, Sequence
from pathlib import Path

from mmengine.config import Config

from .errors import ConfigError, suggestion

KEY = 'from_config'
OPTIONS = 'options'  # what `load_config` lays over the other config before the entry is taken


def fill_parts(cfg: Config, folders: Sequence[Path], load: Callable[[Path, dict], Config]) -> None:
    """Replace every such dict of `cfg` in place. `folders`: where paths may start, the first that has the file counts.

    Raises:
        ConfigError: no such file, or no such entry in it.
    """
    for key in list(cfg):
        if not key.startswith('_'):
            cfg[key] = _filled(cfg[key], folders, load)


def _filled(value, folders: Sequence[Path], load: Callable[[Path, dict], Config]):
    if isinstance(value, (list, tuple)):
        return type(value)(_filled(item, folders, load) for item in value)
    if not isinstance(value, dict):
        return value
    if KEY in value:
        value = _part(dict(value), folders, load)
    return {key: _filled(item, folders, load) for key, item in value.items()}


def _part(value: dict, folders: Sequence[Path], load: Callable[[Path, dict], Config]) -> dict:
    name, entry = value.pop(KEY)
    found = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if found is None:
        raise ConfigError(name, [f'it is named by {KEY}, but is not in {", ".join(dict.fromkeys(map(str, folders)))}.'])
    other = load(found, value.pop(OPTIONS, None) or {})
    if not isinstance(other.get(entry), dict):
        raise ConfigError(str(found), [f'{KEY} asks for its {entry!r}, which it does not have.{suggestion(entry, other)}'])
    merged = Config(dict(part=other[entry].to_dict()))
    merged.merge_from_dict({f'part.{key}': item for key, item in value.items()})
    return merged.part.to_dict()
