"""SMPL-X fits that OSX distributes for images without 3D labels (COCO, UBody), as json by annotation id.

    {'<annotation id>': {'smplx_param': {root_pose 3, body_pose 63, shape 10, trans 3, and lhand_pose 45, rhand_pose 45,
                                         jaw_pose 3, expr 10, lhand_valid, rhand_valid, face_valid where they are known},
                         'cam_param': {focal 2, princpt 2}}}
Neutral SMPL-X, camera frame, metres, pixels of the stored image; fingers are residual: the mean hand is to be added. Where a
fit does not say whether its hands and face hold, the annotation's `*_valid` do. The eyes are not fitted.
Source: OSX `data/MSCOCO/MSCOCO.py`, `data/UBody/UBody.py`, `common/utils/preprocessing.py` (process_human_model_output).
"""
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.fileio import DamagedFileError, load_json
from hmradapter.structures.joints import COCO133_PARTS, HAND21_FROM_SMPLX144, SMPLX144_FROM_COCO133

from ..labels import View
from ..record import SIDES, set_flag
from ..smplx_labels import set_smplx_persons
from .rows import clear_flag, finite_rows, intrinsics_of, view_of

BODY = dict(global_orient=('root_pose', 3), body_pose=('body_pose', 63), betas=('shape', 10), transl=('trans', 3))
HANDS = dict(left_hand_pose=('lhand_pose', 45), right_hand_pose=('rhand_pose', 45))
FACE = dict(jaw_pose=('jaw_pose', 3), expression=('expr', 10))
PARTS = dict(left_hand=('lhand_valid', ('left_hand_pose',)), right_hand=('rhand_valid', ('right_hand_pose',)),
             face=('face_valid', ('jaw_pose', 'expression')))
ANNOTATED = dict(left_hand='lefthand_valid', right_hand='righthand_valid', face='face_valid')
FACE_JOINTS = [22, *range(76, 127)]  # of SMPLX144: what jaw and expression move
BODY_JOINTS = list(SMPLX144_FROM_COCO133[COCO133_PARTS['body']])
# Of a person's longer side: how far a fit's joints may lie from the marked ones, in the median. Fits are a few percent off;
# another frame, person or unit is much further away.
MAX_OFF = 0.2


class Fits(NamedTuple):
    """params as `smplx_labels` takes them, float64 (N, .), fingers absolute; valid {part: (N,) bool} of PARTS; focal, princpt
    (N, 2) px."""
    params: dict[str, torch.Tensor]
    valid: dict[str, np.ndarray]
    focal: np.ndarray
    princpt: np.ndarray

    def take(self, chosen: np.ndarray) -> 'Fits':
        """Some of them, by number."""
        return Fits({name: value[torch.from_numpy(chosen)] for name, value in self.params.items()},
                    {part: value[chosen] for part, value in self.valid.items()}, self.focal[chosen], self.princpt[chosen])

    def view(self, sizes: np.ndarray) -> View:
        """Their cameras, for images (W, H) (N, 2): fits are in the camera's frame."""
        count = len(sizes)
        return view_of(np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)), intrinsics_of(self.focal, self.princpt), sizes)


def load_fits(path: Path) -> dict[str, dict]:
    """Fits by annotation id, unchecked; DamagedFileError where the file is none of that form."""
    fits = load_json(path, 'SMPL-X fits by annotation id')
    odd = next((key for key, fit in fits.items() if not isinstance(fit, dict)), None)
    if odd is not None:
        raise DamagedFileError(path, 'SMPL-X fits by annotation id', f'{odd!r} holds a {type(fits[odd]).__name__}')
    return fits


def read_fits(fits: Sequence[dict], annotations: Sequence[dict], layer: SMPLXLayer) -> tuple[Fits, np.ndarray]:
    """Fits of annotations as arrays, and which of them (N,) have all that they must, finite; the others are at rest."""
    count = len(fits)
    sizes = BODY | HANDS | FACE
    values = {name: np.zeros((count, size)) for name, (_, size) in sizes.items()}
    valid = {part: np.zeros(count, bool) for part in PARTS}
    cameras, sound = np.zeros((count, 4)), np.zeros(count, bool)
    for i, (fit, annotation) in enumerate(zip(fits, annotations, strict=True)):
        try:
            row, known, cameras[i] = _row(fit, annotation)
        except (KeyError, TypeError, ValueError):
            continue
        for name, value in row.items():
            values[name][i] = value
        for part, holds in known.items():
            valid[part][i] = holds
        sound[i] = True
    sound &= finite_rows(*values.values(), cameras) & (cameras[:, :2] > 0).all(1)
    for value in (*values.values(), cameras):
        value[~sound] = 0
    for side in SIDES:
        values[f'{side}_hand_pose'] += getattr(layer, f'{side}_hand_mean').double().numpy()  # residual in the file
    zero = np.zeros((count, 3))
    params = {name: torch.from_numpy(value) for name, value in dict(values, leye_pose=zero, reye_pose=zero).items()}
    return Fits(params, {part: holds & sound for part, holds in valid.items()}, cameras[:, :2], cameras[:, 2:]), sound


def _row(fit: dict, annotation: dict) -> tuple[dict, dict, np.ndarray]:
    """One fit's numbers by our names (those of invalid parts left out), which PARTS hold, and focal and princpt (4,)."""
    stored, camera = fit['smplx_param'], fit['cam_param']
    if set(camera) != {'focal', 'princpt'} or stored.get('gender', 'neutral') != 'neutral':
        raise ValueError('a fit in another frame, or of another model')
    holds = {part: bool(stored[flag] if flag in stored else annotation[ANNOTATED[part]])
             and all((HANDS | FACE)[name][0] in stored for name in names) for part, (flag, names) in PARTS.items()}
    known = BODY | {name: (HANDS | FACE)[name] for part, (_, names) in PARTS.items() if holds[part] for name in names}
    row = {name: np.asarray(stored[theirs], dtype=np.float64).reshape(size) for name, (theirs, size) in known.items()}
    focal, princpt = (np.asarray(camera[name], dtype=np.float64).reshape(2) for name in ('focal', 'princpt'))
    return row, holds, np.concatenate((focal, princpt))


def set_fits(records: np.ndarray, layer: SMPLXLayer, fits: Fits, sizes: np.ndarray, joints: np.ndarray,
             boxes: np.ndarray) -> np.ndarray:
    """Label records by their fits, which have to agree with the marked joints (N, 133, 3) of the body; boxes (N, 4) xywh.
    Returns (N,) which fits agree; a record whose fit does not is left in no state to be used."""
    view = fits.view(sizes)
    valid = set_smplx_persons(records, layer, fits.params, view).numpy()
    records['focal'], records['princpt'] = fits.focal, fits.princpt
    set_flag(records, 'has_K', valid)
    marked, posed = joints[:, COCO133_PARTS['body']], records['kpts2d'][:, BODY_JOINTS]
    both = (marked[..., 2] > 0) & (posed[..., 2] > 0)
    off = np.where(both, np.linalg.norm(marked[..., :2] - posed[..., :2], axis=-1), np.nan)
    agree = valid & both.any(1)
    agree[agree] = np.nanmedian(off[agree], axis=1) <= MAX_OFF * boxes[agree, 2:].max(1)
    _forget_parts(records, fits.valid)
    return agree


def _forget_parts(records: np.ndarray, valid: dict[str, np.ndarray]) -> None:
    """Take back what was said of parts whose fit does not hold, and of the eyes."""
    for i, side in enumerate(SIDES):
        gone = ~valid[f'{side}_hand']
        for name in ('hand_pose', 'hand_global_orient', 'hand_kpts2d', 'hand_kpts3d', 'bbox_hand'):
            records[name][gone, i] = 0
        for name in ('kpts2d', 'kpts3d'):
            records[name][np.ix_(gone, HAND21_FROM_SMPLX144[side][1:])] = 0
        for name in ('hand_pose', 'hand_global', 'hand_kpts2d', 'hand_kpts3d'):
            clear_flag(records, f'has_{side}_{name}', gone)
        clear_flag(records, f'has_bbox_{side}_hand', gone)
    gone = ~valid['face']
    for name in ('jaw_pose', 'expression', 'bbox_face'):
        records[name][gone] = 0
    for name in ('kpts2d', 'kpts3d'):
        records[name][np.ix_(gone, FACE_JOINTS)] = 0
    for name in ('has_jaw', 'has_expression', 'has_bbox_face'):
        clear_flag(records, name, gone)
    records['eye_pose'] = 0
    clear_flag(records, 'has_eyes')
