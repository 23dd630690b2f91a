"""Hands in HaMeR's own forms: the dicts of its training tars (`data.pyd`, one a hand of an image) and its evaluation `.npz`.

Both say axis-angle poses with the wrist first, absolute (nothing to add), a box by centre and `scale`, joints in HAND21 with
confidence, 3D in metres of the camera. `scale` is the box's side: pixels in the npz, pixels / 200 in the tars.
Source: HaMeR `datasets/image_dataset.py` (loader and filters), `configs/datasets_eval.yaml` (files).
"""
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmradapter.fileio import DamagedFileError, load_npz

from ..record import HAND, MODELS, SIDES, empty_records, set_flag

TAR_SCALE = 200     # pixels per unit of `scale` in the tars
LARGEST_2D = 8.0    # boxes from a box's centre: no hand reaches beyond, a damaged number may
LARGEST_3D = 1.0    # metres from a hand's wrist, as well
TAR_FIELDS = dict(center=(2,), scale=(2,), right=(), hand_pose=(48,), has_hand_pose=(), betas=(10,), has_betas=(),
                  keypoints_2d=(21, 3), keypoints_3d=(21, 4))
NPZ_FIELDS = dict(right=(), hand_pose=(48,), has_hand_pose=(), betas=(10,), has_betas=(), hand_keypoints_2d=(21, 3),
                  hand_keypoints_3d=(21, 4))


class Hands(NamedTuple):
    """N hands, on their true sides; float64, and bool where it says so.

    is_right (N,) bool; center (N, 2) and wh (N, 2) px, the box as it is stored; pose (N, 16, 3) axis-angle, wrist first;
    betas (N, 10); has_pose, has_betas (N,) bool; points_2d (N, 21, 3) px, points_3d (N, 21, 4) m, with confidence; loss (N,) of
    the fit, NaN where it is not known.
    """
    is_right: np.ndarray
    center: np.ndarray
    wh: np.ndarray
    pose: np.ndarray
    betas: np.ndarray
    has_pose: np.ndarray
    has_betas: np.ndarray
    points_2d: np.ndarray
    points_3d: np.ndarray
    loss: np.ndarray

    def take(self, rows) -> 'Hands':
        """The chosen ones."""
        return Hands(*(field[rows] for field in self))


@dataclass(frozen=True)
class HandFilters:
    """What HaMeR trains on. The defaults are those of its released model.

    min_confidence: 2D confidences below it become 0; min_joints: more than so many joints must be left; largest_beta: a shape
    with a coefficient beyond it is not believed; largest_loss: of the fit's reprojection, from which on a hand is left out.
    """
    min_confidence: float = 0.3
    min_joints: int = 4
    largest_beta: float = 3.0
    largest_loss: float = 31000.0


def hands_of_dicts(content, name: str) -> Hands:
    """The list of a `data.pyd`; `name` is what errors say.

    Raises:
        DamagedFileError: it is no list of such dicts.
    """
    if not isinstance(content, (list, tuple)) or not all(isinstance(hand, Mapping) for hand in content):
        raise DamagedFileError(name, "HaMeR's hands", f'it holds a {type(content).__name__}, not a list of dicts')
    try:
        fields = {field: np.stack([np.asarray(hand[field], dtype=np.float64).reshape(shape) for hand in content])
                  if content else np.zeros((0, *shape)) for field, shape in TAR_FIELDS.items()}
        loss = np.array([_reprojection_loss(hand) for hand in content], dtype=np.float64)
        return _hands(fields, fields['scale'] * TAR_SCALE, loss)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFileError(name, "HaMeR's hands", error) from error


def hands_of_npz(path) -> tuple[Hands, list[str]]:
    """The hands of `freihand_val.npz`, `ho3d_val.npz`, `TEST_*_img_*.npz` and their images' names, in the file's order. A
    missing array means zeros without validity, a missing `right` right hands.

    Raises:
        DamagedFileError: it is no such file.
    """
    data = load_npz(path)
    missing = [name for name in ('imgname', 'center', 'scale') if name not in data]
    if missing:
        raise DamagedFileError(path, "HaMeR's evaluation file", f'it lacks {missing}, it holds {sorted(data)}')
    count = len(data['imgname'])
    try:
        fields = {name.removeprefix('hand_') if 'keypoints' in name else name: _npz_field(data, name, (count, *shape))
                  for name, shape in NPZ_FIELDS.items()}
        fields['center'] = np.asarray(data['center'], dtype=np.float64).reshape(count, 2)
        wh = np.asarray(data['scale'], dtype=np.float64).reshape(count, -1) * np.ones((count, 2))
        for name in ('hand_pose', 'betas'):  # a flag without its array means nothing
            if name not in data:
                fields[f'has_{name}'] = np.zeros(count)
        return _hands(fields, wh, np.full(count, np.nan)), image_names(data['imgname'])
    except (TypeError, ValueError) as error:
        raise DamagedFileError(path, "HaMeR's evaluation file", error) from error


def image_names(names: np.ndarray) -> list[str]:
    """Names of images as text; some files have bytes."""
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist()]


def clean(hands: Hands, filters: HandFilters, sizes: np.ndarray) -> tuple[Hands, np.ndarray]:
    """What HaMeR makes of training hands of images (W, H) sizes (N, 2), in its order, and for each (N,) why it is left out, ''
    where it is not.

    Pose and shape are believed together or not at all; afterwards a shape that is not known counts as known and zero, which
    keeps shapes small.
    """
    confidence = hands.points_2d[..., 2]
    confidence = np.where(confidence < filters.min_confidence, 0, confidence)
    points_2d = np.concatenate((hands.points_2d[..., :2], confidence[..., None]), axis=-1)
    known = hands.has_pose & hands.has_betas & (np.abs(hands.betas) <= filters.largest_beta).all(1)
    # in this order: the first reason that applies counts
    reasons = dict(few_joints=(points_2d[..., 2] > 0).sum(1) <= filters.min_joints, bad_fit=hands.loss >= filters.largest_loss)
    cleaned = hands._replace(points_2d=points_2d, has_pose=known, has_betas=np.ones_like(known),
                             betas=np.where(known[:, None], hands.betas, 0))
    faults = faults_of(hands, sizes)
    why = np.where(faults != '', faults, np.select(list(reasons.values()), list(reasons), ''))
    return cleaned, why


def faults_of(hands: Hands, sizes: np.ndarray) -> np.ndarray:
    """For each hand (N,) of images (W, H) sizes (N, 2) what makes it unusable: 'hand_not_finite', 'hand_without_box',
    'hand_outside_image', 'hand_not_plausible', or ''."""
    with np.errstate(over='ignore', invalid='ignore'):  # float32, which records hold
        numbers = (hands.center, hands.wh, hands.pose, hands.betas, hands.points_2d, hands.points_3d)
        finite = np.stack([np.isfinite(field.astype(np.float32)).all(axis=tuple(range(1, field.ndim)))
                           for field in numbers]).all(0)
        reach = LARGEST_2D * hands.wh.max(1, initial=0)[:, None]
        away_2d = np.abs(hands.points_2d[..., :2] - hands.center[:, None]).max(-1) > reach
        away_3d = np.abs(hands.points_3d[..., :3] - hands.points_3d[:, :1, :3]).max(-1) > LARGEST_3D
        away_3d &= hands.points_3d[:, :1, 3] > 0  # from a wrist that is known
        away = (away_2d & (hands.points_2d[..., 2] > 0)).any(1) | (away_3d & (hands.points_3d[..., 3] > 0)).any(1)
        away |= (np.abs(hands.pose) > 4 * np.pi).any((1, 2)) & hands.has_pose
        # a quarter of the box as it is stored: half of the tight one
        outside = ((hands.center + hands.wh / 4 <= 0) | (hands.center - hands.wh / 4 >= sizes - 1)).any(1)
    conditions = dict(hand_not_finite=~finite, hand_without_box=(hands.wh <= 1).any(1), hand_outside_image=outside,
                      hand_not_plausible=away)
    return np.select(list(conditions.values()), list(conditions), '')


def hand_records(hands: Hands, dataset: str, sizes: np.ndarray, padding: float) -> np.ndarray:
    """Rows of N hands, references to images not yet set.

    Args:
        sizes: (N, 2) images as (W, H).
        padding: how much larger the stored boxes are than the tight ones that records hold.
    """
    count, side = len(hands.is_right), hands.is_right.astype(int)
    rows, records = np.arange(count), empty_records(count, dataset, HAND)
    records['model'], records['hw'] = MODELS.index('mano'), sizes[:, ::-1]
    half = hands.wh / padding / 2
    points_2d, points_3d = (_zeroed(points) for points in (hands.points_2d, hands.points_3d))
    pose = hands.pose * hands.has_pose[:, None, None]
    values = dict(bbox_hand=np.concatenate((hands.center - half, hands.center + half), axis=1),
                  hand_global_orient=pose[:, 0], hand_pose=pose[:, 1:], hand_betas=hands.betas * hands.has_betas[:, None],
                  hand_kpts2d=points_2d, hand_kpts3d=points_3d)
    for name, value in values.items():
        records[name][rows, side] = value
    flags = dict(pose=hands.has_pose, betas=hands.has_betas, kpts2d=points_2d[..., 2].any(1), kpts3d=points_3d[..., 3].any(1))
    flags['global'] = hands.has_pose
    set_flag(records, 'has_image')
    for i, name in enumerate(SIDES):
        set_flag(records, f'has_bbox_{name}_hand', side == i)
        for flag, where in flags.items():
            set_flag(records, f'has_{name}_hand_{flag}', where & (side == i))
    return records


def _zeroed(points: np.ndarray) -> np.ndarray:
    """Points (N, J, D) with confidence last, clipped to 0..1; those without any are 0."""
    confidence = points[..., -1:].clip(0, 1)
    return np.where(confidence > 0, np.concatenate((points[..., :-1], confidence), axis=-1), 0)


def _hands(fields: dict, wh: np.ndarray, loss: np.ndarray) -> Hands:
    for name in ('right', 'has_hand_pose', 'has_betas'):
        if not np.isin(fields[name], (0, 1)).all():
            raise ValueError(f'{name} is {fields[name][~np.isin(fields[name], (0, 1))][0]}, neither 0 nor 1')
    return Hands(fields['right'] > 0, fields['center'], wh, fields['hand_pose'].reshape(-1, 16, 3), fields['betas'],
                 fields['has_hand_pose'] > 0, fields['has_betas'] > 0, fields['keypoints_2d'], fields['keypoints_3d'], loss)


def _npz_field(data: dict, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in data:
        return np.full(shape, float(name == 'right'))
    return np.asarray(data[name], dtype=np.float64).reshape(shape)


def _reprojection_loss(hand: Mapping) -> float:
    """`extra_info.fitting_loss.reprojection_loss`, where `fitting_loss` is a dict, often in an array of one; NaN for none."""
    losses = (hand.get('extra_info') or {}).get('fitting_loss')
    losses = losses.item() if isinstance(losses, np.ndarray) else losses
    loss = (losses or {}).get('reprojection_loss')
    return np.nan if loss is None else float(np.asarray(loss).reshape(()))


def tar_name(path: Path, root: Path) -> str:
    """How keys and messages call a tar: its place under the root, without the ending."""
    return path.relative_to(root).as_posix().removesuffix('.tar')
