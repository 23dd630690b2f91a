"""The whole-body expert: one crop of a person to SMPL-X parameters, with an adapter of the body's pose or without.
B crops, V vertices. Everything is in the virtual camera of the crop (`geometry.body_frame`)."""
import torch
from torch import Tensor, nn

from hmradapter.geometry.handover import SIDES, fingers_from_residual, residual_from_fingers
from hmradapter.geometry.mirror import mirror_axis_angle
from hmradapter.geometry.rotations import interleaved_rot6d_to_rotmat, rotmat_to_axis_angle
from hmradapter.registry import MODELS
from hmradapter.structures import HMRDataSample
from hmradapter.structures.joints import POSE53_PARTS, WHOLE137_FROM_SMPLX144, WHOLE137_PARTS, WHOLE137_ROOTS

from ..losses.whole_body import part_relative, whole_body_terms
from .adapted_expert import AdaptedExpert


@MODELS.register_module()
class WholeBodyExpert(AdaptedExpert):
    """SMPLer-X's data flow (spec: crop, ViT with task tokens, head, SMPL-X) with an optional adapter. `body_model` is an SMPL-X
    layer; it also knows the mean hands, without which there are no absolute finger rotations.

    Crops are persons, (B, 3, 512, 384) RGB of 0..1, of which every second row and column is read; `PersonCrop` makes only
    these by default, and (B, 3, 256, 192) is taken as it is.
    """
    default_preprocessor = dict(type='HMRDataPreprocessor', mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.landmark_model = self.body_model.landmarks_only() if self.body_model is not None else None

    def regress(self, inputs: Tensor, data_samples: HMRDataSample | None = None, mesh: bool = True) -> dict[str, Tensor]:
        """Crops to SMPL-X parameters, joints and mesh."""
        guidance = None
        if self.adapter is not None and data_samples is not None and 'guidance' in data_samples:
            guidance = dict(data_samples.guidance.items())
        features, tokens = self.extract(inputs)
        return dict(self.decode(self.head(features, tokens, adapter=self.adapter, guidance=guidance), mesh), features=features)

    def extract(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 512, 384), or what is read of it, (B, 3, 256, 192), to the feature map (B, C, 16, 12) and task tokens
        (B, 31, C)."""
        if inputs.shape[-2:] == self.head.frame.crop_size:
            step = self.head.frame.crop_factor  # nearest-neighbour resize, as SMPLer-X; bilinear would be another input
            inputs = inputs[..., ::step, ::step]
        features, tokens = self.see(inputs)
        return features.float(), tokens.float()

    def decode(self, raw: dict[str, Tensor], mesh: bool = True) -> dict[str, Tensor]:
        """Readouts of the head to what leaves the network:

        global_orient (B, 1, 3, 3), body_pose (B, 21, 3, 3), left_hand_pose, right_hand_pose (B, 15, 3, 3) absolute, jaw_pose
        (B, 1, 3, 3), betas, expression (B, 10), cam (B, 3) as read out, cam_t (B, 3) m; pose (B, 53, 3), SMPLer-X's own
        axis-angle numbers, fingers without the mean hand; body_joints (B, 25, 3), hand_joints (B, 2, 20, 3) and keypoints_2d
        (B, 137, 2) in cells; boxes (B, 3, 4) px of the encoder's crop, box_centers and box_sizes (B, 3, 2) cells;
        vertices (B, V, 3) and keypoints_3d (B, 137, 3) m, to which cam_t is still to be added. vertices only with
        `mesh`.
        """
        left6d, right6d = raw['hand6d'].unflatten(1, (-1, 6)).chunk(2)
        body = torch.cat((raw['root6d'], raw['body6d'], raw['jaw6d']), dim=1).unflatten(1, (-1, 6))
        body = interleaved_rot6d_to_rotmat(body)                                    # root, 21 of the body, jaw
        left, right = (rotmat_to_axis_angle(interleaved_rot6d_to_rotmat(x)) for x in (left6d, right6d))
        left = mirror_axis_angle(left)                                              # the network sees right hands only
        aside = rotmat_to_axis_angle(body)
        pred = dict(global_orient=body[:, :1], body_pose=body[:, 1:22], jaw_pose=body[:, 22:], betas=raw['betas'],
                    expression=raw['expression'], cam=raw['cam'], cam_t=self.head.frame.cam_t_from_cam(raw['cam']),
                    pose=torch.cat((aside[:, :22], left, right, aside[:, 22:]), dim=1), body_joints=raw['body_joints'],
                    hand_joints=self.head.frame.mirror_left_hands(torch.stack(raw['hand_joints'].chunk(2), dim=1)),
                    **{name: raw[name] for name in ('boxes', 'box_centers', 'box_sizes')})
        if self.body_model is not None:
            fingers = {f'{side}_hand_pose': fingers_from_residual(residual, self._hand_mean(side))
                       for side, residual in zip(SIDES, (left, right), strict=True)}
            pred.update(fingers)
            pred.update(self.mesh(pred, self.body_model if mesh else self.landmark_model))
            if not mesh:
                del pred['vertices']
        return pred

    def mesh(self, pred: dict[str, Tensor], body_model: nn.Module | None = None) -> dict[str, Tensor]:
        """vertices, keypoints_3d and keypoints_2d (see `decode`) of predicted parameters."""
        names = ('global_orient', 'body_pose', 'jaw_pose', 'betas', 'expression', 'left_hand_pose', 'right_hand_pose')
        body = (body_model or self.body_model)(**{name: pred[name] for name in names})
        joints = body.joints[:, WHOLE137_FROM_SMPLX144]
        return dict(vertices=body.vertices, keypoints_3d=joints,
                    keypoints_2d=self.head.frame.project(joints + pred['cam_t'].unsqueeze(1)))

    def _hand_mean(self, side: str) -> Tensor:
        """Mean hand (15, 3), axis-angle."""
        return getattr(self.body_model, f'{side}_hand_mean').unflatten(0, (-1, 3))

    def loss(self, pred: dict[str, Tensor], batch: HMRDataSample) -> dict[str, Tensor]:
        """Eq. 7 and 8 and SMPLer-X's further terms, by the names of `losses.whole_body_terms`: a weighted scalar each."""
        with torch.no_grad():
            targets = self.targets(batch.gt)
        terms = whole_body_terms(pred, targets, self.head.frame)
        return {f'loss_{name}': loss(*terms[name]()) for name, loss in self.losses.items()}

    def targets(self, gt) -> dict[str, Tensor]:
        """Labels as `whole_body_terms` takes them. The dataset's joints count as those of SMPL-X, as in SMPLer-X."""
        rotations = {name: rotmat_to_axis_angle(gt.get(name)) for name in ('global_orient', 'body_pose', 'jaw_pose')}
        for side in SIDES:
            rotations[f'{side}_hand_pose'] = residual_from_fingers(gt.get(f'{side}_hand_pose'), self._hand_mean(side))
        joints, seen = gt.keypoints_3d[..., :3], (gt.keypoints_3d[..., 3] > 0).to(gt.keypoints_3d.dtype)
        # nothing can be relative to a root that is not known
        seen_from_root = torch.cat([seen[:, part] * seen[:, WHOLE137_ROOTS[name], None]
                                    for name, part in WHOLE137_PARTS.items()], dim=1)
        return dict(pose=torch.cat([rotations[name] for name in POSE53_PARTS], dim=1),
                    global_orient=gt.global_orient, body_pose=gt.body_pose,
                    pose_valid=gt.pose_valid.unsqueeze(2), betas=gt.betas, has_betas=gt.has_betas, expression=gt.expression,
                    has_expression=gt.has_expression, has_depth=seen * seen[:, :1],
                    keypoints_3d=joints - joints[:, :1], keypoints_3d_valid=seen,
                    part_keypoints_3d=part_relative(joints), part_keypoints_3d_valid=seen_from_root,
                    heatmap_joints=gt.heatmap_joints[..., :3], heatmap_joints_seen=gt.heatmap_joints[..., 3],
                    box_centers=gt.boxes[..., :2], box_sizes=gt.boxes[..., 2:], has_boxes=gt.has_boxes)
