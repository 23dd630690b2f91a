"""BEDLAM (Black et al., CVPR 2023): rendered people with the parameters they were rendered from, hands included.

Layout (root = the folder with both), source: BEDLAM `train/core/config.py`, `data_processing/ReadMe.md`, `df_full_body.py`,
Multi-HMR `datasets/bedlam.py`:
    training_images/<scene>/png/seq_000000/seq_000000_0000.png     scenes end in _6fps (every fifth frame) or _30fps
    training_labels/all_npz_12_training/<scene>.npz                one row per person and image
Facts that are easily missed: the body's translation is trans_cam + cam_ext[:, :3, 3], while pose_cam already holds the camera's
rotation, and cam_ext is each person's own, so it is no camera of the scene; hands are absolute; betas are 11, of the neutral
model; close-ups lie on their side, and labels are of the picture after a quarter turn clockwise. Whether a picture is turned is
seen from its principal point, which is the middle of the picture that the labels are of: not every scene with 'closeup' in its
name is read as turned by BEDLAM's own training code.
"""
import re
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.logging import print_log

from hmradapter.body_models import SMPLXLayer
from hmradapter.body_models.model_files import find_model_file, read_model_file
from hmradapter.body_models.smplx_layer import count_directions
from hmradapter.fileio import DamagedFileError, load_npz
from hmradapter.registry import SOURCES

from ..record import empty_records
from ..smplx_labels import set_smplx_persons
from ..store.writer import Part, sampled_digest
from .rows import drop_rows, finite_rows, keep_records, new_records, shown, usable_images, view_of
from .source import Expected, Source, checked_stride

BETAS = 11
JOINTS = 127
ARRAYS = dict(pose_cam=(165,), shape=(BETAS,), trans_cam=(3,), cam_ext=(4, 4), cam_int=(3, 3), gtkps=(JOINTS, 3))
POSE = dict(global_orient=slice(0, 3), body_pose=slice(3, 66), jaw_pose=slice(66, 69), leye_pose=slice(69, 72),
            reye_pose=slice(72, 75), left_hand_pose=slice(75, 120), right_hand_pose=slice(120, 165))
NAME = re.compile(r'seq_\d+/seq_(\d+)_(\d+)\.(png|jpg)')
CENTRE_SLACK = 1.0   # pixels between twice the principal point and the picture's size
MAX_GAP = (2.0, 0.03)  # of a projected joint from gtkps: so many pixels, and so much of the person's extent in them


class Rows(NamedTuple):
    """N persons in the images of a scene, image by image; camera frame, metres, float64."""
    images: list[str]        # relative to the scene's png/
    numbers: np.ndarray      # (N, 3) sequence, frame, person
    params: dict             # pose_cam (N, 165), shape (N, 11), transl (N, 3)
    intrinsics: np.ndarray   # (N, 3, 3)
    joints: np.ndarray       # (N, 127, 2) px

    def take(self, chosen: np.ndarray) -> 'Rows':
        """Some of them, by number."""
        return Rows([self.images[i] for i in chosen], self.numbers[chosen],
                    {name: value[chosen] for name, value in self.params.items()}, self.intrinsics[chosen], self.joints[chosen])


@SOURCES.register_module()
class BEDLAMSource(Source):
    """Persons of BEDLAM: neutral SMPL-X bodies with hands, no expressions.

    You will change: data_root, body_model_root.

    Args:
        data_root: the folder with training_images/ and training_labels/.
        body_model_root: folder with smplx/SMPLX_NEUTRAL.npz. A file with only 10 shape directions leaves the 11th beta out.
        split: 'train'.
        stride: every so many images of each sequence; SMPLer-X trains on every fifth person.
        common: as in `Source`.
    """
    name, title = 'bedlam', 'BEDLAM'
    licence = 'MPI, non-commercial, no redistribution'
    site = 'https://bedlam.is.tue.mpg.de (register; scripts: https://github.com/pixelite1201/BEDLAM, fetch_training_data.sh)'
    splits, gives = ('train',), ('hands', 'persons')
    expected = (Expected('training_images/<scene>/png/seq_000000/seq_000000_0000.png ..', 'images'),
                Expected('training_labels/all_npz_12_training/<scene>.npz', 'labels'))
    body_models = ('smplx/SMPLX_NEUTRAL.npz',)

    def __init__(self, data_root, body_model_root, split: str = 'train', stride: int = 1, **common):
        super().__init__(data_root, split, body_model_root, **common)
        self.stride = checked_stride(stride)
        self.labels = self.data_root / 'training_labels' / 'all_npz_12_training'

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, stride=self.stride)

    @cached_property
    def units(self) -> list[str]:
        scenes = sorted(path.stem for path in self.labels.glob('*.npz'))
        if not scenes:
            raise self.missing(self.labels / '<scene>.npz')
        return scenes

    @cached_property
    def convert(self) -> 'BEDLAMConverter':
        return BEDLAMConverter(self.data_root, self.labels, self.units, self.body_model_files()[0], self.stride,
                               self.verify_images)

    def body_model_files(self) -> list[Path]:
        return [find_model_file(self.body_model_root, 'SMPL-X', 'SMPLX_NEUTRAL')]

    def fingerprint(self) -> dict:
        return dict(files=sampled_digest(self.data_root, [self.labels / f'{scene}.npz' for scene in self.units]))


class BEDLAMConverter:
    """A scene to records; what is left out is counted by reason."""

    def __init__(self, root: Path, labels: Path, scenes: list[str], model: Path, stride: int, verify_images: bool):
        self.root, self.labels, self.scenes, self.stride, self.verify_images = root, labels, scenes, stride, verify_images
        self.num_betas = min(BETAS, count_directions(read_model_file(model, 'SMPL-X')['shapedirs'])[0])
        if self.num_betas < BETAS:
            print_log(f'{model} has {self.num_betas} shape directions, BEDLAM\'s people {BETAS} betas: the others are left '
                      'out, and bodies differ by them. SMPL-X v1.1 with 300 directions has them all.', 'current')
        self.layer = SMPLXLayer(str(model), num_betas=self.num_betas, face_contour=False).landmarks_only()

    def __call__(self, scene: str) -> Part:
        part = Part(empty_records(0, 'bedlam'), [], [])
        folder = self.images_of(scene)
        if folder is None:
            part.drop('scene_without_images', scene)
            return part
        try:
            rows = read_scene(self.labels / f'{scene}.npz', self.stride)
        except DamagedFileError as error:
            print_log(str(error), 'current')
            part.drop('damaged_scene', scene)
            return part
        kept, sizes = usable_images(part, self.root, [f'{folder}/{name}' for name in rows.images], self.verify_images)
        rows = rows.take(kept)
        kept = drop_rows(part, 'not_finite', ~finite_rows(rows.intrinsics, rows.joints, *rows.params.values()), rows.images)
        rows, sizes = rows.take(kept), sizes[kept]
        turned, known = quarter_turns(rows.intrinsics, sizes)
        kept = drop_rows(part, 'image_of_other_size', ~known, rows.images)
        rows, sizes, turned = rows.take(kept), sizes[kept], turned[kept]
        if len(kept):
            self._fill(part, scene, folder, rows, np.where(turned[:, None], sizes[:, ::-1], sizes), turned)
        return part

    def images_of(self, scene: str) -> str | None:
        """Folder of a scene's images, relative to the root. Those of 30 fps contain the frames of 6 fps."""
        for name in (scene, scene.replace('_6fps', '_30fps')):
            folder = f'training_images/{name}/png'
            if (self.root / folder).is_dir():
                return folder
        return None

    def _fill(self, part: Part, scene: str, folder: str, rows: Rows, sizes: np.ndarray, turned: np.ndarray) -> None:
        count = len(rows.images)
        view = view_of(np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)), rows.intrinsics, sizes)
        keys = [f'bedlam/{scene}/{Path(name).stem}/{person}'
                for name, person in zip(rows.images, rows.numbers[:, 2], strict=True)]
        records = new_records(part, 'bedlam', keys, [f'{folder}/{name}' for name in rows.images], view, extrinsics=False)
        records['seq'], records['rot90'] = self.scenes.index(scene), turned
        records['view'], records['frame'], records['person'] = rows.numbers.T
        params = {name: torch.from_numpy(rows.params['pose_cam'][:, columns]) for name, columns in POSE.items()}
        params |= dict(transl=torch.from_numpy(rows.params['transl']),
                       betas=torch.from_numpy(rows.params['shape'][:, :self.num_betas]))
        set_smplx_persons(records, self.layer, params, view)
        away = gaps(records['kpts2d'][:, :JOINTS], rows.joints)
        drop_rows(part, 'joints_away_from_2d', away, keys)
        outside = ~shown(records) & ~away
        drop_rows(part, 'person_outside_image', outside, keys)
        keep_records(part, np.flatnonzero(~(away | outside)))


def read_scene(path: Path, stride: int) -> Rows:
    """A scene's rows after the stride, sorted by image.

    Raises:
        DamagedFileError: the file is not whole or not of this form.
    """
    try:
        content = load_npz(path, ('imgname', *ARRAYS))
        names = np.asarray(content['imgname']).astype(str)
        if names.ndim != 1:
            raise ValueError(f'imgname has the shape {names.shape}')
        arrays = {}
        for name, shape in ARRAYS.items():
            arrays[name] = np.asarray(content[name], dtype=np.float64)
            if arrays[name].shape != (len(names), *shape):
                raise ValueError(f'{name} has the shape {arrays[name].shape}, not {(len(names), *shape)}'
                                 + (': betas of gendered models are not read' if name == 'shape' else ''))
        matches = [NAME.fullmatch(name) for name in names]
        if None in matches:
            raise ValueError(f'an image is called {names[matches.index(None)]!r}, not seq_000000/seq_000000_0000.png')
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(path, 'a scene of BEDLAM', error) from error
    order = np.argsort(names, kind='stable')
    numbers = np.array([[*map(int, match.groups()[:2]), 0] for match in matches]).reshape(-1, 3)[order]
    kept, before, image, place = [], {}, None, -1
    for i, name in enumerate(names[order]):  # persons count from 0 in each image, images from 0 in each sequence
        if name != image:
            place = before[numbers[i, 0]] = before.get(numbers[i, 0], -1) + 1
        numbers[i, 2] = numbers[i - 1, 2] + 1 if name == image else 0
        image = name
        if place % stride == 0:
            kept.append(i)
    chosen = order[kept]
    params = dict(pose_cam=arrays['pose_cam'][chosen], shape=arrays['shape'][chosen],
                  transl=arrays['trans_cam'][chosen] + arrays['cam_ext'][chosen, :3, 3])
    return Rows(names[chosen].tolist(), numbers[kept], params, arrays['cam_int'][chosen], arrays['gtkps'][chosen, :, :2])


def quarter_turns(intrinsics: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each stored image, (N, 2) as (W, H), wants a quarter turn to become the one of its K (N, 3, 3), whose principal
    point is its middle; and whether K is of this image (N,) at all."""
    labelled = 2 * intrinsics[:, :2, 2]
    as_stored, aside = (np.abs(labelled - size).max(axis=1, initial=0) <= CENTRE_SLACK for size in (sizes, sizes[:, ::-1]))
    return (aside & ~as_stored).astype(int), as_stored | aside


def gaps(keypoints: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Who (N,) has a projected joint (N, J, 3), px and validity, away from the file's (N, J, 2)."""
    valid = keypoints[..., 2] > 0
    distance = np.where(valid, np.linalg.norm(keypoints[..., :2] - joints, axis=-1), 0).max(1)
    low, high = (np.where(valid[..., None], joints, fill) for fill in (np.inf, -np.inf))
    extent = np.maximum(high.max(1) - low.min(1), 0).max(1)
    return distance > MAX_GAP[0] + MAX_GAP[1] * extent
