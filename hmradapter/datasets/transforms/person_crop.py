"""SMPLer-X's crop: a person in an upright box of 3 : 4. J = 137 joints (`structures.joints`).

Source: SMPLer-X `common/utils/preprocessing.py` (`process_bbox`, `augmentation`, `generate_patch_image`, `process_db_coord`).
Departures: labels keep rotation matrices; only the part of the image that the crop reads is warped; and by default only every
second row and column is made, which is all that the network reads.
"""
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from hmradapter.datasets.person_boxes import person_box
from hmradapter.geometry import boxes, mirror, rotations
from hmradapter.registry import TRANSFORMS
from hmradapter.structures.joints import POSE53_MIRROR_PAIRS, WHOLE137_MIRROR_PAIRS

from .crop import warp_region

NO_AUGMENTATION = dict(scale=1.0, degrees=0.0, flip=False)


@TRANSFORMS.register_module()
class PersonCrop(BaseTransform):
    """Cut a person out of the image; an augmentation that was drawn is applied to picture and labels alike.

    Reads: img (H, W, 3) uint8 BGR, bbox_xywh (4,) px, augmentation if drawn.
    Changes: img; if there, keypoints_2d (J, 3) px of the image -> px of the crop of `size`, keypoints_3d (J, 4) m,
        pose (53, 3, 3), pose_valid (53,), part_boxes (3, 4) x0 y0 x1 y1 px of the image -> of the crop, has_part_boxes (3,).
    Adds: image, the whole one as it came; box_center (2,) and box_size (2,) = (w, h), px of the unmirrored image,
        crop_from_image (3, 3) to pixels of the crop of `size`, in_image (J,): joints that lie right of and below the image's
        corner (what SMPLer-X asks of a visible joint).

    Args:
        size: (height, width) of SMPLer-X's crop, pixels.
        step: only every so many of its rows and columns are made.
        ratio: crop over box: 1.25 at inference, 1.2 for EHF, 3DPW and tight boxes, 0.9996 for HumanData.
        as_float: warp without rounding grey levels, as SMPLer-X does.
    """

    def __init__(self, size: tuple[int, int] = (512, 384), step: int = 2, ratio: float = 1.25, as_float: bool = False):
        if size[0] % step or size[1] % step:
            raise ValueError(f'size is {tuple(size)} and step {step}: the size must be a multiple of the step.')
        self.size, self.step, self.ratio, self.as_float = tuple(size), step, ratio, as_float

    def transform(self, results: dict) -> dict:
        draw = results.get('augmentation') or NO_AUGMENTATION
        if 'vertices' in results and draw != NO_AUGMENTATION:
            raise ValueError(f'the person {results.get("key")!r} comes with a true mesh, for evaluation, and {draw}: leave '
                             'RandomPersonAugmentation out of a pipeline that runs with test_mode=True.')
        height, width = results['img'].shape[:2]
        box = person_box(results['bbox_xywh'], (width, height), self.ratio, self.size[1] / self.size[0])
        if box is None:
            raise ValueError(f'the person {results.get("key")!r} has the box {list(results["bbox_xywh"])} (x, y, w, h) in an '
                             f'image of {width}x{height}: nothing of it lies inside; correct the box or leave the person out.')
        center = torch.from_numpy(box[:2] + box[2:] * np.float32(0.5))
        seen = mirror.mirror_pixels(center, width) if draw['flip'] else center
        matrix = boxes.crop_affine(seen.double(), torch.from_numpy(box[2:]).double(), self.size[::-1], draw['scale'],
                                   draw['degrees'])
        made = self.size[1] // self.step, self.size[0] // self.step
        results['image'] = results['img']
        results['img'] = warp_region(results['img'], matrix.float().double().numpy() / self.step, made, draw['flip'],
                                     as_float=self.as_float)
        crop_from_image = boxes.to_homogeneous(matrix)
        if draw['flip']:
            crop_from_image = crop_from_image @ mirror.mirror_affine(width)
        results.update(box_center=center, box_size=torch.from_numpy(box[2:]) * draw['scale'],
                       crop_from_image=crop_from_image.float())
        transform_labels(results, crop_from_image, draw['flip'], draw['degrees'])
        return results


def transform_labels(results: dict, crop_from_image: Tensor, flip: bool, degrees: float) -> None:
    """Labels of a person as the crop shows them. `crop_from_image` (3, 3) includes the mirror and the turn."""
    if 'keypoints_2d' in results:
        keypoints = results['keypoints_2d']
        results['in_image'] = (keypoints[:, :2] > 0).all(1).to(keypoints.dtype)
        pixels = boxes.apply_affine(keypoints[:, :2].double(), crop_from_image).to(keypoints.dtype)
        results['keypoints_2d'] = torch.cat((pixels, keypoints[:, 2:]), dim=1)
    if 'part_boxes' in results:
        corners = results['part_boxes'][:, [0, 1, 2, 1, 2, 3, 0, 3]].unflatten(1, (4, 2)).double()
        corners = boxes.apply_affine(corners, crop_from_image)
        results['part_boxes'] = torch.cat((corners.amin(1), corners.amax(1)), dim=1).float()
    if flip:
        _mirror_labels(results)
    if degrees:
        _turn_labels(results, degrees)


def _mirror_labels(results: dict) -> None:
    """3D and order of joints, rotations and parts in the mirror (2D is mirrored by `crop_from_image`)."""
    joints = mirror.mirror_body_order(WHOLE137_MIRROR_PAIRS, 137)
    rotations_order = mirror.mirror_body_order(POSE53_MIRROR_PAIRS, 53)
    parts = mirror.mirror_body_order(((0, 1),), 3)  # left hand, right hand, face
    for name, order in dict(keypoints_2d=joints, keypoints_3d=joints, in_image=joints, pose=rotations_order,
                            pose_valid=rotations_order, part_boxes=parts, has_part_boxes=parts).items():
        if name in results:
            results[name] = results[name][order]
    for name, law in dict(keypoints_3d=mirror.mirror_points, pose=mirror.mirror_rotmat).items():
        if name in results:
            results[name] = law(results[name])


def _turn_labels(results: dict, degrees: float) -> None:
    """The scene seen by a camera turned about its axis: Rz(-degrees) on points and on the root's rotation."""
    turn = rotations.rotation_about_z(rotations.degrees_to_radians(torch.tensor(-float(degrees))))
    if 'keypoints_3d' in results:
        points = results['keypoints_3d']
        results['keypoints_3d'] = torch.cat((points[:, :3] @ turn.T, points[:, 3:]), dim=1)
    if 'pose' in results:
        pose = results['pose']
        results['pose'] = torch.cat((turn @ pose[:1], pose[1:]))
