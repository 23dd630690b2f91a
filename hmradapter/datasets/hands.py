"""Hands of a prepared store as samples for the hand expert: what every data set with persons shares."""
from collections.abc import Sequence

import numpy as np

from hmradapter.geometry.rotations import axis_angles_to_rotmats
from hmradapter.registry import DATASETS

from .guidance import BodyGuidance
from .record import HAND_VIEW, SIDES, flag_bits
from .sources.source import Source
from .store_dataset import StoreDataset, as_tensor

NEEDED = {side: HAND_VIEW[side] | flag_bits(['has_image']) for side in SIDES}
LABELS = {side: {label: flag_bits([f'has_{side}_hand_{name}']) for label, name in
                 (('has_global_orient', 'global'), ('has_hand_pose', 'pose'), ('has_betas', 'betas'),
                  ('keypoints_2d', 'kpts2d'), ('keypoints_3d', 'kpts3d'), ('visibility', 'visibility'))} for side in SIDES}


@DATASETS.register_module()
class HandDataset(StoreDataset):
    """One item per hand with a box, of any data set: `dict(type='HandDataset', source=dict(type='ArcticSource', ...))`.

    Args:
        source, pipeline, others: as in `StoreDataset`.
        hands: sides to give.
        guidance: arguments of `BodyGuidance`.
    """

    def __init__(self, source: str | dict | Source, pipeline: Sequence = (), hands: Sequence[str] = SIDES,
                 guidance: dict | None = None, **others):
        unknown = sorted(set(hands) - set(SIDES))
        if unknown or not hands:
            raise ValueError(f'hands is {tuple(hands)!r}: name one or both of {SIDES}.')
        self.hands, self.what = tuple(hands), f'hand of the sides {tuple(hands)}'
        self.guidance = BodyGuidance(**(guidance or {}))
        super().__init__(source, pipeline, **others)

    def full_init(self) -> None:
        """Also opens the guidance."""
        if not self._fully_initialized:
            super().full_init()
            self.guidance.open(self.store)

    def usable(self, flags: np.ndarray) -> np.ndarray:
        """Which hands (R, 2) to give; number 2 * row + side, both hands of a picture next to each other."""
        return np.stack([((flags & np.uint64(NEEDED[side])) == NEEDED[side]) & (side in self.hands) for side in SIDES], axis=1)

    def get_data_info(self, idx: int) -> dict:
        """The hand number `idx` on its true side, as transforms take it: pixels of the image, metres of the camera frame."""
        row, side = divmod(self.item(idx), 2)
        record = self.store.record(row)
        sample = hand_sample(record, SIDES[side], self.store.key(row)) | self.about(idx, record)
        sample['body_pose'], sample['has_body_pose'] = self.guidance(row, record, sample['body_pose'])
        return sample


def hand_sample(record: np.void, hand: str, key: str) -> dict:
    """Labels, annotated body, key, side and box of one hand of the record called `key`."""
    box = record['bbox_hand'][SIDES.index(hand)]
    return dict(hand_labels(record, hand), key=f'{key}/{hand}', hand=hand, box_center=(box[:2] + box[2:]) / 2,
                box_wh=box[2:] - box[:2])


def hand_labels(record: np.void, hand: str) -> dict:
    """Labels of one hand of a record and the body's pose; what is missing is zero (rotations: identity) with validity or
    confidence 0. All rotations are converted at once: a few dozen take as long as one."""
    side, flags = SIDES.index(hand), int(record['flags'])
    has = {name: float(bool(flags & bit)) for name, bit in LABELS[hand].items()}
    axis_angles = np.concatenate((record['hand_global_orient'][side][None], record['hand_pose'][side],
                                  record['global_orient'][None], record['body_pose']))
    global_orient, hand_pose, body_pose = axis_angles_to_rotmats(axis_angles).split((1, 15, 22))
    return dict(global_orient=global_orient, hand_pose=hand_pose, body_pose=body_pose,
                betas=as_tensor(record['hand_betas'][side]), keypoints_2d=as_tensor(record['hand_kpts2d'][side]),
                keypoints_3d=as_tensor(record['hand_kpts3d'][side]), has_global_orient=has['has_global_orient'],
                has_hand_pose=has['has_hand_pose'], has_betas=has['has_betas'],
                visibility=float(record['hand_visibility'][side]) if has['visibility'] else None)
