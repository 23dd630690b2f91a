"""Where the guiding body of a sample comes from: its annotation, a file of predicted bodies, or nowhere."""
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from hmradapter.fileio import load_npz
from hmradapter.geometry.rotations import axis_angle_to_rotmat

from .record import flag_bits
from .store import PreparedStore

SOURCES = ('annotation', 'file', 'none')
HAS_BODY = flag_bits(['has_global_orient', 'has_body_pose'])


class BodyGuidance:
    """Body poses (22, 3, 3) by row of a store: rotation matrices in SMPL-X order, pelvis in the camera frame.

    Ground truth gives the hand's global orientation away (it is the product of the arm's rotations), so what a figure was
    made with matters: 'annotation', a 'file' of a body model's predictions, or 'none' (zeros, validity 0).

    Args:
        source: one of SOURCES.
        path: for 'file', an `.npz` with key (N,) names of persons (a hand's key without its last part), global_orient (N, 3)
            and body_pose (N, 21, 3), axis-angle, radians, camera frame.
    """

    def __init__(self, source: str = 'annotation', path: str | None = None):
        if source not in SOURCES:
            raise ValueError(f'guidance has source {source!r}, it must be one of {SOURCES}.')
        if (path is None) == (source == 'file'):
            raise ValueError(f"guidance has source {source!r} and path {path!r}: a path goes with source='file' only.")
        self.source, self.path = source, path
        self._rows: np.ndarray | None = None   # row of the file for each row of the store, -1: none
        self._poses: np.ndarray | None = None  # (N, 22, 3)

    def open(self, store: PreparedStore) -> None:
        """Read the file, if there is one, and join it with the store's keys."""
        if self.source != 'file':
            return
        data = load_npz(self.path, ('key', 'global_orient', 'body_pose'))
        poses = np.concatenate((data['global_orient'].reshape(-1, 1, 3), data['body_pose'].reshape(-1, 21, 3)), axis=1)
        names = np.char.encode(data['key'].astype(str)) if data['key'].dtype.kind != 'S' else data['key']
        if len(names) != len(poses):
            raise ValueError(f'{self.path} has {len(names)} keys, but {len(poses)} poses.')
        order = np.argsort(names)
        keys = store.keys()
        at = np.searchsorted(names, keys, sorter=order).clip(max=max(len(names) - 1, 0))
        rows = order[at] if len(names) else np.zeros(len(keys), int)
        usable = np.isfinite(poses).all((1, 2))
        found = (names[rows] == keys) & usable[rows] if len(names) else np.zeros(len(keys), bool)
        if len(keys) and not found.any():
            raise ValueError(f'{self.path} has a body for none of the {len(keys)} persons of {Path(store.folder).name}: its '
                             f'keys look like {names[:1].tolist()}, those of the data set like {keys[:1].tolist()}.')
        if not found.all():
            print_log(f'{self.path} has bodies for {found.sum()} of {len(keys)} persons; the others go without.', 'current')
        self._rows, self._poses = np.where(found, rows, -1), poses.astype(np.float32)

    def __call__(self, row: int, record: np.void) -> tuple[Tensor, float]:
        """body_pose (22, 3, 3) and its validity, 1. or 0.; zeros where there is none."""
        pose = None
        if self.source == 'annotation' and int(record['flags']) & HAS_BODY == HAS_BODY:
            pose = np.concatenate((record['global_orient'][None], record['body_pose']))
        elif self.source == 'file' and self._rows[row] >= 0:
            pose = self._poses[self._rows[row]]
        if pose is None:
            return torch.zeros(22, 3, 3), 0.0
        return axis_angle_to_rotmat(torch.from_numpy(pose)), 1.0
