"""The hand expert: one crop of a right hand to MANO parameters, with an adapter beside its decoder or without.
B crops, S side of the crop in pixels, C channels, V vertices."""
import torch
from torch import Tensor

from hmradapter.geometry.cameras import FOCAL_LENGTH, IMAGE_SIZE, cam_t_from_cam, perspective_projection
from hmradapter.geometry.rotations import rot6d_to_rotmat
from hmradapter.registry import MODELS
from hmradapter.structures import HMRDataSample

from ..backbones.hamer_vit import middle_columns
from .adapted_expert import AdaptedExpert
from .sides import unmirror


@MODELS.register_module()
class HandExpert(AdaptedExpert):
    """HaMeR's data flow (spec: crop, ViT, MANO decoder, camera, MANO) with an optional adapter. `body_model` is a right hand.

    Crops are right hands, (B, 3, S, S); finished samples are on their true side.
    """

    def regress(self, inputs: Tensor, data_samples: HMRDataSample | None, mesh: bool = True) -> dict[str, Tensor]:
        """Crops to MANO parameters, camera and mesh, which is small and has a loss, in the network's right-hand frame."""
        features = self.extract(inputs)
        body = None if self.adapter is None else (data_samples.guidance.body_pose, data_samples.guidance.has_body_pose)
        return dict(self.decode(self.read(features, body)), features=features)

    def extract(self, inputs: Tensor) -> Tensor:
        """(B, 3, S, S) to the feature map (B, C, S/16, 3S/64): HaMeR's ViT reads the middle three quarters of the columns."""
        return self.see(middle_columns(inputs, self.backbone.img_size)).float()

    def read(self, features: Tensor, body: tuple[Tensor, Tensor] | None) -> dict[str, Tensor]:
        """Feature maps (B, C, h, w) to readouts. body: what may guide the adapter, a pose (B, 22, 3, 3) as the crop shows it
        and its flag (B,); None leaves the adapter out."""
        if self.adapter is None or body is None:
            return self.head(features)
        seen = None
        if self.adapter.reads_orientation:
            with torch.no_grad():
                seen = rot6d_to_rotmat(self.head(features)['pose6d'][:, :6])
        return self.head(features, adapter=self.adapter, guidance=self.adapter.encode(*body, seen))

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
        rotations (HaMeR's form) and keypoint_map (a backbone's own). A sample without a label contributes exactly zero."""
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
                     betas=(pred['betas'], gt.betas, gt.has_betas),
                     keypoint_map=(pred['features'], gt.keypoints_2d, everywhere))
        return {f'loss_{name}': loss(*terms[name]) for name, loss in self.losses.items()}

    def finish(self, batch: HMRDataSample) -> HMRDataSample:
        """Every hand on its true side."""
        return unmirror(batch)
