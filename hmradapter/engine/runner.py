"""MMEngine's Runner where it must differ: checkpoints are replaced atomically and read strictly, and CPUs train together."""
import time
from pathlib import Path

import mmengine
import torch
from mmengine.dist import master_only
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.runner import Runner

from hmradapter.fileio import atomic_write
from hmradapter.models.adapters.adapter_file import AdapterMismatchError
from hmradapter.registry import FUNCTIONS, RUNNERS


@RUNNERS.register_module()
class HMRRunner(Runner):
    """Runner of this package's tools. Checkpoints keep MMEngine's layout."""

    @master_only
    def save_checkpoint(self, out_dir, filename, file_client_args=None, save_optimizer=True, save_param_scheduler=True,
                        meta=None, by_epoch=True, backend_args=None):
        """Write `out_dir/filename`, a local path, as a whole or not at all. Streams to disk; the base class needs the
        checkpoint's size twice in memory and writes in place."""
        if file_client_args is not None or backend_args is not None:
            raise ValueError('checkpoints go to local paths only: remove file_client_args and backend_args.')
        meta = dict(epoch=self.epoch + by_epoch, iter=self.iter + (not by_epoch)) | (meta or {})
        meta |= dict(cfg=self.cfg.pretty_text, seed=self.seed, experiment_name=self.experiment_name,
                     time=time.strftime('%Y%m%d_%H%M%S'), mmengine_version=mmengine.__version__,
                     dataset_meta=getattr(self.train_dataloader.dataset, 'metainfo', None))
        model = self.unwrapped_model
        meta['base_hash'] = getattr(model, 'base_hash', '')
        checkpoint = dict(meta=meta, state_dict=_to_cpu(model.state_dict()), message_hub=_to_cpu(self.message_hub.state_dict()))
        if save_optimizer:
            checkpoint['optimizer'] = _to_cpu(self.optim_wrapper.state_dict())
        if save_param_scheduler and self.param_schedulers:
            checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in self.param_schedulers]
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        with atomic_write(Path(out_dir) / filename) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, filename, map_location='cpu', strict=True, revise_keys=((r'^module.', ''),)):
        """As the base class, but a missing or unexpected weight is an error unless `strict` is switched off, and so is the
        checkpoint of an adapter on another base than the config's: its adapter would be saved as if it fitted this one.

        Raises:
            AdapterMismatchError: names both bases.
        """
        checkpoint = super().load_checkpoint(filename, map_location, strict, list(revise_keys))
        trained_on, own = checkpoint.get('meta', {}).get('base_hash'), getattr(self.unwrapped_model, 'base_hash', '')
        if trained_on and own and trained_on != own:
            raise AdapterMismatchError(f'{filename} was trained on the base {trained_on}, but the config loads the base {own}: '
                                       'give `expert` the weights that the training was started with.')
        return checkpoint

    @property
    def unwrapped_model(self):
        """The model itself, where processes train it together."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    @staticmethod
    def build_dataloader(dataloader, seed=None, diff_rank_seed=False):
        """As the base class, which looks for `collate_fn` among MMEngine's own functions only."""
        collate = dataloader.get('collate_fn') if isinstance(dataloader, dict) else None
        if isinstance(collate, dict) and isinstance(collate.get('type'), str):
            dataloader = dict(dataloader, collate_fn=dict(collate, type=FUNCTIONS.get(collate['type'])))
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def wrap_model(self, model_wrapper_cfg, model):
        """As the base class, except that frozen tensors are not sent round (2.8 GB at HaMeR's size; every rank has loaded the
        same, which FrozenParamsHook proves), and that on CPUs DistributedDataParallel gets no device ids, which it refuses."""
        if self.distributed and hasattr(model, 'frozen_state'):
            # what DistributedDataParallel._set_params_and_buffers_to_ignore_for_model sets
            model._ddp_params_and_buffers_to_ignore = [name for name, _ in model.frozen_state()]
        if not self.distributed or torch.cuda.is_available() or model_wrapper_cfg is not None:
            return super().wrap_model(model_wrapper_cfg, model)
        return MMDistributedDataParallel(module=model, broadcast_buffers=False,
                                         find_unused_parameters=self.cfg.get('find_unused_parameters', False))


def _to_cpu(tree):
    """Nested dicts and lists with their tensors on the CPU."""
    if isinstance(tree, torch.Tensor):
        return tree.detach().cpu()
    if isinstance(tree, dict):
        return type(tree)((key, _to_cpu(value)) for key, value in tree.items())
    if isinstance(tree, (list, tuple)):
        return type(tree)(_to_cpu(value) for value in tree)
    return tree
