"""The hand expert: one crop of a right hand to MANO parameters, with an adapter beside its decoder or without.
B crops, S side of the crop in pixels, C channels, V vertices."""
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from hmradapter.geometry.cameras import FOCAL_LENGTH, IMAGE_SIZE, cam_t_from_cam, perspective_projection
from hmradapter.geometry.rotations import rot6d_to_rotmat
from hmradapter.registry import ADAPTERS, BACKBONES, BODY_MODELS, HEADS, LOSSES, MODELS
from hmradapter.structures import HMRDataSample

from ..adapters.adapter_file import load_adapter
from ..backbones.hamer_vit import middle_columns
from ..expert_weights import expert_hash, load_expert
from ..freezing import freeze_all_but, frozen_tensors
from ..precision import frozen_dtype
from .sides import unmirror


@MODELS.register_module()
class HandExpert(BaseModel):
    """HaMeR's data flow (spec: crop, ViT, MANO decoder, camera, MANO) with an optional adapter.

    A user changes three fields: `expert` (the frozen weights), `adapter` (what is trained beside them), `trainable`.

    Args:
        backbone, head: configs of the expert's parts.
        body_model: config of a right-hand MANO layer; `None` gives parameters without vertices (enough for counting).
        adapter: config of an adapter, whose sizes are taken from the head; `None` is the expert alone.
        losses: config of a loss per name, see `loss`.
        expert: weights of backbone and head: our .safetensors or an original HaMeR checkpoint. `None` means random weights,
            which is announced.
        adapter_file: trained adapter to load (adapter.safetensors).
        trainable: parts that learn, the rest is frozen and stays in eval mode; `None` trains everything.
        frozen_dtype: 'auto', 'bf16' or 'fp32' for a frozen backbone (see `models.precision`).
    """

    def __init__(self, backbone: dict, head: dict, body_model: dict | None = None, adapter: dict | None = None,
                 losses: dict | None = None, expert: str | None = None, adapter_file: str | None = None,
                 trainable: Sequence[str] | None = None, frozen_dtype: str = 'auto', data_preprocessor: dict | None = None):
        super().__init__(data_preprocessor=MODELS.build(data_preprocessor or dict(type='HMRDataPreprocessor')))
        self.backbone = BACKBONES.build(backbone)
        self.head = HEADS.build(head)
        self.body_model = BODY_MODELS.build(body_model) if body_model else None
        self.losses = nn.ModuleDict({name: LOSSES.build(config) for name, config in (losses or {}).items()})
        self._load_expert(expert)
        self.adapter = self._build_adapter(adapter)
        self.adapter_architecture = adapter
        has_weights = not next(self.parameters()).is_meta  # there are none while parameters are only counted
        self.base_hash = expert_hash(self) if adapter and has_weights else ''  # before any cast: of the float32 weights
        if adapter_file:
            load_adapter(self, adapter_file)
        self.trainable = list(trainable) if trainable is not None else None
        if self.trainable is not None:
            freeze_all_but(self, self.trainable)
        self.frozen_dtype = frozen_dtype

    def _load_expert(self, expert: str | None) -> None:
        if expert:
            load_expert(self, Path(expert))
        else:
            warnings.warn('HandExpert runs on RANDOM WEIGHTS: `expert` names no file. Results mean nothing until it does.')

    def _build_adapter(self, adapter: dict | None) -> nn.Module | None:
        if adapter is None:
            return None
        built = ADAPTERS.build(adapter, default_args=self.head.sizes)
        built.init_from(self.head)
        return built

    # ---- frozen parts -------------------------------------------------------------------------------------------------------
    @property
    def backbone_is_frozen(self) -> bool:
        return not any(parameter.requires_grad for parameter in self.backbone.parameters())

    def frozen_state(self) -> list[tuple[str, Tensor]]:
        """Name and value of all that training must not touch."""
        return frozen_tensors(self)

    def prepare_frozen(self) -> None:
        """Cast a frozen backbone to its running dtype, once. Everything that learns, and the decoder that gradients pass
        through, stays in float32."""
        if self.trainable is None or not self.backbone_is_frozen:
            return
        weight = next(self.backbone.parameters())
        self.backbone.to(frozen_dtype(self.frozen_dtype, weight.device))

    def train(self, mode: bool = True) -> 'HandExpert':
        """Training mode for parts that learn; frozen parts stay in eval mode (a frozen ViT would keep its drop path)."""
        super().train(mode)
        if self.trainable is not None:
            for part in self.children():
                if not any(parameter.requires_grad for parameter in part.parameters()):
                    part.eval()
        return self

    # ---- the road -----------------------------------------------------------------------------------------------------------
    def forward(self, inputs: Tensor, data_samples: HMRDataSample | None = None, mode: str = 'tensor'):
        """inputs (B, 3, S, S) normalised, data_samples a batch.

        Returns:
            mode 'loss': dict of scalars; 'predict': list of samples on their true side; 'tensor': dict of raw predictions.
        """
        pred = self.regress(inputs, data_samples)
        if mode == 'loss':
            return self.loss(pred, data_samples)
        if mode == 'predict':
            return unmirror(self._with_prediction(data_samples, pred)).split()
        if mode == 'tensor':
            return pred
        raise ValueError(f"mode is {mode!r}; it must be 'loss', 'predict' or 'tensor'.")

    def regress(self, inputs: Tensor, data_samples: HMRDataSample | None) -> dict[str, Tensor]:
        """Crops to MANO parameters, camera and mesh in the network's right-hand frame."""
        features = self.extract(inputs)
        guidance = None
        if self.adapter is not None:
            guidance = self.adapter.encode(data_samples.guidance.body_pose, data_samples.guidance.has_body_pose)
        return self.decode(self.head(features, adapter=self.adapter, guidance=guidance))

    def extract(self, inputs: Tensor) -> Tensor:
        """(B, 3, S, S) to the feature map (B, C, S/16, 3S/64): HaMeR's ViT reads the middle three quarters of the columns."""
        self.prepare_frozen()
        inputs = middle_columns(inputs, self.backbone.img_size)
        with torch.no_grad() if self.backbone_is_frozen else nullcontext():
            return self.backbone(inputs.to(next(self.backbone.parameters()).dtype)).float()

    def decode(self, raw: dict[str, Tensor]) -> dict[str, Tensor]:
        """Readouts (pose6d (B, 96), betas (B, 10), cam (B, 3)) to rotations, camera translation, joints and vertices."""
        rotmats = rot6d_to_rotmat(raw['pose6d'].unflatten(-1, (-1, 6)))
        pred = dict(global_orient=rotmats[:, :1], hand_pose=rotmats[:, 1:], betas=raw['betas'], cam=raw['cam'],
                    cam_t=cam_t_from_cam(raw['cam']))
        if self.body_model is not None:
            mesh = self.body_model(pred['global_orient'], pred['hand_pose'], pred['betas'])
            focal = raw['cam'].new_full((len(raw['cam']), 2), FOCAL_LENGTH / IMAGE_SIZE)
            pred.update(vertices=mesh.vertices, keypoints_3d=mesh.keypoints,
                        keypoints_2d=perspective_projection(mesh.keypoints, pred['cam_t'], focal))
        return pred

    def loss(self, pred: dict[str, Tensor], batch: HMRDataSample) -> dict[str, Tensor]:
        """Eq. 5: one weighted scalar per configured name among keypoints_2d, keypoints_3d, vertices, hand_pose, betas,
        and rotations (HaMeR's form). A sample without a label contributes exactly zero."""
        gt = batch.gt
        has_pose = gt.has_global_orient * gt.has_hand_pose
        with torch.no_grad():
            target = self.body_model(gt.global_orient, gt.hand_pose, gt.betas)
        pose = torch.cat((pred['global_orient'], pred['hand_pose']), dim=1)
        gt_pose = torch.cat((gt.global_orient, gt.hand_pose), dim=1)
        everywhere = torch.ones_like(has_pose)
        terms = dict(keypoints_2d=(pred['keypoints_2d'], gt.keypoints_2d, everywhere),
                     keypoints_3d=(pred['keypoints_3d'], gt.keypoints_3d, everywhere),
                     vertices=(pred['vertices'] - pred['keypoints_3d'][:, :1], target.vertices - target.keypoints[:, :1],
                               has_pose * gt.has_betas),
                     hand_pose=(pose, gt_pose, has_pose), rotations=(pose, gt_pose, has_pose),
                     betas=(pred['betas'], gt.betas, gt.has_betas))
        return {f'loss_{name}': loss(*terms[name]) for name, loss in self.losses.items()}

    @staticmethod
    def _with_prediction(batch: HMRDataSample, pred: dict[str, Tensor]) -> HMRDataSample:
        batch = batch.map(lambda tensor: tensor)
        batch.pred = BaseDataElement(**{name: value.detach().float() for name, value in pred.items()})
        return batch
