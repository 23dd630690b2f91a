"""The dual path (HMR-Adapter 3.1, figure 2): one crop of a person and its whole image to one SMPL-X mesh.

The whole-body expert says body and hand boxes, the body adapter refines its pose by the hands; the boxes cut hands out of the
image, the hand adapter reads them with the refined body as guidance; an integrator puts the hands on the arms.
B persons, N usable hands of all of them, V vertices. Hands stand in the order left, right along an axis of two.
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from hmradapter.geometry.boxes import apply_affine, clip_box
from hmradapter.geometry.cameras import intrinsic_matrix
from hmradapter.geometry.crop_rays import crop_from_crop, crop_ray
from hmradapter.geometry.hand_boxes import MIN_INSIDE, MIN_SIDE, are_usable, boxes_in_image
from hmradapter.geometry.handover import SIDES, mirror_left_hand
from hmradapter.geometry.mirror import mirror_body_pose
from hmradapter.registry import INTEGRATORS, MODELS, TRANSFORMS
from hmradapter.structures import HMRDataSample
from hmradapter.structures.data_sample import ROWS

from .integrators import PosedBody, PosedHands


class HandCrops(NamedTuple):
    """Hands worth a look. person, side (N,) long, side 0 left and 1 right; inputs (N, 3, S, S) as the hand expert takes them,
    left ones mirrored, and crop_from_image (N, 3, 3) px; of all hands, seen or not: boxes (B, 2, 4) tight and within the image,
    centers (B, 2, 2), sizes (B, 2) of the crops, px of the unmirrored image (0 where there is none), present (B, 2) bool."""
    person: Tensor
    side: Tensor
    inputs: Tensor
    crop_from_image: Tensor
    boxes: Tensor
    centers: Tensor
    sizes: Tensor
    present: Tensor


@MODELS.register_module()
class DualPathEstimator(BaseModel):
    """Two experts with their adapters and an integrator; nothing in it learns.

    Samples carry the whole image in their metainfo (`PackPersonInputs` with image=True). Each ViT sees each crop once, and the
    hand ViT sees the hands of all persons of a batch in one call. A hand without a usable box stays the whole-body expert's.

    Args:
        body: config of a WholeBodyExpert with a body model, or the expert itself.
        hand: config of a HandExpert, or the expert itself. In configs an adapter without its `adapter_file` is left out:
            untrained it is not the base.
        hand_crop: config of the transform that cuts hands out, as the hand expert's pipeline has it.
        integrator: config of INTEGRATORS.
        min_side: px of the image that the longer side of a hand's tight box must have.
        min_inside: share of that box that must lie inside the image.
        ray_strength: of the rotation between the crops' rays and the camera's axis (`geometry.crop_rays`), for the body's and
            the hand's expert; (0, 0) leaves both as published pipelines do. Needs the image's true intrinsics.
        rounds: 2 lets the hands that were read refine the body once more, where the body's adapter then looks for the knuckles,
            and that body guides the hands again (not in the paper). Without an adapter of the body there is nothing to refine.
        rows: besides the result, 'expert', the whole-body expert alone, and 'combined', both experts without adapters
            (the rows of the paper's tables 1 and 2).
    """

    def __init__(self, body: dict | nn.Module, hand: dict | nn.Module, hand_crop: dict, integrator: dict | None = None,
                 min_side: float = MIN_SIDE, min_inside: float = MIN_INSIDE, ray_strength: tuple[float, float] = (0.0, 0.0),
                 rounds: int = 1, rows: Sequence[str] = ()):
        if rounds < 1:
            raise ValueError(f'rounds is {rounds}; it must be 1 or more.')
        unknown = [row for row in rows if row not in ROWS]
        if unknown:
            raise ValueError(f'rows has {unknown}; it may hold {ROWS}.')
        body, hand = (part if isinstance(part, nn.Module) else MODELS.build(_for_inference(part)) for part in (body, hand))
        changed = [name for name, part in (('body', body), ('hand', hand)) if not part.base_is_intact]
        if rows and changed:
            raise ValueError(f'rows is {tuple(rows)}, but the adapter of {" and ".join(changed)} changes the expert itself, '
                             'and those rows need it as it was: take rows=() or an adapter beside a frozen expert.')
        super().__init__(data_preprocessor=body.data_preprocessor)
        self.body, self.hand = body, hand
        self.hand_crop = TRANSFORMS.build(dict(hand_crop, blur=True))  # HaMeR blurs at inference
        self.integrator = INTEGRATORS.build(integrator or dict(type='elbow_twist'))
        self.min_side, self.min_inside = min_side, min_inside
        self.ray_strength, self.rounds, self.rows = tuple(ray_strength), rounds, tuple(rows)

    @property
    def frame(self):
        """Units of the whole-body expert's boxes."""
        return self.body.head.frame

    @property
    def body_model(self):
        """The SMPL-X layer of the meshes."""
        return self.body.body_model

    def forward(self, inputs: Tensor, data_samples: HMRDataSample, mode: str = 'predict'):
        """Person crops (B, 3, H, W) as the preprocessor gives them, and their samples.

        Returns:
            mode 'predict': list of samples with `pred`, and `pred_expert`, `pred_combined` where `rows` asks for them;
            'tensor': dict of such groups by row, 'ours' among them.
        """
        if mode == 'loss':
            raise ValueError('the dual path does not learn as a whole: train its adapters with their own configs '
                             '(body_adapter_*.py, hand_adapter_*.py) and name their files here.')
        if mode not in ('predict', 'tensor'):
            raise ValueError(f"mode is {mode!r}; it must be 'predict' or 'tensor'.")
        groups = self.regress(inputs, data_samples)
        if mode == 'tensor':
            return groups
        batch = data_samples.map(lambda tensor: tensor)
        batch.set_metainfo(dict(image=[None] * len(inputs)))  # nobody behind this needs the pictures
        for row, pred in groups.items():
            name = 'pred' if row == 'ours' else f'pred_{row}'
            batch.set_field(BaseDataElement(**{key: value.detach() for key, value in pred.items()}), name)
        return batch.split()

    @torch.no_grad()
    def regress(self, inputs: Tensor, data_samples: HMRDataSample) -> dict[str, dict[str, Tensor]]:
        """Predictions by row: fields of `WholeBodyExpert.decode`, in the body crop's virtual camera, and of `_hands_found`."""
        body, hand = self.body, self.hand
        features, tokens = body.extract(inputs)
        refined = body.decode(body.head(features, tokens, adapter=body.adapter), mesh=False)
        needs_initial = body.adapter is not None and self.rows
        initial = body.decode(body.head(features, tokens), mesh=False) if needs_initial else refined
        crops = self.cut_hands(refined, data_samples)
        seen = hand.extract(crops.inputs) if len(crops.person) else None
        rays = self.rays(crops, data_samples)
        groups = {}
        if 'expert' in self.rows:
            groups['expert'] = self.with_mesh(initial)
        if 'combined' in self.rows:
            groups['combined'] = self.integrate(initial, crops, self.read_hands(seen, crops, None, rays), rays)
        adapted = self.read_hands(seen, crops, refined, rays)
        for _ in range(self.rounds - 1 if body.adapter is not None else 0):
            guidance = self.knuckles_read(adapted, crops, data_samples)
            refined = body.decode(body.head(features, tokens, adapter=body.adapter, guidance=guidance), mesh=False)
            adapted = self.read_hands(seen, crops, refined, rays)
        groups['ours'] = self.integrate(refined, crops, adapted, rays)
        return groups

    # ---- hands of the image -------------------------------------------------------------------------------------------------
    def cut_hands(self, pred: dict[str, Tensor], data_samples: HMRDataSample) -> HandCrops:
        """Cut the usable hands out of the images of the batch."""
        crop = data_samples.crop
        boxes = boxes_in_image(pred['box_centers'][:, :2], pred['box_sizes'][:, :2], crop.crop_from_image, self.frame)
        present = are_usable(boxes, crop.img_size, self.min_side, self.min_inside)
        boxes = torch.where(present.unsqueeze(-1), clip_box(boxes, crop.img_size.unsqueeze(1)), 0)
        person, side = present.nonzero().unbind(1)
        images = data_samples.metainfo['image']
        if any(image is None for image in images):
            raise ValueError(f'the sample {data_samples.metainfo["key"][0]!r} carries no image to cut hands from: put '
                             "PackPersonInputs with image=True at the end of the test pipeline.")
        tight = boxes.cpu()
        cut = [self.hand_crop(dict(
            img=images[i], hand=SIDES[j], box_center=(tight[i, j, :2] + tight[i, j, 2:]) / 2,
            box_wh=tight[i, j, 2:] - tight[i, j, :2])) for i, j in zip(person.tolist(), side.tolist(), strict=True)]
        centers, sizes = boxes.new_zeros(*present.shape, 2), boxes.new_zeros(present.shape)
        inputs, maps = boxes.new_zeros(0), boxes.new_zeros(0, 3, 3)
        if cut:
            centers[person, side] = torch.stack([result['box_center'] for result in cut]).to(boxes)
            sizes[person, side] = torch.stack([result['box_size'] for result in cut]).to(boxes)
            pictures = np.stack([result['img'] for result in cut]).astype(np.float32)[..., ::-1].transpose(0, 3, 1, 2)
            pictures = torch.from_numpy(np.ascontiguousarray(pictures)).to(boxes.device)
            inputs = self.hand.data_preprocessor(dict(inputs=pictures))['inputs']
            maps = torch.stack([result['crop_from_image'] for result in cut]).to(boxes)
        return HandCrops(person, side, inputs, maps, boxes, centers, sizes, present)

    def rays(self, crops: HandCrops, data_samples: HMRDataSample) -> Tensor | None:
        """Rotations (N, 3, 3) from a hand crop's frame to its body crop's; None where both frames count as one."""
        if self.ray_strength == (0.0, 0.0):
            return None
        crop = data_samples.crop
        camera = intrinsic_matrix(crop.focal, crop.princpt)[crops.person]
        body, hand = crop.box_center[crops.person], crops.centers[crops.person, crops.side]
        return crop_from_crop(crop_ray(body, camera), crop_ray(hand, camera), *self.ray_strength)

    def read_hands(self, features: Tensor | None, crops: HandCrops, body: dict[str, Tensor] | None,
                   rays: Tensor | None) -> dict[str, Tensor]:
        """The hand expert's readings (N, ...) of feature maps, as it decodes them: right hands. With the body (B) its adapter
        is guided; without, it is left out."""
        if features is None:
            return {}
        guide = None
        if body is not None:
            pose = torch.cat((body['global_orient'], body['body_pose']), dim=1)[crops.person]
            if rays is not None:  # the root as the hand's crop shows it
                pose = torch.cat((rays.transpose(1, 2).unsqueeze(1) @ pose[:, :1], pose[:, 1:]), dim=1)
            left = (crops.side == SIDES.index('left')).view(-1, 1, 1, 1)
            guide = torch.where(left, mirror_body_pose(pose), pose), pose.new_ones(len(pose))
        return self.hand.decode(self.hand.read(features, guide))

    def knuckles_read(self, hands: dict[str, Tensor], crops: HandCrops, data_samples: HMRDataSample) -> dict[str, Tensor]:
        """Where the hand expert's readings (N, ...) lie for the body's adapter: read_joints (B, 2, 20, 3), cells of the body's
        map and a flag, 0 where no hand was read."""
        joints = crops.boxes.new_zeros(*crops.present.shape, 20, 3)
        if hands:
            pixels = self.hand_crop.undo(hands['keypoints_2d'][:, 1:], crops.crop_from_image)
            in_crop = apply_affine(pixels, data_samples.crop.crop_from_image[crops.person])
            cells = self.frame.cells_from_crop(in_crop)
            joints[crops.person, crops.side] = torch.cat((cells, torch.ones_like(cells[..., :1])), dim=-1)
        return dict(read_joints=joints)

    # ---- one body -----------------------------------------------------------------------------------------------------------
    def integrate(self, body: dict[str, Tensor], crops: HandCrops, hands: dict[str, Tensor],
                  rays: Tensor | None) -> dict[str, Tensor]:
        """A body (B) with the hands (N) on its arms, and its mesh."""
        found = self._hands_found(crops, hands, rays)
        own = torch.stack([body[f'{side}_hand_pose'] for side in SIDES], dim=1)
        whole = self.integrator(
            PosedBody(torch.cat((body['global_orient'], body['body_pose']), dim=1), own),
            PosedHands(found['hand_orient_in_body'], found['hand_pose'], crops.present),
            self.body_model.rest_joints(torch.cat((body['betas'], body['expression']), dim=1)))
        left, right = whole.hand_pose.unbind(1)
        posed = dict(body, global_orient=whole.body_pose[:, :1], body_pose=whole.body_pose[:, 1:], left_hand_pose=left,
                     right_hand_pose=right)
        return dict(self.with_mesh(posed), **found, elbow_twist=whole.elbow_twist, twist_uncertain=whole.uncertain)

    def with_mesh(self, body: dict[str, Tensor]) -> dict[str, Tensor]:
        """A prediction (B) with the mesh and joints of its parameters."""
        return dict(body, **self.body.mesh(body))

    def _hands_found(self, crops: HandCrops, hands: dict[str, Tensor], rays: Tensor | None) -> dict[str, Tensor]:
        """The hand expert's readings by person and side, on their true sides: hand_global_orient (B, 2, 3, 3) as its crop shows
        it and hand_orient_in_body, the same in the body crop's frame; hand_pose (B, 2, 15, 3, 3), hand_betas (B, 2, 10),
        hand_cam (B, 2, 3) as read out, of a right hand; hand_boxes (B, 2, 4), hand_centers (B, 2, 2), hand_sizes (B, 2), px;
        hand_present (B, 2). Rotations of a missing hand are the identity, its numbers 0."""
        boxes = crops.boxes
        orient = torch.eye(3, device=boxes.device).repeat(*crops.present.shape, 16, 1, 1)
        betas, cam = boxes.new_zeros(*crops.present.shape, 10), boxes.new_zeros(*crops.present.shape, 3)
        if hands:
            place = crops.person, crops.side
            orient[place] = torch.cat((hands['global_orient'], hands['hand_pose']), dim=1)
            betas[place], cam[place] = hands['betas'], hands['cam']
        orient = mirror_left_hand(orient)
        in_body = orient[:, :, 0]
        if rays is not None:
            in_body = in_body.clone()
            in_body[crops.person, crops.side] = rays @ in_body[crops.person, crops.side]
        return dict(hand_global_orient=orient[:, :, 0], hand_orient_in_body=in_body, hand_pose=orient[:, :, 1:],
                    hand_betas=betas, hand_cam=cam, hand_boxes=boxes, hand_centers=crops.centers, hand_sizes=crops.sizes,
                    hand_present=crops.present)


def _for_inference(config: dict) -> dict:
    """An expert's config without what only training needs."""
    config = dict(config, losses=None, trainable=[])
    if not config.get('adapter_file'):
        config['adapter'] = None
    return config
