"""Optimizers that hold what learns, and nothing else."""
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from hmradapter.registry import OPTIM_WRAPPER_CONSTRUCTORS

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
_PARAMWISE = ('custom_keys', 'norm_decay_mult', 'bias_decay_mult')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableParamsConstructor(DefaultOptimWrapperConstructor):
    """Gives the optimizer the parameters with `requires_grad`, in one group per learning rate and weight decay.

    The default constructor also hands over frozen parameters, which weight decay or a stray gradient could then change.
    `paramwise_cfg` knows custom_keys (name part -> dict(lr_mult, decay_mult); the longest match wins), norm_decay_mult and
    bias_decay_mult.
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        unknown = sorted(set(self.paramwise_cfg) - set(_PARAMWISE))
        if unknown:
            raise ValueError(f'paramwise_cfg has {unknown}; TrainableParamsConstructor knows {list(_PARAMWISE)}.')
        for key, options in self.paramwise_cfg.get('custom_keys', {}).items():
            if set(options) - {'lr_mult', 'decay_mult'}:
                raise ValueError(f'paramwise_cfg.custom_keys[{key!r}] is {options}; it may hold lr_mult and decay_mult.')

    def __call__(self, model: nn.Module) -> OptimWrapper:
        model = getattr(model, 'module', model)  # of DistributedDataParallel
        groups: dict[tuple, dict] = {}
        for name, parameter, owner in _learning(model):
            options = self._options(name, owner)
            group = groups.setdefault(tuple(sorted(options.items())), dict(params=[], **options))
            group['params'].append(parameter)
        if not groups:
            raise ValueError(f'{type(model).__name__} has no parameter that learns: name a part in `trainable`.')
        optimizer = OPTIMIZERS.build(dict(self.optimizer_cfg, params=list(groups.values())))
        wrapper = dict(type='OptimWrapper') | self.optim_wrapper_cfg
        return OPTIM_WRAPPERS.build(wrapper, default_args=dict(optimizer=optimizer))

    def _options(self, name: str, owner: nn.Module) -> dict:
        """lr and weight_decay of a parameter, as far as they differ from the optimizer's own."""
        custom = self.paramwise_cfg.get('custom_keys', {})
        matches = sorted((key for key in custom if key in name), key=len)
        options = {}
        decay = None
        if matches:
            if 'lr_mult' in custom[matches[-1]]:
                options['lr'] = self.base_lr * custom[matches[-1]]['lr_mult']
            decay = custom[matches[-1]].get('decay_mult')
        elif isinstance(owner, _NORMS):
            decay = self.paramwise_cfg.get('norm_decay_mult')
        elif name.endswith('bias'):
            decay = self.paramwise_cfg.get('bias_decay_mult')
        if decay is not None:
            options['weight_decay'] = self.base_wd * decay
        return options


def _learning(model: nn.Module):
    """(name, parameter, owning module) of each parameter that learns, once."""
    seen = set()
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(prefix, recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter, module
