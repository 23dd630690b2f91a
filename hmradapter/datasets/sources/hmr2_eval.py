"""Evaluation files of HMR 2.0 (Goel et al., ICCV 2023): persons, as arrays beside folders of images (`evaluation_npz`).
Source: 4D-Humans `datasets/image_dataset.py`.
"""
from functools import cache
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models import SMPLLayer
from hmradapter.body_models.model_files import find_model_file
from hmradapter.fileio import DamagedFileError, load_npz
from hmradapter.geometry import boxes
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import SOURCES
from hmradapter.structures.joints import SMPLX144_FROM_OPENPOSE25

from ..formats.hamer import image_names
from ..record import GENDERS, MODELS, empty_records, set_flag
from ..store.part import Part
from .evaluation_npz import EvaluationSource
from .rows import drop_rows, finite_rows, usable_images
from .source import Expected

PERSON_PADDED = 1.2     # what `PersonCrop` pads by, and stored boxes count as padded
SMPL_POSE = 72
FROM_OPENPOSE = list(SMPLX144_FROM_OPENPOSE25)
NOT_BELIEVED = list(range(1, 15))  # OpenPose's body joints in 3D, which 4D-Humans gives confidence 0
CHUNK = 64              # bodies posed at once


@SOURCES.register_module()
class HMR2EvalSource(EvaluationSource):
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
        persons = _read_persons(self.checked_file)
        posed = np.unique(persons['gender'][persons['has_pose'] & persons['has_betas']])
        return [find_model_file(self.body_model_root / 'smpl', 'SMPL', f'SMPL_{GENDERS[gender].upper()}') for gender in posed]

    def convert(self, unit: str) -> Part:
        part = Part(empty_records(0, self.name), [], [])
        persons = _read_persons(self.file)
        names = self.image_paths(persons.pop('names'))
        finite = finite_rows(*persons.values())
        rows, sizes = usable_images(part, self.data_root, names, self.verify_images)
        half = persons['wh'] / PERSON_PADDED / 2
        tight = torch.from_numpy(np.concatenate((persons['center'] - half, persons['center'] + half), axis=1)[rows])
        tight = boxes.clip_box(tight.nan_to_num(0.0), torch.from_numpy(sizes)).numpy()
        inside = (tight[:, 2:] - tight[:, :2] > 1).all(1)
        called = [f'{unit}, row {row}' for row in rows]
        drop_rows(part, 'not_finite', ~finite[rows], called)
        drop_rows(part, 'person_outside_image', finite[rows] & ~inside, called)
        good = finite[rows] & inside
        rows, sizes, tight = rows[good], sizes[good], tight[good]
        part.records = empty_records(len(rows), self.name)
        part.records['bbox_body'], part.records['hw'] = tight, sizes[:, ::-1]
        self.refer(part, names, rows)
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
    set_flag(records, 'has_bbox_body')
    for name, where in (('global_orient', 'has_pose'), ('body_pose', 'has_pose'), ('betas', 'has_betas')):
        set_flag(records, f'has_{name}', persons[where])
