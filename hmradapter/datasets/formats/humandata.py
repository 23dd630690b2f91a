"""HumanData `.npz`, the form of SMPLer-X's training sets, read into arrays: N persons, joints in HUMAN_DATA's order of 190.

The arrays are what the file says, no more: which fingers are absolute is a question of its own (`finger_convention`), boxes
keep their padding, a missing key is missing. Object arrays go through the restricted unpickler.
Source: MMHuman3D `docs/human_data.md` and its converters; SMPLer-X `data/humandata.py` (which key comes first).
"""
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmradapter.fileio import DamagedFileError, load_npz, npz_names

JOINTS = 190  # HUMAN_DATA's; the first 144 are SMPLX144
KEYPOINTS_2D = ('keypoints2d', 'keypoints2d_smplx', 'keypoints2d_smpl', 'keypoints2d_original')  # first present wins
KEYPOINTS_3D = ('keypoints3d_cam', 'keypoints3d', 'keypoints3d_smplx', 'keypoints3d_smpl', 'keypoints3d_original')
BODIES = ('smplx', 'smpl', 'smplh')  # first present wins
BOXES = ('bbox_xywh', 'lhand_bbox_xywh', 'rhand_bbox_xywh', 'face_bbox_xywh')
FINGERS = ('left_hand_pose', 'right_hand_pose')
SIZES = dict(global_orient=(3,), body_pose=(63, 69), left_hand_pose=(45,), right_hand_pose=(45,), jaw_pose=(3,), leye_pose=(3,),
             reye_pose=(3,), transl=(3,))  # numbers a person; SMPL's body has 69
LARGEST_BETA = 3.0  # fits beyond it have failed
OTHERS = ('image_path', 'meta', 'misc', 'vertices3d_path', 'keypoints2d_mask', 'keypoints3d_mask', '__keypoints_compressed__')


@dataclass(frozen=True)
class Keypoints:
    """Joints of N persons as they are stored: (N, 190, C), or only those of `mask` (190,) bool; confidence comes last."""
    name: str
    stored: np.ndarray
    mask: np.ndarray

    def take(self, rows) -> np.ndarray:
        """(n, 190, C) float64 of the chosen persons; joints that the file does not have are 0."""
        chosen = self.stored[rows].astype(np.float64)
        full = np.zeros((len(chosen), JOINTS, chosen.shape[2]))
        full[:, self.mask] = chosen if chosen.shape[1] == self.mask.sum() else chosen[:, self.mask]
        return full


@dataclass(frozen=True)
class HumanData:
    """What a file has. images (N,) paths; boxes {name: (N, 5)} xywh px and confidence; body: which of BODIES `params` are of,
    {name: (N, size)}, axis-angle, radians, metres, camera frame; meta and misc as they are."""
    path: Path
    images: list[str]
    boxes: dict[str, np.ndarray]
    body: str | None
    params: dict[str, np.ndarray]
    points_2d: Keypoints | None
    points_3d: Keypoints | None
    meta: Mapping
    misc: Mapping
    meshes: list[str] | None

    @property
    def count(self) -> int:
        return len(self.images)

    def per_image(self, name: str, width: int = 1) -> np.ndarray | None:
        """(N, width) float64 of an entry of `meta`: one number or `width` of them, for all persons or for each; None for
        none."""
        if self.meta.get(name) is None:
            return None
        try:
            values = np.asarray(self.meta[name], dtype=np.float64)
            rows = self.count if values.size in (self.count, self.count * width) else 1
            return np.broadcast_to(values.reshape(rows, -1), (self.count, width))
        except (TypeError, ValueError) as error:
            raise DamagedFileError(self.path, 'HumanData', f'meta[{name!r}] is not {(self.count, width)} numbers') from error


def read_humandata(path) -> HumanData:
    """The file's arrays, of joints and bodies those that come first.

    Raises:
        DamagedFileError: it is no HumanData file; says what of it is wrong.
    """
    names = npz_names(path)
    missing = [name for name in ('image_path', 'bbox_xywh') if name not in names]
    if missing:
        raise DamagedFileError(path, 'HumanData', f'it lacks {missing}, so it lists no persons; it has {sorted(names)}')
    joints = [next((name for name in order if name in names), None) for order in (KEYPOINTS_2D, KEYPOINTS_3D)]
    body = next((name for name in BODIES if name in names), None)
    wanted = {*OTHERS, *BOXES, body, *joints, *(f'{name}_mask' for name in joints)}
    data = load_npz(path, [name for name in names if name in wanted])
    count = len(data['image_path'])
    boxes = {name: _array(path, name, data[name], (count, 5)) for name in BOXES if name in data}
    points = [None if name is None else _keypoints(path, data, name, shared, count, columns)
              for name, shared, columns in zip(joints, ('keypoints2d_mask', 'keypoints3d_mask'), (3, 4), strict=True)]
    objects = {name: data.get(name, {}) for name in ('meta', 'misc')}
    for name, value in objects.items():
        if not isinstance(value, Mapping):
            raise DamagedFileError(path, 'HumanData', f'{name} is a {type(value).__name__}, not a dict')
    meshes = [str(name) for name in data['vertices3d_path']] if 'vertices3d_path' in data else None
    return HumanData(Path(path), [str(name).lstrip('/') for name in data['image_path']], boxes, body,
                     {} if body is None else _params(path, data[body], count), *points, **objects, meshes=meshes)


def _keypoints(path, data: dict, name: str, shared: str, count: int, columns: int) -> Keypoints:
    stored = np.asarray(data[name])
    given = data.get(f'{name}_mask', data.get(shared))
    mask = np.ones(JOINTS, bool) if given is None else _array(path, f'{name}_mask', given, (JOINTS,)) > 0
    compressed = bool(data.get('__keypoints_compressed__', False))
    expected = (count, int(mask.sum()) if compressed else JOINTS, columns)
    if stored.shape != expected:
        raise DamagedFileError(path, 'HumanData', f'{name} has the shape {stored.shape}, its mask and __keypoints_compressed__='
                                                  f'{compressed} say {expected}')
    return Keypoints(name, stored, mask)


def _params(path, content, count: int) -> dict[str, np.ndarray]:
    """Parameters (N, size) float64 of those that are known by name, betas, betas_neutral and expression of whatever size."""
    if not isinstance(content, Mapping):
        raise DamagedFileError(path, 'HumanData', f'the parameters are a {type(content).__name__}, not a dict')
    params = {}
    for name in (*SIZES, 'betas', 'betas_neutral', 'expression', 'betas_extra'):
        if content.get(name) is None:
            continue
        try:
            values = np.asarray(content[name], dtype=np.float64).reshape(count, -1)
        except (TypeError, ValueError) as error:
            raise DamagedFileError(path, 'HumanData', f'{name} is not one row for each of {count} persons: {error}') from error
        if name in SIZES and values.shape[1] not in SIZES[name]:
            raise DamagedFileError(path, 'HumanData', f'{name} has {values.shape[1]} numbers a person, not {SIZES[name]}')
        params[name] = values
    return params


def _array(path, name: str, value, shape: tuple[int, ...]) -> np.ndarray:
    """float64 of `shape`."""
    try:
        return np.asarray(value, dtype=np.float64).reshape(shape)
    except (TypeError, ValueError) as error:
        raise DamagedFileError(path, 'HumanData', f'{name} has the shape {np.shape(value)}, not {shape}') from error
