"""Every `type` of a config is looked up, and every key beside it is compared with what that class takes."""
import inspect
from collections.abc import Iterator

from mmengine import registry as mm
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from hmradapter import registry as ours

from .errors import ConfigError, suggestion
from .signatures import accepted_keys

# Top-level keys that MMEngine's Runner, its Config or this package's tools read.
RUN_KEYS = (set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}) | {
    'activation_checkpointing', 'compile', 'custom_imports', 'efficient_conv_bn_eval', 'env_cfg', 'find_unused_parameters',
    'model_wrapper_cfg', 'runner_type', 'sync_bn'}

# Where a typed dict stands says which registry it comes from; below, the innermost known key decides.
_REGISTRIES = dict(
    model=ours.MODELS, data_preprocessor=ours.MODELS, dataset=ours.DATASETS, datasets=ours.DATASETS, source=ours.SOURCES,
    pipeline=ours.TRANSFORMS, transforms=ours.TRANSFORMS, sampler=ours.DATA_SAMPLERS, batch_sampler=ours.DATA_SAMPLERS,
    collate_fn=ours.FUNCTIONS, worker_init_fn=ours.FUNCTIONS, val_evaluator=ours.METRICS, test_evaluator=ours.METRICS,
    train_cfg=ours.LOOPS, val_cfg=ours.LOOPS, test_cfg=ours.LOOPS, optim_wrapper=ours.OPTIM_WRAPPERS, optimizer=ours.OPTIMIZERS,
    param_scheduler=ours.PARAM_SCHEDULERS, default_hooks=ours.HOOKS, custom_hooks=ours.HOOKS, visualizer=ours.VISUALIZERS,
    vis_backends=ours.VISBACKENDS, log_processor=ours.LOG_PROCESSORS, init_cfg=mm.WEIGHT_INITIALIZERS,
    model_wrapper_cfg=mm.MODEL_WRAPPERS)
# Keys that builders take out of a typed dict before its class sees it.
_BUILDER_KEYS = {ours.HOOKS: {'priority'}, ours.OPTIM_WRAPPERS: {'optimizer', 'constructor', 'paramwise_cfg'},
                 ours.PARAM_SCHEDULERS: {'convert_to_iter_based'}, ours.METRICS: {'metrics'}}
_BUILT = ('model', 'param_scheduler', 'custom_hooks', 'val_evaluator', 'test_evaluator')
_ALWAYS = {'type', '_scope_', '_delete_'}
_LOADER_KEYS = accepted_keys(DataLoader) | {'dataset', 'num_batch_per_epoch', 'disable_subprocess_warning'}
# Untyped dicts whose reader is known. A default type stands for the class that MMEngine then takes.
_DEFAULT_TYPES = dict(optim_wrapper='OptimWrapper', log_processor='LogProcessor', val_cfg='ValLoop', test_cfg='TestLoop',
                      visualizer='Visualizer')
_UNTYPED_KEYS = {
    'train_dataloader': _LOADER_KEYS, 'val_dataloader': _LOADER_KEYS, 'test_dataloader': _LOADER_KEYS,
    'randomness': accepted_keys(Runner.set_randomness) - {'self'}, 'auto_scale_lr': {'enable', 'base_batch_size'},
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'env_cfg.mp_cfg': accepted_keys(set_multi_processing), 'env_cfg.dist_cfg': {'backend', 'timeout'},
    'optim_wrapper.clip_grad': {'type', 'max_norm', 'norm_type', 'error_if_nonfinite', 'foreach', 'clip_value'},
    'optim_wrapper.paramwise_cfg': {'custom_keys', 'norm_decay_mult', 'bias_decay_mult'}}


def validate(cfg, source: str = 'the config', read: set[str] = frozenset()) -> None:
    """Raise ConfigError with every mistake of a loaded config. Nothing is built.

    Args:
        read: names that the config's own text reads, which therefore need no reader here.
    """
    mistakes = [f'{key}: nobody reads this top-level name.{suggestion(key, RUN_KEYS)}'
                for key in cfg if key not in RUN_KEYS and key not in read]
    for key in cfg:
        if key in RUN_KEYS:
            mistakes += _without_type(cfg[key], key)
            mistakes += _mistakes(cfg[key], key, _REGISTRIES.get(key))
    if mistakes:
        raise ConfigError(source, list(dict.fromkeys(mistakes)))


def _without_type(value, key: str) -> Iterator[str]:
    """Sections that are built from a type, and have none."""
    if key in _BUILT:
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(item, dict) and 'type' not in item:
                yield f'{key}: {dict(item)} has no `type`, so nothing can be built from it.'


def known_keys(value: dict, path: str) -> set[str] | None:
    """Keys that a dict of the config may have; None where its reader cannot be known from outside."""
    registry = None
    for part in path.split('.'):
        registry = _REGISTRIES.get(part, registry)
    target = _target(value, path, registry)
    if target is not None and not isinstance(target, str):
        keys = accepted_keys(target)
        return None if keys is None else keys | _ALWAYS | _BUILDER_KEYS.get(registry, set())
    return _UNTYPED_KEYS.get(path)


def _mistakes(value, path: str, registry) -> Iterator[str]:
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _mistakes(item, f'{path}.{i}', registry)
    if not isinstance(value, dict):
        return
    target = _target(value, path, registry)
    if isinstance(target, str):
        yield target
    keys = known_keys(value, path)
    if keys is not None and not isinstance(target, str):
        owner = getattr(target, '__name__', path)
        yield from (f'{path}.{key}: {owner} has no argument {key!r}.{suggestion(str(key), keys - _ALWAYS)}'
                    for key in value if key not in keys)
    if path == 'optim_wrapper' and isinstance(value.get('constructor'), str):
        yield from _unknown_type(value['constructor'], f'{path}.constructor', ours.OPTIM_WRAPPER_CONSTRUCTORS)
    for key, item in value.items():
        yield from _mistakes(item, f'{path}.{key}', _REGISTRIES.get(key, registry))


def _target(value: dict, path: str, registry):
    """The class or function of a typed dict; None for an untyped one; the mistake as a str for a type that does not exist."""
    name = value.get('type', _DEFAULT_TYPES.get(path))
    if path == 'train_cfg' and name is None:
        name = 'EpochBasedTrainLoop' if value.get('by_epoch', True) else 'IterBasedTrainLoop'
    if path == 'optim_wrapper.clip_grad' or name is None or (registry is None and not isinstance(name, type)):
        return None
    if not isinstance(name, str):
        return name
    found = _find(name, registry)
    return found if found is not None else next(_unknown_type(name, f'{path}.type', registry))


def _find(name: str, registry):
    # A part may sit in another's config (a body model in a metric's): its own place first, then everywhere.
    return next((found for place in (registry, *_all_registries()) if (found := place.get(name)) is not None), None)


def _unknown_type(name: str, path: str, registry) -> Iterator[str]:
    if registry.get(name) is None:
        registry.import_from_location()
        known = set(registry.module_dict) | set(registry.parent.module_dict if registry.parent else ())
        yield f'{path}: {name!r} is not in the {registry.name} registry.{suggestion(name, known)}'


def _all_registries():
    return dict.fromkeys(_REGISTRIES.values())
