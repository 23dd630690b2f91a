"""Evaluation files of HaMeR (Pavlakos et al., CVPR 2024) and HMR 2.0 (Goel et al., ICCV 2023): arrays beside folders of images.

Facts that are easily missed: `scale` is in pixels here, in the tars in 200 pixels; names of images may be bytes; a missing
array means nothing is known; boxes are padded already, except HInt's.
Source: HaMeR `datasets/image_dataset.py`, `configs/datasets_eval.yaml`; 4D-Humans `datasets/image_dataset.py`.
"""
from abc import abstractmethod
from functools import cache
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models import SMPLLayer
from hmradapter.body_models.model_files import find_model_file
from hmradapter.fileio import DamagedFileError, load_npz, sha256_file
from hmradapter.geometry import boxes
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import SOURCES
from hmradapter.structures.joints import SMPLX144_FROM_OPENPOSE25

from ..hamer import faults_of, hand_records, hands_of_npz, image_names
from ..images import image_sizes
from ..record import GENDERS, MODELS, empty_records, set_flag
from ..store_part import Part
from .source import Expected, Source

HINT = {f'{name}_{part}': f'TEST_{name}_img_{part}.npz'
        for name in ('newdays', 'epick', 'ego4d') for part in ('all', 'vis', 'occ')}
HAND_PADDED = 2.0       # what `HandCrop` pads by, and FreiHAND's and HO3D's stored boxes count as padded
PERSON_PADDED = 1.2     # the same of `PersonCrop`
SMPL_POSE = 72
FROM_OPENPOSE = list(SMPLX144_FROM_OPENPOSE25)
NOT_BELIEVED = list(range(1, 15))  # OpenPose's body joints in 3D, which 4D-Humans gives confidence 0
CHUNK = 64              # bodies posed at once


class _EvaluationSource(Source):
    """One npz under data_root, one unit."""
    files: dict[str, str]
    trains = False

    def __init__(self, data_root, split: str, body_model_root=None, file: str | None = None, images: str = '', **common):
        super().__init__(data_root, split, body_model_root, **common)
        self.file, self.images = self.data_root / (file or self.files[split]), str(images)

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, file=self.file.name, images=self.images)

    @property
    def units(self) -> list[str]:
        if not self.file.is_file():
            raise self.missing(self.file)
        return [self.file.name]

    def fingerprint(self) -> dict:
        return dict(file=sha256_file(self.file))

    def _with_images(self, names: list[str], part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Rows (M,) whose image can be used, and these images' sizes (M, 2) as (W, H)."""
        paths = sorted(set(names))
        found = dict(zip(paths, image_sizes([self.data_root / path for path in paths], self.verify_images), strict=True))
        for name in names:
            if isinstance(found[name], str):
                part.drop(found[name], name)
        rows = np.array([row for row, name in enumerate(names) if not isinstance(found[name], str)], dtype=np.int64)
        return rows, np.array([found[names[row]] for row in rows], dtype=np.int64).reshape(-1, 2)

    def _refer(self, part: Part, names: list[str], rows: np.ndarray) -> None:
        """References and keys of the records, which are the file's `rows`."""
        part.paths = sorted({names[row] for row in rows})
        number = {path: i for i, path in enumerate(part.paths)}
        part.records['offset'] = [number[names[row]] for row in rows]
        part.records['frame'] = rows
        part.keys = [f'{self.name}/{self.split}/{row:06d}' for row in rows]

    def _image_paths(self, names: list[str]) -> list[str]:
        """Relative to data_root."""
        return [(Path(self.images) / name.lstrip('/')).as_posix() for name in names]

    @abstractmethod
    def convert(self, unit: str) -> Part:
        ...


@SOURCES.register_module()
class HaMeREvalSource(_EvaluationSource):
    """FreiHAND, HO3D and HInt as HaMeR evaluates on them.

    With `HandCrop(rescale_factor=2)` the crop is HaMeR's: of FreiHAND and HO3D, whose boxes are halved for that, with its
    default aspect; of HInt with `aspect=None`.

    You will change: data_root, split, images.

    Args:
        data_root: a folder with both, the npz and the images.
        split: 'freihand', 'ho3d', or HInt's {newdays,epick,ego4d}_{all,vis,occ}.
        file: the npz under data_root, where it has another name or place.
        images: the folder under data_root that the names in the file start from.
        common: as in `Source`.
    """
    name, title = 'hamer_eval', "HaMeR's evaluation files"
    licence = 'those of FreiHAND, HO3D and HInt: research, no redistribution'
    site = 'https://github.com/geopavlakos/hamer ("Evaluation": hamer_evaluation_data), images from each data set\'s own site'
    files = dict(freihand='freihand_val.npz', ho3d='ho3d_val.npz', **HINT)
    splits, gives = tuple(files), ('hands',)
    expected = (Expected('freihand_val.npz or ho3d_val.npz or TEST_<set>_img_<part>.npz', 'centres, boxes and labels'),
                Expected('<images>/<name>.jpg', 'the images that it names'))

    def convert(self, unit: str) -> Part:
        part = Part(empty_records(0, self.name), [], [])
        hands, names = hands_of_npz(self.file)
        names = self._image_paths(names)
        rows, sizes = self._with_images(names, part)
        faults = faults_of(hands.take(rows), sizes)
        for row, fault in zip(rows, faults, strict=True):
            part.drop(str(fault), f'{unit}, row {row}', int(fault != ''))
        rows, sizes = rows[faults == ''], sizes[faults == '']
        part.records = hand_records(hands.take(rows), self.name, sizes, 1.0 if self.split in HINT else HAND_PADDED)
        self._refer(part, names, rows)
        return part


@SOURCES.register_module()
class HMR2EvalSource(_EvaluationSource):
    """3DPW and Human3.6M as HMR 2.0 evaluates on them: persons with SMPL's pose and shape, as far as the file has them.

    Labelled are OpenPose's joints in 2D, in 3D those that 4D-Humans believes. The 19 `extra_keypoints` (14 of them HMR 2.0's
    evaluated joints) are no joints of SMPL-X, whose hips lie centimetres off, and are not taken for them.

    You will change: data_root, split, images, body_model_root.

    Args:
        data_root: a folder with both, the npz and the images.
        split: '3dpw_test' or 'h36m_val_p2'.
        body_model_root: folder with smpl/SMPL_NEUTRAL.pkl (and MALE, FEMALE where the file says genders); with it records get
            true meshes, whose root joint lies at its place at rest: the files have no translation.
        file: the npz under data_root, where it has another name or place.
        images: the folder under data_root that the names in the file start from.
        common: as in `Source`.
    """
    name, title = 'hmr2_eval', "HMR 2.0's evaluation files"
    licence = 'those of 3DPW and Human3.6M: research, no redistribution'
    site = 'https://github.com/shubham-goel/4D-Humans ("Evaluation": hmr2_evaluation_data), images from each data set\'s site'
    files = {'3dpw_test': '3dpw_test.npz', 'h36m_val_p2': 'h36m_val_p2.npz'}
    splits, gives = tuple(files), ('persons',)
    expected = (Expected('{split}.npz', 'centres, boxes and labels'),
                Expected('<images>/<name>.jpg', 'the images that it names'))

    def body_model_files(self) -> list[Path]:
        if self.body_model_root is None:
            return []
        return [find_model_file(self.body_model_root / 'smpl', 'SMPL', 'SMPL_NEUTRAL')]

    def convert(self, unit: str) -> Part:
        part = Part(empty_records(0, self.name), [], [])
        persons = _read_persons(self.file)
        names = self._image_paths(persons.pop('names'))
        with np.errstate(over='ignore'):
            finite = np.stack([np.isfinite(value.astype(np.float32)).all(axis=tuple(range(1, value.ndim)))
                               for value in persons.values()]).all(0)
        rows, sizes = self._with_images(names, part)
        half = persons['wh'] / PERSON_PADDED / 2
        tight = torch.from_numpy(np.concatenate((persons['center'] - half, persons['center'] + half), axis=1)[rows])
        tight = boxes.clip_box(tight.nan_to_num(0.0), torch.from_numpy(sizes)).numpy()
        inside = (tight[:, 2:] - tight[:, :2] > 1).all(1)
        for row, shown in zip(rows, inside, strict=True):
            if not (finite[row] and shown):
                part.drop('person_outside_image' if finite[row] else 'not_finite', f'{unit}, row {row}')
        good = finite[rows] & inside
        rows, sizes, tight = rows[good], sizes[good], tight[good]
        part.records = empty_records(len(rows), self.name)
        part.records['bbox_body'], part.records['hw'] = tight, sizes[:, ::-1]
        self._refer(part, names, rows)
        persons = {name: value[rows] for name, value in persons.items()}
        _fill_persons(part.records, persons)
        if self.body_model_root is not None:
            part.vertices = self._meshes(part.records, persons)
        return part

    def _meshes(self, records: np.ndarray, persons: dict):
        """Give records with pose and shape their true mesh (n, V, 3), a few at a time."""
        known = persons['has_pose'] & persons['has_betas']
        records['verts_row'] = np.where(known, np.cumsum(known) - 1, -1)
        set_flag(records, 'has_verts', known)
        layer = cache(lambda gender: SMPLLayer(self.body_model_root / 'smpl', gender=gender))

        def posed(rows: np.ndarray) -> np.ndarray:
            genders, meshes = persons['gender'][rows], None
            for gender in np.unique(genders):
                chosen = rows[genders == gender]
                turns = axis_angle_to_rotmat(torch.from_numpy(persons['pose'][chosen]).float().unflatten(1, (24, 3)))
                with torch.no_grad():
                    out = layer(GENDERS[gender])(turns[:, :1], turns[:, 1:], torch.from_numpy(persons['betas'][chosen]).float())
                meshes = np.zeros((len(rows), *out.vertices.shape[1:]), np.float32) if meshes is None else meshes
                meshes[genders == gender] = out.vertices.numpy()
            return meshes
        rows = np.flatnonzero(known)
        return (posed(rows[start:start + CHUNK]) for start in range(0, len(rows), CHUNK))


def _read_persons(path: Path) -> dict:
    """Arrays by our names, float64 where they are numbers: center, wh (N, 2) px, pose (N, 72), betas (N, 10), has_pose,
    has_betas (N,) bool, points_2d (N, 25, 3), points_3d (N, 25, 4), gender (N,); and the images' names.

    Raises:
        DamagedFileError: the file is none of HMR 2.0's.
    """
    data = load_npz(path)
    missing = [name for name in ('imgname', 'center', 'scale') if name not in data]
    if missing:
        raise DamagedFileError(path, "HMR 2.0's evaluation file", f'it lacks {missing}, it holds {sorted(data)}')
    count = len(data['imgname'])

    def field(name: str, *shape: int) -> np.ndarray:
        if name not in data:
            return np.zeros((count, *shape))
        return np.asarray(data[name], dtype=np.float64).reshape(count, *shape)
    try:
        persons = dict(center=field('center', 2), pose=field('body_pose', SMPL_POSE), betas=field('betas', 10),
                       has_pose=field('has_body_pose') > 0, has_betas=field('has_betas') > 0,
                       points_2d=field('body_keypoints_2d', 25, 3), points_3d=field('body_keypoints_3d', 25, 4))
        wh = np.broadcast_to(np.asarray(data['scale'], dtype=np.float64).reshape(count, -1), (count, 2))
        genders = [str(gender)[:1].lower() for gender in data['gender']] if 'gender' in data else ['n'] * count
        numbers = np.array([[name[0] for name in GENDERS].index(gender) for gender in genders], dtype=np.int64)
    except (TypeError, ValueError) as error:
        raise DamagedFileError(path, "HMR 2.0's evaluation file", error) from error
    return dict(persons, wh=wh, gender=numbers, names=image_names(data['imgname']))


def _fill_persons(records: np.ndarray, persons: dict) -> None:
    """Labels of persons (N rows) into their records."""
    pose = persons['pose'] * persons['has_pose'][:, None]
    records['global_orient'], records['body_pose'] = pose[:, :3], pose[:, 3:66].reshape(-1, 21, 3)
    records['smpl_tail'], records['body_pose_valid'] = pose[:, 66:].reshape(-1, 2, 3), persons['has_pose'][:, None]
    records['betas'][:, :10], records['num_betas'] = persons['betas'] * persons['has_betas'][:, None], 10
    records['model'], records['gender'] = MODELS.index('smpl'), persons['gender']
    points_3d = persons['points_3d'].copy()
    points_3d[:, NOT_BELIEVED] = 0
    for name, points in (('kpts2d', persons['points_2d']), ('kpts3d', points_3d)):
        confidence = points[..., -1:].clip(0, 1)
        records[name][:, FROM_OPENPOSE] = np.where(confidence > 0, np.concatenate((points[..., :-1], confidence), -1), 0)
        set_flag(records, f'has_{name}', records[name][..., -1].any(1))
    for name in ('has_image', 'has_bbox_body'):
        set_flag(records, name)
    for name, where in (('global_orient', 'has_pose'), ('body_pose', 'has_pose'), ('betas', 'has_betas')):
        set_flag(records, f'has_{name}', persons[where])
