"""Frozen means frozen: checked before, kept during, and proved after training."""
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from hmradapter.models.freezing import freeze_all_but, tensor_digest
from hmradapter.registry import HOOKS


class FrozenParamsError(RuntimeError):
    """Something that must not learn would learn, or has changed."""


@HOOKS.register_module()
class FrozenParamsHook(Hook):
    """Guards a model that has `trainable` (names of the parts that learn) and `frozen_state()` (what must not change).

    Before training: freezes everything else, puts it in eval mode, and fails unless the optimizer holds exactly the
    parameters that learn. During training: keeps frozen modules in eval mode. After training: fails the run, naming the
    tensors, unless every frozen parameter and buffer has the sha256 that it had before.
    """
    priority = 'VERY_HIGH'  # after_train: the proof comes before anything is published

    def before_run(self, runner) -> None:
        model = _unwrapped(runner.model)
        if getattr(model, 'trainable', None) is None:
            raise FrozenParamsError(f'{type(model).__name__}.trainable is None: everything would learn. Name the parts that '
                                    "learn (model=dict(trainable=['adapter'])) or remove FrozenParamsHook from custom_hooks.")
        freeze_all_but(model, model.trainable)
        self.frozen_modules = frozen_modules(model)

    def before_train(self, runner) -> None:
        model = _unwrapped(runner.model)
        check_optimizer(model, runner.optim_wrapper)
        if hasattr(model, 'prepare_frozen'):
            model.prepare_frozen()  # a cast to the running dtype is not a change: it comes first
        self.digests = {name: tensor_digest(name, tensor) for name, tensor in model.frozen_state()}
        check_ranks(self.digests)
        learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
        runner.logger.info(f'FrozenParamsHook: {len(self.digests)} frozen tensors recorded, {learning:,} parameters learn '
                           f'(parts: {", ".join(model.trainable)}).')

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        for module in self.frozen_modules:
            module.training = False

    def after_train(self, runner) -> None:
        now = {name: tensor_digest(name, tensor) for name, tensor in _unwrapped(runner.model).frozen_state()}
        changed = sorted(name for name in self.digests.keys() | now.keys() if self.digests.get(name) != now.get(name))
        if changed:
            raise FrozenParamsError(f'{len(changed)} of {len(now)} frozen tensors changed during training: '
                                    f'{", ".join(changed[:10])}{", ..." if len(changed) > 10 else ""}. The adapter was '
                                    'trained on a moving base and must not be used; find what writes to them.')
        runner.logger.info(f'FrozenParamsHook: all {len(now)} frozen tensors are bit-identical to those before training.')


def frozen_modules(model: nn.Module) -> list[nn.Module]:
    """Modules outside the trainable parts, without the model itself, whose own mode says whether it is being trained."""
    learning = tuple(model.trainable)
    return [module for name, module in model.named_modules()
            if name and not any(name == part or name.startswith(f'{part}.') for part in learning)]


def check_optimizer(model: nn.Module, optim_wrapper) -> None:
    """Raises FrozenParamsError unless the optimizer's parameters are the learning ones, all and alone."""
    held = {id(p) for group in optim_wrapper.optimizer.param_groups for p in group['params']}
    learning = {id(p) for p in model.parameters() if p.requires_grad}
    names = {id(p): name for name, p in model.named_parameters()}
    extra = sorted(names.get(i, 'a parameter of another model') for i in held - learning)
    missing = sorted(names[i] for i in learning - held)
    if extra:
        raise FrozenParamsError(f'the optimizer holds {len(extra)} frozen parameters: {", ".join(extra[:5])}... '
                                "Set optim_wrapper=dict(constructor='TrainableParamsConstructor').")
    if missing:
        raise FrozenParamsError(f'{len(missing)} parameters learn but are not in the optimizer: {", ".join(missing[:5])}...')


def check_ranks(digests: dict[str, str]) -> None:
    """Raises FrozenParamsError unless all ranks hold the same frozen tensors."""
    for rank, other in enumerate(all_gather_object(digests)):
        differing = sorted(name for name in digests.keys() | other.keys() if digests.get(name) != other.get(name))
        if differing:
            raise FrozenParamsError(f'{len(differing)} frozen tensors of rank {rank} differ from those of rank '
                                    f'{get_rank()}, first {differing[0]}: give every rank the same weights file, or the '
                                    'same randomness.seed.')


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model
