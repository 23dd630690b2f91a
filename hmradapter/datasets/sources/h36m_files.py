"""Human3.6M's annotations in Moon's form: what they hold, and whether they are whole. Nothing is posed here.

Layout (root = the folder with both), source: SMPLer-X `data/Human36M/Human36M.py`, Moon's `Human36M2coco` script:
    images/s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg
    annotations/Human36M_subject<S>_data.json              images (with action_idx 2-16, subaction_idx 1-2, cam_idx 1-4 and
                                                           frame_idx from 0) and boxes, COCO style
    annotations/Human36M_subject<S>_camera.json            {camera: R, t (mm), f, c}, X_c = R X + t
    annotations/Human36M_subject<S>_joint_3d.json          {action: {subaction: {frame: (17, 3)}}}, world, mm
    annotations/Human36M_subject<S>_SMPLX_NeuralAnnot.json the same nesting: root_pose, body_pose, shape, trans, world, METRES
"""
import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmradapter.fileio import DamagedFileError, load_json

from .rows import intrinsics_of, is_rotation

ACTIONS, SUBACTIONS, CAMERAS = range(2, 17), (1, 2), (1, 2, 3, 4)
FIT = dict(global_orient=('root_pose', 3), body_pose=('body_pose', 63), betas=('shape', 10), transl=('trans', 3))
MILLIMETRES = 1e-3  # metres
NAME = re.compile(r's_(\d\d)_act_(\d\d)_subact_(\d\d)_ca_(\d\d)/s_\1_act_\2_subact_\3_ca_\4_(\d{6})\.jpg')


class Frames(NamedTuple):
    """M images of a sequence, one person in each; world frame, metres."""
    images: list[str]          # relative to images/
    cameras: np.ndarray        # (M,)
    frames: np.ndarray         # (M,) frame_idx
    sizes: np.ndarray          # (M, 2) announced, (W, H)
    boxes: np.ndarray          # (M, 4) xywh px
    params: dict               # of FIT, (M, n) float64
    rotation: np.ndarray       # (M, 3, 3) to the camera
    translation: np.ndarray    # (M, 3)
    intrinsics: np.ndarray     # (M, 3, 3)
    joints: np.ndarray | None  # (M, 17, 3), NaN where there are none
    lost: dict[str, list[str]]  # images that are in none of the above, by reason

    def take(self, chosen: np.ndarray) -> 'Frames':
        """Some of them, by number."""
        def pick(value):
            return [value[i] for i in chosen] if isinstance(value, list) else value if value is None else value[chosen]
        fields = {name: pick(value) for name, value in self._asdict().items() if name not in ('params', 'lost')}
        return Frames(**fields, params={name: value[chosen] for name, value in self.params.items()}, lost={})


class H36MFiles:
    """The annotations of some subjects. A subject's files are read once for its sequences, which follow each other.

    Args:
        root: with images/ and annotations/; subjects: numbers; stride, views: which frames and cameras to read.
        missing: makes the error for a file that is not there.
    """

    def __init__(self, root: Path, subjects: Sequence[int], stride: int, views: Sequence[int],
                 missing: Callable[[Path], Exception] = FileNotFoundError):
        self.root, self.subjects, self.stride, self.views = root, tuple(subjects), stride, frozenset(views)
        for subject in subjects:
            for kind in ('data', 'camera', 'SMPLX_NeuralAnnot'):
                if not self.path(subject, kind).is_file():
                    raise missing(self.path(subject, kind))
        self.subject = functools.lru_cache(maxsize=1)(self._read_subject)

    def path(self, subject: int, kind: str) -> Path:
        """One of a subject's annotation files."""
        return self.root / 'annotations' / f'Human36M_subject{subject}_{kind}.json'

    def sources(self) -> list[Path]:
        """Files that the labels depend on."""
        kinds = ('data', 'camera', 'SMPLX_NeuralAnnot', 'joint_3d')
        return [self.path(subject, kind) for subject in self.subjects for kind in kinds]

    def sequence(self, name: str) -> Frames | None:
        """The chosen frames of `s_01_act_02_subact_01`, by camera and frame; None where there are none.

        Raises:
            DamagedFileError: a file of the subject is not whole or not of this form.
            ValueError: images are numbered otherwise than their frames say: labels would be of other frames.
        """
        subject, action, subaction = (int(part) for part in re.findall(r'\d+', name))
        return self.subject(subject).get((action, subaction))

    def _read_subject(self, subject: int) -> dict[tuple[int, int], Frames]:
        rows, cameras = self._rows(subject), self._cameras(subject)
        fits = load_json(self.path(subject, 'SMPLX_NeuralAnnot'))
        joints = load_json(self.path(subject, 'joint_3d')) if self.path(subject, 'joint_3d').is_file() else None
        path = self.path(subject, 'SMPLX_NeuralAnnot')
        try:
            return {key: _frames(group, cameras, _at(fits, key), None if joints is None else _at(joints, key))
                    for key, group in rows.items()}
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise DamagedFileError(path, f'parameters of subject {subject} that go with its images, cameras and joints',
                                   error) from error

    def _rows(self, subject: int) -> dict[tuple[int, int], list[tuple]]:
        """(camera, frame, file name, size, box or None) of the chosen images by action and subaction."""
        path = self.path(subject, 'data')
        content, images = load_json(path), {}
        try:
            for image in content['images']:
                camera, frame = int(image['cam_idx']), int(image['frame_idx'])
                if frame % self.stride == 0 and camera in self.views:
                    images[image['id']] = (int(image['action_idx']), int(image['subaction_idx'])), (
                        camera, frame, str(image['file_name']), (int(image['width']), int(image['height'])))
            boxes = {annotation['image_id']: np.asarray(annotation['bbox'], dtype=np.float64).reshape(4)
                     for annotation in content['annotations'] if annotation['image_id'] in images}
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DamagedFileError(path, 'images and boxes, COCO style', error) from error
        rows: dict[tuple[int, int], list[tuple]] = {}
        for number, (key, about) in images.items():
            rows.setdefault(key, []).append((*about, boxes.get(number)))
        for key, group in rows.items():
            group.sort(key=lambda row: row[:2])
            self._check_names(path, subject, key, group)
        return rows

    def _check_names(self, path: Path, subject: int, key: tuple[int, int], group: list[tuple]) -> None:
        if key[0] not in ACTIONS or key[1] not in SUBACTIONS:
            raise ValueError(f'{path} has images of action {key[0]}, subaction {key[1]}, but actions are 2-16 and subactions '
                             '1-2: it is damaged or another edition.')
        for camera, frame, name, *_ in group:
            match = NAME.fullmatch(name)
            if match is None or tuple(map(int, match.groups())) != (subject, *key, camera, frame + 1):
                raise ValueError(f'{path} gives the image {name!r} to subject {subject}, action {key[0]}, subaction {key[1]}, '
                                 f'camera {camera}, frame_idx {frame}. Its name should say the same, with frame_idx + 1 as the '
                                 'number: the file is damaged or another edition, whose labels would be of other frames.')
        for name in dict.fromkeys(row[2] for row in group):
            zeroth = self.root / 'images' / f'{name[:-10]}000000.jpg'
            if zeroth.exists():
                raise ValueError(f'{zeroth} exists, but images are numbered from 1 (frame_idx + 1): this copy counts from 0, '
                                 'so its labels would be of the frame before. Rename its images.')

    def _cameras(self, subject: int) -> dict[int, tuple]:
        """(R, t metres, K) by number."""
        path = self.path(subject, 'camera')
        content, cameras = load_json(path), {}
        try:
            for number in self.views:
                camera = {name: np.asarray(content[str(number)][name], dtype=np.float64).reshape(shape)
                          for name, shape in (('R', (3, 3)), ('t', (3,)), ('f', (1, 2)), ('c', (1, 2)))}
                if not is_rotation(camera['R']) or not (camera['f'] > 0).all():
                    raise ValueError(f'camera {number} has no rotation as its R, or no focal length above 0')
                cameras[number] = camera['R'], camera['t'] * MILLIMETRES, intrinsics_of(camera['f'], camera['c'])[0]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DamagedFileError(path, 'cameras', error) from error
        return cameras


def _at(content: dict, key: tuple[int, int]) -> dict:
    """What a nested file has for an action and subaction, whose numbers are strings there."""
    return content.get(str(key[0]), {}).get(str(key[1]), {})


def _frames(group: list[tuple], cameras: dict, fits: dict, joints: dict | None) -> Frames:
    """Rows of a sequence with what belongs to them."""
    fitted = [row for row in group if str(row[1]) in fits and row[4] is not None]
    lost = dict(frame_without_fit=[row[2] for row in group if str(row[1]) not in fits],
                image_without_box=[row[2] for row in group if str(row[1]) in fits and row[4] is None])
    found = [fits[str(row[1])] for row in fitted]
    params = {ours: np.array([np.asarray(fit[theirs], np.float64).reshape(size) for fit in found]).reshape(-1, size)
              for ours, (theirs, size) in FIT.items()}
    mocap = None
    if joints is not None:
        nothing = np.full((17, 3), np.nan)
        mocap = np.array([np.asarray(joints.get(str(row[1]), nothing), np.float64).reshape(17, 3) for row in fitted])
        mocap = mocap.reshape(-1, 17, 3) * MILLIMETRES
    numbers = [row[0] for row in fitted]
    rotation, translation, intrinsics = (np.array([cameras[number][i] for number in numbers]).reshape(-1, *shape)
                                         for i, shape in enumerate(((3, 3), (3,), (3, 3))))
    return Frames([row[2] for row in fitted], np.array(numbers, int), np.array([row[1] for row in fitted], int),
                  np.array([row[3] for row in fitted], int).reshape(-1, 2), np.array([row[4] for row in fitted]).reshape(-1, 4),
                  params, rotation, translation, intrinsics, mocap, lost)
