"""Configs from a file and a command line, checked as a whole."""
import tempfile
from pathlib import Path

from mmengine.config import Config

from hmradapter.registry import SCOPE

from .errors import ConfigError, suggestion
from .parts import fill_parts
from .sources import ConfigSource, on_another_base, read_chain, write_overridden
from .validation import RUN_KEYS, known_keys, validate

SHARED_FOLDER = '_base_'  # names in there serve several configs, of which each reads what it needs


def load_config(path: str | Path, cfg_options: dict | None = None) -> Config:
    """The config of a file with options (dotted keys -> values) applied, validated before anything is built.

    An option on a name that the file's own text reads, such as `data_root`, reaches every place that reads it. The option
    `_base_` lays the file on another config than its own: a row of an ablation on the open world, say.

    Raises:
        ConfigError: a type that does not exist, a key that its class does not take, a top-level name that nobody reads, an
            option that matches nothing; each with the nearest right name.
    """
    options = dict(cfg_options or {})
    chain = read_chain(path)
    rebased = '_base_' in options
    if rebased:
        chain = on_another_base(chain, options.pop('_base_'))
    cfg = _read(path, chain, {}, rewritten=rebased)
    read = set().union(*(source.read for source in chain))
    variables = {name for source in chain for name in source.assigned if name in read} - RUN_KEYS
    mistakes = [mistake for key in options if (mistake := _unmatched(cfg, key))]
    if mistakes:
        raise ConfigError(f'--cfg-options for {path}', mistakes)
    early = {_keys(cfg, key): value for key, value in options.items() if key.split('.')[0] in variables}
    if early:
        cfg = _read(path, chain, early, rewritten=True)
    cfg.merge_from_dict({key: value for key, value in options.items() if key.split('.')[0] not in variables})
    if cfg.get('default_scope', SCOPE) != SCOPE:
        raise ConfigError(str(path), [f'default_scope is {cfg.default_scope!r}; types are looked up in {SCOPE!r}.'])
    cfg.default_scope = SCOPE
    shared = {name for source in chain if source.path.parent.name == SHARED_FOLDER for name in source.assigned}
    validate(cfg, str(path), read | shared)
    return cfg


def _read(path: str | Path, chain: list[ConfigSource], overrides: dict[tuple, object], rewritten: bool) -> Config:
    """The config of a file, or of its chain written anew with overrides, without validation."""
    if rewritten:
        with tempfile.TemporaryDirectory() as folder:
            cfg = Config.fromfile(str(write_overridden(chain, overrides, Path(folder))))
        object.__setattr__(cfg, '_filename', str(path))  # Config has no setter, and its own would add a key
    else:
        cfg = Config.fromfile(str(path))
    fill_parts(cfg, [source.path.parent for source in reversed(chain)], load_config)
    return cfg


def _unmatched(cfg: Config, option: str) -> str | None:
    """What is wrong with an option's key, or None. New keys are left to `validate` where a class says what it takes."""
    value, walked = cfg, []
    for part in option.split('.'):
        if isinstance(value, (list, tuple)):
            if not part.isdigit() or int(part) >= len(value):
                return f'{option}: {".".join(walked)} is a list of {len(value)}; {part!r} is not one of its numbers.'
            value = value[int(part)]
        elif isinstance(value, dict) or value is cfg:
            if part not in value:
                return _unmatched_key(cfg, value, option, walked, part)
            value = value[part]
        else:
            return f'{option}: {".".join(walked)} is {value!r}, which has nothing below it.'
        walked.append(part)
    return None


def _unmatched_key(cfg: Config, value, option: str, walked: list[str], part: str) -> str | None:
    if not walked:
        return None if part in RUN_KEYS else f'{option}: the config has no {part!r}.{suggestion(part, {*RUN_KEYS, *cfg})}'
    if 'type' in value or known_keys(value, '.'.join(walked)) is not None:
        return None  # `validate` knows what may stand there
    return f'{option}: {".".join(walked)} has no {part!r}.{suggestion(part, value)}'


def _keys(cfg: Config, option: str) -> tuple:
    """An option's key as a path of dict keys and list numbers."""
    value, keys = cfg, []
    for part in option.split('.'):
        if isinstance(value, (list, tuple)):
            keys.append(int(part))
            value = value[int(part)]
        else:
            keys.append(part)
            value = value.get(part) if value is cfg or isinstance(value, dict) else None  # a new key has no value yet
    return tuple(keys)
