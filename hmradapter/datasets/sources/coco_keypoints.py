"""2D labels of whole persons in COCO-WholeBody's form, which UBody shares: from annotations to fields of records.

Facts that are easily missed: the third number is a visibility 0, 1, 2 for the body, and a confidence anywhere from 0.04 to 2.0
for feet, face and hands; a part that is not there is all zeros, box included; hips are marked at the sides of the hips, where
SMPL-X has no joint. Source: `jin-s13/COCO-WholeBody` data_format.md; HaMeR's threshold for confidences.
N annotations, pixels of the stored image.
"""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from hmradapter.geometry import boxes
from hmradapter.structures.joints import COCO133_HIPS, COCO133_PARTS, SMPLX144_FROM_COCO133

from ..finite import finite_rows
from ..labels import MIN_INSIDE
from ..record import set_flag

MIN_CONFIDENCE = 0.3   # of feet, face and hands; HaMeR `datasets/image_dataset.py`
BOX_MARGIN = 16.0      # px from its box within which half of a part's joints have to lie; real boxes are up to 12 px off
AWAY = 0.5             # of a person's longer side: a joint that far outside of the person's box is a damaged number
FIELDS = dict(keypoints='body', foot_kpts='feet', face_kpts='face', lefthand_kpts='left_hand', righthand_kpts='right_hand')
BOXED = dict(left_hand='lefthand', right_hand='righthand', face='face')  # part: prefix of its box and flag
BODY_EDGE = 1          # px that a joint of the body may lie beyond the image's border, where it is cut
# What goes into kpts2d: all but the hips, which SMPL-X does not have, and the hands' wrists, which the body has.
HAND_WRISTS = tuple(COCO133_PARTS[part].start for part in ('left_hand', 'right_hand'))
PLACED = [i for i in range(133) if i not in COCO133_HIPS + HAND_WRISTS]
PLACES = [SMPLX144_FROM_COCO133[i] for i in PLACED]


class Keypoints(NamedTuple):
    """joints (N, 133, 3) as the file has them; body (N, 4) and parts {left_hand, right_hand, face: (N, 4)} boxes xywh;
    valid {part: (N,) bool}, what the file says of its box."""
    joints: np.ndarray
    body: np.ndarray
    parts: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]

    def take(self, chosen: np.ndarray) -> 'Keypoints':
        """Some of them, by number."""
        parts, valid = ({part: value[chosen] for part, value in field.items()} for field in (self.parts, self.valid))
        return Keypoints(self.joints[chosen], self.body[chosen], parts, valid)


def read_keypoints(annotations: Sequence[dict]) -> tuple[Keypoints, np.ndarray]:
    """Annotations as arrays, float64, and which of them (N,) have all that they must, finite; the others are zeros."""
    rows = np.zeros((len(annotations), 3 * 133 + 4 * 4))
    valid, sound = np.zeros((len(annotations), len(BOXED)), bool), np.zeros(len(annotations), bool)
    for i, annotation in enumerate(annotations):
        try:
            rows[i], valid[i] = _row(annotation)
            sound[i] = True
        except (KeyError, TypeError, ValueError):
            continue
    sound &= finite_rows(rows)
    rows[~sound], valid[~sound] = 0, False
    stored = rows[:, 3 * 133:].reshape(-1, 4, 4)
    return Keypoints(rows[:, :3 * 133].reshape(-1, 133, 3), stored[:, 0], dict(zip(BOXED, stored[:, 1:].swapaxes(0, 1),
                     strict=True)), dict(zip(BOXED, valid.T, strict=True))), sound


def _row(annotation: dict) -> tuple[np.ndarray, list[bool]]:
    parts = [np.asarray(annotation[name], dtype=np.float64).reshape(-1) for name in FIELDS]
    for values, (name, part) in zip(parts, FIELDS.items(), strict=True):
        count = COCO133_PARTS[part].stop - COCO133_PARTS[part].start
        if len(values) != 3 * count:
            raise ValueError(f'{name} has {len(values)} numbers, not 3 x {count}')
    names = ('bbox', *(f'{prefix}_box' for prefix in BOXED.values()))
    stored = [np.asarray(annotation[name], dtype=np.float64).reshape(4) for name in names]
    return np.concatenate([*parts, *stored]), [bool(annotation[f'{prefix}_valid']) for prefix in BOXED.values()]


def labelled_joints(joints: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Joints (N, 133, 3) of the file -> px and confidence in 0..1, zeros where there is no label: the body's by visibility,
    the others' cut off at 1 and dropped below MIN_CONFIDENCE; nothing outside of its image (W, H) (N, 2)."""
    confidence = joints[..., 2].clip(0, 1)
    body = np.arange(133) < COCO133_PARTS['body'].stop
    confidence = np.where(body, confidence > 0, np.where(confidence < MIN_CONFIDENCE, 0, confidence))
    inside = ((joints[..., :2] >= -BODY_EDGE) & (joints[..., :2] <= sizes[:, None] - 1 + BODY_EDGE)).all(-1)
    confidence = confidence * inside
    return np.where(confidence[..., None] > 0, np.concatenate((joints[..., :2], confidence[..., None]), axis=-1), 0)


def away_from_person(joints: np.ndarray, boxes_xywh: np.ndarray) -> np.ndarray:
    """Which labelled joints (N, 133, 3) lie far outside of the box (N, 4) of their person, (N, 133) bool."""
    low, high = boxes_xywh[:, None, :2], boxes_xywh[:, None, :2] + boxes_xywh[:, None, 2:]
    reach = AWAY * boxes_xywh[:, None, 2:].max(-1, keepdims=True)
    near = ((joints[..., :2] >= low - reach) & (joints[..., :2] <= high + reach)).all(-1)
    return (joints[..., 2] > 0) & ~near


def set_keypoints(records: np.ndarray, joints: np.ndarray) -> None:
    """Labelled joints (N, 133, 3) into the records' 2D: they replace what stands there (a fit's projection), joint by joint."""
    joints = joints.astype(np.float32)
    chosen = joints[:, PLACED]
    records['kpts2d'][:, PLACES] = np.where(chosen[..., 2:] > 0, chosen, records['kpts2d'][:, PLACES])
    set_flag(records, 'has_kpts2d', (chosen[..., 2] > 0).any(1))
    for i, side in enumerate(('left', 'right')):
        hand = joints[:, COCO133_PARTS[f'{side}_hand']]
        records['hand_kpts2d'][:, i] = np.where(hand[..., 2:] > 0, hand, records['hand_kpts2d'][:, i])
        set_flag(records, f'has_{side}_hand_kpts2d', (hand[..., 2] > 0).any(1))


def set_part_boxes(records: np.ndarray, found: Keypoints, joints: np.ndarray, stored: bool) -> dict[str, np.ndarray]:
    """Boxes of hands and face: with `stored` those of the file where it calls them valid, else tight ones around at least
    MIN_INSIDE labelled joints, else what stands there. Returns {part: (N,)} where a box that the file calls valid is none, or
    does not lie at the part's joints, and was not taken."""
    places = dict(left_hand=records['bbox_hand'][:, 0], right_hand=records['bbox_hand'][:, 1], face=records['bbox_face'])
    strange = {}
    for part, place in places.items():
        points = joints[:, COCO133_PARTS[part]]
        tight, has_tight = _tight(points)
        box = found.parts[part]
        box = np.concatenate((box[:, :2], box[:, :2] + box[:, 2:]), axis=1)
        usable = (box[:, 2:] - box[:, :2] > 1).all(1) & _belongs(box, points)
        taken = usable & found.valid[part] & stored
        strange[part] = found.valid[part] & stored & ~usable
        place[:] = np.where(taken[:, None], box, np.where(has_tight[:, None], tight, place))  # or a fit's
        set_flag(records, f'has_bbox_{part}', taken | has_tight)
    return strange


def _tight(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) around labelled points (N, J, 3), and which of them (N,) hold enough and have an extent."""
    seen = torch.from_numpy(points[..., 2] > 0)
    box = boxes.box_from_points(torch.from_numpy(points[..., :2]), seen).nan_to_num(0.0).numpy()
    return box, (seen.sum(1).numpy() >= MIN_INSIDE) & (box[:, 2:] - box[:, :2] > 1).all(1)


def _belongs(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether (N,) at least half of the labelled points (N, J, 3) lie in the box (N, 4) or near; true where there are none."""
    seen = points[..., 2] > 0
    near = ((points[..., :2] >= box[:, None, :2] - BOX_MARGIN) & (points[..., :2] <= box[:, None, 2:] + BOX_MARGIN)).all(-1)
    return 2 * (near & seen).sum(1) >= seen.sum(1)
