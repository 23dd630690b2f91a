"""What both experts share: frozen weights, an adapter beside them, precision, and the one road from crops to samples."""
import inspect
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from hmradapter.registry import ADAPTERS, BACKBONES, BODY_MODELS, HEADS, LOSSES, MODELS
from hmradapter.structures import HMRDataSample

from ..adapters.adapter import Adapter
from ..adapters.adapter_file import load_adapter
from ..expert_weights import expert_hash, load_expert
from ..freezing import freeze_all_but, frozen_tensors, keep_frozen_in_eval
from ..precision import check_choice
from ..precision import frozen_dtype as running_dtype


class AdaptedExpert(BaseModel):
    """Backbone, head and an optional adapter. Subclasses say how a crop becomes a prediction (`regress`), what it costs
    (`loss`) and how samples leave (`finish`).

    A user changes three fields: `expert` (the frozen weights), `adapter` (what is trained beside them), `trainable`. What an
    adapter may do is said in `models.adapters.Adapter`.

    Args:
        backbone, head: configs of the expert's parts.
        body_model: config of a body model layer; `None` gives parameters without vertices (enough for counting).
        adapter: config of an adapter, whose sizes are taken from the head; `None` is the expert alone.
        losses: config of a loss per name, see `loss`; `None` for one leaves it out.
        expert: weights of backbone and head: our .safetensors or an original checkpoint. `None` means random weights, which is
            announced.
        adapter_file: trained adapter to load (adapter.safetensors), with what learnt of the expert, if anything did.
        trainable: parts that learn, the rest is frozen and stays in eval mode; `None` trains everything.
        frozen_dtype: 'auto', 'bf16' or 'fp32' for a frozen backbone (see `models.precision`).
    """
    default_preprocessor: dict = dict(type='HMRDataPreprocessor')

    def __init__(self, backbone: dict, head: dict, body_model: dict | None = None, adapter: dict | None = None,
                 losses: dict | None = None, expert: str | None = None, adapter_file: str | None = None,
                 trainable: Sequence[str] | None = None, frozen_dtype: str = 'auto', data_preprocessor: dict | None = None):
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor or self.default_preprocessor))
        check_choice(frozen_dtype)
        self.backbone = BACKBONES.build(backbone)
        self.head = HEADS.build(head)
        self.body_model = BODY_MODELS.build(body_model) if body_model else None
        self.losses = nn.ModuleDict({name: LOSSES.build(config) for name, config in (losses or {}).items()
                                     if config})
        self._load_expert(expert)
        self.adapter = self._build_adapter(adapter)
        self.adapter_architecture = adapter
        self.trainable = list(trainable) if trainable is not None else None
        if self.trainable is not None:
            freeze_all_but(self, self.trainable)
        keeps_a_base = not all(p.requires_grad for part in (self.backbone, self.head) for p in part.parameters())
        self.base_hash = expert_hash(self) if adapter or keeps_a_base else ''  # before any cast: of the float32 weights
        self._replaced = bool(adapter_file and load_adapter(self, adapter_file).get('expert_tensors'))
        self.frozen_dtype = frozen_dtype

    def _load_expert(self, expert: str | None) -> None:
        if expert:
            load_expert(self, Path(expert))
        else:
            warnings.warn(f'{type(self).__name__} runs on RANDOM WEIGHTS: `expert` names no file. Results mean nothing until '
                          'it does.')

    def _build_adapter(self, adapter: dict | None) -> Adapter | None:
        if not adapter:
            return None
        reads = inspect.signature(ADAPTERS.get(adapter['type']) or Adapter).parameters  # `build` names an unknown type
        built = ADAPTERS.build(adapter, default_args={name: size for name, size in self.head.sizes.items() if name in reads})
        built.init_from(self)
        return built

    # ---- frozen parts -------------------------------------------------------------------------------------------------------
    @property
    def backbone_is_frozen(self) -> bool:
        return not any(parameter.requires_grad for parameter in self.backbone.parameters())

    @property
    def base_is_intact(self) -> bool:
        """Whether the head without its adapter is the base: features are the base's, and nothing of it learnt."""
        return not self._replaced and not (self.adapter is not None and self.adapter.in_backbone)

    def frozen_state(self) -> list[tuple[str, Tensor]]:
        """Name and value of all that training must not touch."""
        return frozen_tensors(self)

    def prepare_frozen(self) -> None:
        """Cast a frozen backbone to its running dtype, once. Everything that learns, and the head that gradients pass through,
        stays in float32."""
        if self.trainable is None or not self.backbone_is_frozen:
            return
        weight = next(self.backbone.parameters())
        self.backbone.to(running_dtype(self.frozen_dtype, weight.device))

    def see(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """What the backbone gives for images as it takes them; no graph where nothing in it learns."""
        self.prepare_frozen()
        images = images.to(next(self.backbone.parameters()).dtype)
        learns = not self.backbone_is_frozen or (self.adapter is not None and self.adapter.in_backbone)
        with nullcontext() if learns else torch.no_grad():
            return self.backbone(images) if self.adapter is None else self.adapter.see(self.backbone, images)

    def train(self, mode: bool = True) -> 'AdaptedExpert':
        """Training mode for parts that learn; frozen parts stay in eval mode (a frozen ViT would keep its drop path, a frozen
        batch norm would go on counting)."""
        super().train(mode)
        if self.trainable is not None:
            for part in self.children():  # not self: where nothing learns it would ask this method again
                keep_frozen_in_eval(part)
        return self

    # ---- the road -----------------------------------------------------------------------------------------------------------
    def forward(self, inputs: Tensor, data_samples: HMRDataSample | None = None, mode: str = 'tensor'):
        """inputs (B, 3, H, W) as the preprocessor gives them, data_samples a batch.

        Returns:
            mode 'loss': dict of scalars; 'predict': list of finished samples; 'tensor': dict of raw predictions.
        """
        pred = self.regress(inputs, data_samples, mesh=mode != 'loss')
        if mode == 'loss':
            return self.loss(pred, data_samples)
        if mode == 'predict':
            return self.finish(self._with_prediction(data_samples, pred)).split()
        if mode == 'tensor':
            return pred
        raise ValueError(f"mode is {mode!r}; it must be 'loss', 'predict' or 'tensor'.")

    @abstractmethod
    def regress(self, inputs: Tensor, data_samples: HMRDataSample | None, mesh: bool = True) -> dict[str, Tensor]:
        """Crops to all that is predicted, in the network's frame; without `mesh` no more of it than the losses read."""

    @abstractmethod
    def loss(self, pred: dict[str, Tensor], batch: HMRDataSample) -> dict[str, Tensor]:
        """One weighted scalar per configured loss. What has no label contributes exactly zero."""

    def finish(self, batch: HMRDataSample) -> HMRDataSample:
        """A batch with predictions as it leaves the estimator."""
        return batch

    @staticmethod
    def _with_prediction(batch: HMRDataSample, pred: dict[str, Tensor]) -> HMRDataSample:
        batch = batch.map(lambda tensor: tensor)
        batch.pred = BaseDataElement(**{name: value.detach().float() for name, value in pred.items() if name != 'features'})
        return batch
