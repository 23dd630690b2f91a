"""HaMeR's own two forms of data: evaluation `.npz` and the records of its training tars (`data.pyd`, a list of dicts).

Both store axis-angle poses with the wrist first, absolute (nothing to add), and boxes as centre and `scale`: pixels in the npz,
pixels / 200 in the tars. Missing keys mean zeros without validity. Source: HaMeR `datasets/image_dataset.py`.
"""
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from hmradapter.fileio import load_npz
from hmradapter.geometry.rotations import axis_angle_to_rotmat

TAR_SCALE = 200  # pixels per unit of `scale` in the tars
SAME_NAMES = ('center', 'right', 'hand_pose', 'has_hand_pose', 'betas', 'has_betas')
KEYPOINTS = ('hand_keypoints_2d', 'hand_keypoints_3d')


def read_evaluation_npz(path, image_root) -> Iterator[dict]:
    """The hands of `freihand_val.npz`, `ho3d_val.npz`, `TEST_*_img_*.npz` as dicts for the transforms, in the file's order."""
    data = load_npz(path)
    for name in ('imgname', 'center', 'scale'):
        if name not in data:
            raise KeyError(f'{path} has no array {name!r}, it holds {sorted(data)}: is it one of HaMeR\'s evaluation files?')
    count = len(data['imgname'])
    for i in range(count):
        record = {name: data[name][i] for name in SAME_NAMES if name in data}
        record |= {name.removeprefix('hand_'): data[name][i] for name in KEYPOINTS if name in data}
        imgname = data['imgname'][i]
        imgname = imgname.decode() if isinstance(imgname, bytes) else str(imgname)
        record['scale'] = np.broadcast_to(data['scale'][i], 2) / TAR_SCALE
        yield hand_from_record(record, key=f'{Path(path).stem}/{i}', img_path=str(Path(image_root) / imgname), sample_idx=i)


def hand_from_record(record: Mapping, **meta) -> dict:
    """One hand of a training tar: keypoints_2d (21, 3) px, keypoints_3d (21, 4) m, center (2,) px, scale (2,) = side / 200,
    hand_pose (48,) axis-angle, betas (10,), right, has_hand_pose, has_betas. Becomes a dict for the transforms, true side.
    """
    def field(name, *shape):
        return torch.as_tensor(np.asarray(record.get(name, np.zeros(shape)), dtype=np.float32)).reshape(shape)

    rotations = axis_angle_to_rotmat(field('hand_pose', 16, 3))
    has_pose = float(record.get('has_hand_pose', 0))
    return dict(
        meta, hand='right' if record.get('right', 1) else 'left',
        box_center=np.asarray(record['center'], dtype=np.float64),
        box_wh=np.asarray(record['scale'], dtype=np.float64) * TAR_SCALE * np.ones(2),
        global_orient=rotations[:1], hand_pose=rotations[1:], betas=field('betas', 10),
        keypoints_2d=field('keypoints_2d', 21, 3), keypoints_3d=field('keypoints_3d', 21, 4),
        has_global_orient=has_pose, has_hand_pose=has_pose, has_betas=float(record.get('has_betas', 0)),
        body_pose=torch.zeros(22, 3, 3), has_body_pose=0.0)
