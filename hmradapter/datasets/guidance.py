"""Where the guiding body of a sample comes from: its annotation, a file of predicted bodies, or nowhere."""
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from hmradapter.fileio import load_npz
from hmradapter.geometry.rotations import axis_angle_to_rotmat

from .record import flag_bits
from .store.prepared import PreparedStore

SOURCES = ('annotation', 'file', 'none')
HAS_BODY = flag_bits(['has_global_orient', 'has_body_pose'])


class BodyGuidance:
    """Body poses (22, 3, 3) by row of a store: rotation matrices in SMPL-X order, pelvis in the camera frame.

    Ground truth gives the hand's global orientation away (it is the product of the arm's rotations), so what a figure was
    made with matters: 'annotation', a 'file' of a body model's predictions, or 'none' (zeros, validity 0).

    Args:
        source: one of SOURCES.
        path: for 'file', an `.npz` with key (N,) names of persons (a hand's key without its last part), global_orient (N, 3)
            and body_pose (N, 21, 3), axis-angle, radians, camera frame; or the dump of a whole-body evaluation
            (`tools/test.py --dump`), whose predictions have the names pred_global_orient and pred_body_pose and are matrices.
    """

    def __init__(self, source: str = 'annotation', path: str | None = None):
        if source not in SOURCES:
            raise ValueError(f'guidance has source {source!r}, it must be one of {SOURCES}.')
        if (path is None) == (source == 'file'):
            raise ValueError(f"guidance has source {source!r} and path {path!r}: a path goes with source='file' only.")
        self.source, self.path = source, path
        self._rows: np.ndarray | None = None   # row of the file for each row of the store, -1: none
        self._poses: Tensor | None = None      # (N, 22, 3, 3)

    def open(self, store: PreparedStore) -> None:
        """Read the file, if there is one, and join it with the store's keys."""
        if self.source != 'file':
            return
        data, poses = self._read_bodies()
        names = np.char.encode(data['key'].astype(str)) if data['key'].dtype.kind != 'S' else data['key']
        if len(names) != len(poses):
            raise ValueError(f'{self.path} has {len(names)} keys, but {len(poses)} poses.')
        order = np.argsort(names)
        usable = poses.isfinite().all(dim=3).all(dim=2).all(dim=1).numpy()
        joined = np.full(len(store), -1, np.int32)
        start = 0
        for keys in store.key_shards() if len(names) else ():
            at = order[np.searchsorted(names, keys, sorter=order).clip(max=len(names) - 1)]
            joined[start:start + len(keys)] = np.where((names[at] == keys) & usable[at], at, -1)
            start += len(keys)
        found = int((joined >= 0).sum())
        if len(store) and not found:
            raise ValueError(f'{self.path} has a body for none of the {len(store)} persons of {Path(store.folder).name}: its '
                             f'keys look like {names[:1].tolist()}, those of the data set like {store.key(0)!r}.')
        if found < len(store):
            print_log(f'{self.path} has bodies for {found} of {len(store)} persons; the others go without.', 'current')
        self._rows, self._poses = joined, poses

    def _read_bodies(self) -> tuple[dict, Tensor]:
        """The file's arrays and its bodies (N, 22, 3, 3)."""
        try:
            data = load_npz(self.path, ('key', 'pred_global_orient', 'pred_body_pose'))
        except KeyError:
            data = load_npz(self.path, ('key', 'global_orient', 'body_pose'))
            pose = np.concatenate((data['global_orient'].reshape(-1, 1, 3), data['body_pose'].reshape(-1, 21, 3)), axis=1)
            return data, axis_angle_to_rotmat(torch.from_numpy(pose)).float()
        pose = np.concatenate((data['pred_global_orient'][:, None], data['pred_body_pose']), axis=1)
        return data, torch.from_numpy(pose).float()

    def __call__(self, row: int, record: np.void, annotated: Tensor) -> tuple[Tensor, float]:
        """body_pose (22, 3, 3) and its validity, 1. or 0.; zeros where there is none. `annotated` is what the record has, as
        matrices."""
        if self.source == 'annotation' and int(record['flags']) & HAS_BODY == HAS_BODY:
            return annotated, 1.0
        if self.source == 'file' and self._rows[row] >= 0:
            return self._poses[self._rows[row]], 1.0
        return torch.zeros(22, 3, 3), 0.0
