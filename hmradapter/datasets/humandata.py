"""HumanData `.npz`, the form of SMPLer-X's training sets: persons as dicts for the transforms.

What the format leaves to convention is an argument or taken from `misc`: whether fingers are absolute (`flat_hand_mean`), and
how much its boxes are padded already (`PersonCrop(ratio=...)`). Source: SMPLer-X `data/humandata.py`, MMHuman3D
`docs/human_data.md`.
"""
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmradapter.fileio import load_npz
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures.joints import POSE53_PARTS, WHOLE137_FROM_HUMANDATA

from .person_boxes import part_boxes

JOINTS = 190  # HUMAN_DATA order; the first 144 are SMPL-X's
KEYPOINTS_2D = ('keypoints2d', 'keypoints2d_smplx', 'keypoints2d_smpl', 'keypoints2d_original')  # first present wins
KEYPOINTS_3D = ('keypoints3d_cam', 'keypoints3d', 'keypoints3d_smplx', 'keypoints3d_smpl', 'keypoints3d_original')
BODIES = ('smplx', 'smpl', 'smplh')
PART_BOXES = ('lhand_bbox_xywh', 'rhand_bbox_xywh', 'face_bbox_xywh')  # in the order of `person_boxes.PARTS`
LARGEST_BETA = 3.0      # fits beyond it have failed


def read_humandata(path, image_root, hand_mean: Mapping[str, np.ndarray] | None = None,
                   flat_hand_mean: bool | None = None) -> Iterator[dict]:
    """Persons of a file in its order; those whose 3D joints are not finite are left out, as in SMPLer-X.

    Args:
        hand_mean: {'left', 'right'}: (45,) axis-angle of the body model, added to fingers that are stored relative to it. What
            a file stores is disputed for some sets (ARCTIC's has been published with the mean in it twice).
        flat_hand_mean: True where fingers are stored absolute; None takes the word of the file's `misc`, or False.

    Raises:
        KeyError: an array is missing.  ValueError: fingers are relative and no mean was given.
    """
    data = load_npz(path)
    missing = [name for name in ('image_path', 'bbox_xywh') if name not in data]
    if missing:
        raise KeyError(f'{path} lacks {missing}: it is no HumanData file, or lists no persons. It has {sorted(data)}.')
    count = len(data['image_path'])
    body = _Parameters(data, count, hand_mean, flat_hand_mean, path)
    points_2d, mask_2d = _keypoints(data, KEYPOINTS_2D, count, 3)
    points_3d, mask_3d = _keypoints(data, KEYPOINTS_3D, count, 4)
    has_3d = mask_3d.any()
    points_2d[..., 2] = points_3d[..., 3] = mask_3d if has_3d else mask_2d  # one mask for all samples, confidence is not read
    if not has_3d:
        points_3d[..., 3] = 0
    sizes = _image_sizes(data, count)
    for i in range(count):
        if np.isfinite(points_3d[i]).all():
            yield dict(body.labels(i), **_part_boxes(data, i, sizes[i]), key=f'{Path(path).stem}/{i}', sample_idx=i,
                       img_path=str(Path(image_root) / str(data['image_path'][i])), img_size=np.float32(sizes[i]),
                       bbox_xywh=data['bbox_xywh'][i, :4], keypoints_2d=torch.from_numpy(points_2d[i]),
                       keypoints_3d=torch.from_numpy(points_3d[i]), focal=torch.zeros(2), princpt=torch.zeros(2))


class _Parameters:
    """SMPL-X (or SMPL) parameters of a file; what is missing is the identity or zero and not valid."""

    def __init__(self, data: dict, count: int, hand_mean: Mapping | None, flat_hand_mean: bool | None, path):
        self.kind = next((name for name in BODIES if name in data), None)
        self.params = dict(data[self.kind]) if self.kind else {}
        self.count = count
        misc = data.get('misc')
        if flat_hand_mean is None:
            flat_hand_mean = isinstance(misc, dict) and misc.get('flat_hand_mean', False)
        has_hands = any(f'{side}_hand_pose' in self.params for side in ('left', 'right'))
        if has_hands and not flat_hand_mean and hand_mean is None:
            raise ValueError(f'{path} has fingers relative to the mean hand: give `hand_mean` of the body model, or '
                             'flat_hand_mean=True if the file is known to hold absolute ones.')
        self.hand_mean = None if flat_hand_mean else hand_mean
        if 'betas_neutral' in self.params:
            self.params['betas'] = self.params['betas_neutral']

    def labels(self, i: int) -> dict:
        """pose (53, 3, 3), fingers absolute, pose_valid (53,), betas, has_betas, expression, has_expression, transl (3,)."""
        vectors, valid = torch.zeros(53, 3), torch.zeros(53)
        for name, part in POSE53_PARTS.items():
            if name in self.params:
                joints = part.stop - part.start
                values = torch.from_numpy(np.float32(self.params[name][i])).reshape(-1, 3)[:joints]  # SMPL has 23 of the body
                if name.endswith('hand_pose') and self.hand_mean is not None:
                    values = values + torch.as_tensor(self.hand_mean[name.split('_')[0]], dtype=torch.float32).reshape(-1, 3)
                vectors[part], valid[part] = values, 1
        betas = self._coefficients('betas', i) if self.kind == 'smplx' else torch.zeros(10)  # others have another shape space
        if betas.abs().max() > LARGEST_BETA:
            betas = torch.zeros_like(betas)
        return dict(pose=axis_angle_to_rotmat(vectors), pose_valid=valid, betas=betas, has_betas=float(betas.any()),
                    expression=self._coefficients('expression', i), has_expression=float('expression' in self.params),
                    transl=torch.from_numpy(np.float32(self.params.get('transl', np.zeros((self.count, 3)))[i])))

    def _coefficients(self, name: str, i: int) -> Tensor:
        return torch.from_numpy(np.float32(self.params[name][i]))[:10] if name in self.params else torch.zeros(10)


def _keypoints(data: dict, names: tuple[str, ...], count: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, 137, columns) and their mask (137,) of the first of `names` that the file has; zeros without any."""
    name = next((name for name in names if name in data), None)
    if name is None:
        return np.zeros((count, len(WHOLE137_FROM_HUMANDATA), columns), np.float32), np.zeros(len(WHOLE137_FROM_HUMANDATA))
    stored, mask = data[name], np.asarray(data.get(f'{name}_mask', np.ones(JOINTS))) > 0
    if bool(data.get('__keypoints_compressed__', False)):
        full = np.zeros((count, JOINTS, stored.shape[2]), np.float32)
        full[:, mask] = stored
        stored = full
    order = list(WHOLE137_FROM_HUMANDATA)
    found = np.zeros((count, len(order), columns), np.float32)
    found[..., :columns - 1] = stored[:, order, :columns - 1]
    return found, mask[order].astype(np.float32)


def _image_sizes(data: dict, count: int) -> np.ndarray:
    """(N, 2) as (W, H)."""
    meta = data.get('meta')
    if not isinstance(meta, dict) or 'width' not in meta or 'height' not in meta:
        raise KeyError('the HumanData file has no `meta` with width and height of its images, by which boxes are cut; add '
                       'them.')
    return np.stack((np.broadcast_to(meta['width'], count), np.broadcast_to(meta['height'], count)), axis=1)


def _part_boxes(data: dict, i: int, img_size) -> dict:
    return part_boxes([data[name][i, :4] if name in data and data[name][i, 4] > 0 else None for name in PART_BOXES], img_size)
