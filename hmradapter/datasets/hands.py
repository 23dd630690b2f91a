"""Hands of a prepared store as samples for the hand expert: what every data set with persons shares."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from torch import Tensor

from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import TRANSFORMS

from .guidance import BodyGuidance
from .record import HAND_VIEW, SIDES, flag_bits
from .store import PreparedStore

NEEDED = {side: HAND_VIEW[side] | flag_bits(['has_image', 'has_K']) for side in SIDES}
LABELS = {side: {label: flag_bits([f'has_{side}_hand_{name}']) for label, name in
                 (('has_global_orient', 'global'), ('has_hand_pose', 'pose'), ('has_betas', 'betas'),
                  ('keypoints_2d', 'kpts2d'), ('keypoints_3d', 'kpts3d'), ('visibility', 'visibility'))} for side in SIDES}


class HandDataset(BaseDataset):
    """One item per hand with a box. A subclass says where the store is, by `prepare`.

    Differs from MMEngine's BaseDataset: samples stay on disk, memory-mapped and shared by all processes, and a sample that
    cannot be loaded is an error with its file's name instead of another sample.

    Args:
        image_root: folder that the store's image paths start from.
        pipeline: transforms.
        hands: sides to give.
        guidance: arguments of `BodyGuidance`.
        test_mode, indices, lazy_init, metainfo: as in MMEngine; `indices` may be a number (the first so many).
    """

    def __init__(self, image_root, pipeline: Sequence, hands: Sequence[str] = SIDES, guidance: dict | None = None,
                 test_mode: bool = False, indices: int | Sequence[int] | None = None, lazy_init: bool = False,
                 metainfo: dict | None = None):
        unknown = sorted(set(hands) - set(SIDES))
        if unknown or not hands:
            raise ValueError(f'hands is {tuple(hands)!r}: name one or both of {SIDES}.')
        self.image_root, self.hands = Path(image_root), tuple(hands)
        self.guidance = BodyGuidance(**(guidance or {}))
        self.store: PreparedStore | None = None
        self._items: np.ndarray | None = None
        # built here: MMEngine would look in its own registry unless a default scope is set
        steps = [TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline]
        super().__init__(pipeline=steps, test_mode=test_mode, indices=indices, serialize_data=False, lazy_init=True)
        self._metainfo.update(metainfo or {})  # given above, MMEngine would look for files of these names
        if not lazy_init:
            self.full_init()

    def prepare(self) -> PreparedStore:
        """The store, made first if it has to be."""
        raise NotImplementedError

    def full_init(self) -> None:
        """Open the store and list its hands; called by MMEngine, once."""
        if self._fully_initialized:
            return
        self.store = self.prepare()
        self._items = self._list_hands()
        if len(self._items) == 0:
            raise ValueError(f'{self.store.folder} has no hand of the sides {self.hands} to give; left out were '
                             f'{self.store.manifest["dropped"]}, without label {self.store.manifest["unlabelled"]}.')
        self.guidance.open(self.store)
        self._fully_initialized = True

    def __len__(self) -> int:
        if not self._fully_initialized:
            self.full_init()
        return len(self._items)

    def __getitem__(self, idx: int) -> dict:
        return self.pipeline(self.get_data_info(idx))

    def get_data_info(self, idx: int) -> dict:
        """The hand number `idx` on its true side, as transforms take it: pixels of the image, metres of the camera frame."""
        if not self._fully_initialized:
            self.full_init()
        row, side = divmod(int(self._items[idx]), 2)
        record = self.store.record(row)
        body_pose, has_body_pose = self.guidance(row, record)
        hand = SIDES[side]
        box = record['bbox_hand'][side]
        labels = hand_labels(record, hand)
        return dict(labels, key=f'{self.store.key(row)}/{hand}', sample_idx=int(idx) % len(self._items), hand=hand,
                    img_path=str(self.image_root / self.store.path(int(record['offset']))),
                    img_size=np.float32(record['hw'][::-1]), box_center=(box[:2] + box[2:]) / 2, box_wh=box[2:] - box[:2],
                    focal=record['focal'], princpt=record['princpt'], body_pose=body_pose, has_body_pose=has_body_pose)

    def _list_hands(self) -> np.ndarray:
        """Numbers 2 * row + side of the hands to give (N,), both hands of a picture next to each other."""
        flags = self.store.index['flags']
        usable = np.stack([((flags & np.uint64(NEEDED[side])) == NEEDED[side]) & (side in self.hands) for side in SIDES], 1)
        items = np.flatnonzero(usable)
        if self._indices is not None:
            items = items[:self._indices] if isinstance(self._indices, int) else items[np.asarray(self._indices)]
        return items


def hand_labels(record: np.void, hand: str) -> dict:
    """Labels of one hand of a record; what is missing is zero (rotations: identity) with validity or confidence 0."""
    side, flags = SIDES.index(hand), int(record['flags'])
    has = {name: float(bool(flags & bit)) for name, bit in LABELS[hand].items()}
    rotations = axis_angle_to_rotmat(torch.from_numpy(np.concatenate((record['hand_global_orient'][side][None],
                                                                      record['hand_pose'][side]))))
    return dict(global_orient=rotations[:1], hand_pose=rotations[1:], betas=_tensor(record['hand_betas'][side]),
                keypoints_2d=_tensor(record['hand_kpts2d'][side]), keypoints_3d=_tensor(record['hand_kpts3d'][side]),
                has_global_orient=has['has_global_orient'], has_hand_pose=has['has_hand_pose'], has_betas=has['has_betas'],
                visibility=float(record['hand_visibility'][side]) if has['visibility'] else None)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.copy())


