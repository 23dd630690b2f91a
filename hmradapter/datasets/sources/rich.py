"""RICH (Huang et al., CVPR 2022): one or two persons before up to eight calibrated cameras, SMPL-X fitted without markers.

Facts that are easily missed (`rich_files` has the layout): bodies are gendered, in the frame of camera 0; hands are 12
coefficients of the model's own components, relative to its mean hand; the moving camera has no calibration and is skipped;
numbers of subjects have zeros in names and none in gender.json; calibrations are of the full images (4112x3008), so those of a
smaller copy are scaled. The calibrations' lens distortion is not used, as in rich_toolkit, so points are a pinhole's. Finger
fits are noisy.
"""
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log

from hmradapter.body_models import SMPLXLayer
from hmradapter.body_models.model_files import find_model_file
from hmradapter.fileio import DamagedFileError
from hmradapter.registry import SOURCES

from ..labels import View
from ..record import GENDERS, SIDES, empty_records
from ..smplx_labels import set_smplx_persons
from ..store.writer import Part, sampled_digest
from .rich_files import BODY, Calibration, RichFiles, read_body, read_calibration, subjects_of
from .rows import drop_rows, finite_rows, keep_records, new_records, numbered, shown, usable_images, view_of
from .source import Expected, Source, checked_stride

FULL_SIZE = (4112, 3008)
OFF_CENTRE = 0.1       # of an image, how far its principal point may lie from the middle
SAME_SCALE = 0.01      # how far the scales of width and height may differ


@SOURCES.register_module()
class RICHSource(Source):
    """Persons of RICH: gendered SMPL-X bodies with hands and faces.

    You will change: data_root, body_model_root.

    Args:
        data_root: the folder of rich_toolkit, with data/ and resource/.
        body_model_root: folder with smplx/SMPLX_{MALE,FEMALE}.npz.
        split: 'train', 'val' or 'test'.
        stride: every so many frames.
        common: as in `Source`.
    """
    name, title = 'rich', 'RICH'
    licence = 'MPI, non-commercial, no redistribution'
    site = 'https://rich.is.tue.mpg.de (register); resource/ from https://github.com/paulchhuang/rich_toolkit'
    splits, gives = ('train', 'val', 'test'), ('hands', 'persons')
    expected = (Expected('data/images/{split}/<sequence>/cam_CC/FFFFF_CC.{jpeg,jpg,png,bmp}', 'images'),
                Expected('data/bodies/{split}/<sequence>/FFFFF/<subject>.pkl', 'bodies'),
                Expected('data/scan_calibration/<Scene>/calibration/CCC.xml', 'cameras'),
                Expected('resource/gender.json', 'genders of the subjects'))
    body_models = ('smplx/SMPLX_{MALE,FEMALE}.npz',)

    def __init__(self, data_root, body_model_root, split: str = 'train', stride: int = 1, **common):
        super().__init__(data_root, split, body_model_root, **common)
        self.stride = checked_stride(stride)

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, stride=self.stride)

    @cached_property
    def files(self) -> RichFiles:
        return RichFiles(self.data_root, self.split, self.missing)

    @property
    def units(self) -> list[str]:
        return self.files.sequences

    @cached_property
    def convert(self) -> 'RICHConverter':
        return RICHConverter(self.files, self.split, self.body_model_root, self.stride, self.verify_images)

    def body_model_files(self) -> list[Path]:
        genders = sorted(set(self.files.genders.values()))
        return [find_model_file(self.body_model_root, 'SMPL-X', f'SMPLX_{gender.upper()}') for gender in genders]

    def fingerprint(self) -> dict:
        """Three bodies of each sequence stand for the others: there are some ten thousand of them."""
        return dict(files=sampled_digest(self.data_root, self.files.sources()))


class RICHConverter:
    """A sequence to records; what is left out is counted by reason."""

    def __init__(self, files: RichFiles, split: str, models: Path, stride: int, verify_images: bool):
        self.files, self.split, self.stride, self.verify_images = files, split, stride, verify_images
        self.layer = cache(lambda gender: SMPLXLayer(str(models), gender, face_contour=False).landmarks_only())

    def __call__(self, sequence: str) -> Part:
        part = Part(empty_records(0, 'rich'), [], [])
        cameras = self.files.cameras(sequence)
        calibrations = self._calibrations(sequence, cameras, part)
        bodies = self._bodies(sequence, part)
        frames = {frame for frame, _ in bodies}
        rows, paths = [], []
        for camera, calibration in calibrations.items():
            for stem in cameras[camera]:
                frame = int(stem.split('_')[0])
                if frame % self.stride == 0 and frame not in frames:
                    part.drop('image_without_body', cameras[camera][stem])
            for body in bodies:
                stem = f'{body[0]:05d}_{camera:02d}'
                if stem in cameras[camera]:
                    rows.append((body, camera, calibration))
                    paths.append(cameras[camera][stem])
                else:
                    part.drop('missing_image', f'{self.files.images}/{sequence}/cam_{camera:02d}/{stem}')
        kept, sizes = usable_images(part, self.files.root, paths, self.verify_images)
        rows, paths = [rows[i] for i in kept], [paths[i] for i in kept]
        intrinsics = [scaled_intrinsics(row[2].intrinsics, size) for row, size in zip(rows, sizes.tolist(), strict=True)]
        kept = drop_rows(part, 'image_of_other_size', np.array([K is None for K in intrinsics], bool), paths)
        if len(kept):
            self._fill(part, sequence, [rows[i] for i in kept], [paths[i] for i in kept], bodies,
                       np.stack([intrinsics[i] for i in kept]), sizes[kept])
        return part

    def _calibrations(self, sequence: str, cameras: dict, part: Part) -> dict[int, Calibration]:
        found = {}
        for camera, images in cameras.items():
            path = self.files.calibration_path(sequence, camera)
            name = f'{sequence}/cam_{camera:02d}'
            if not path.is_file():
                part.drop('camera_without_calibration', name, len(images))
                continue
            try:
                found[camera] = read_calibration(path)
            except DamagedFileError as error:
                print_log(str(error), 'current')
                part.drop('camera_with_damaged_calibration', name, len(images))
        return found

    def _bodies(self, sequence: str, part: Part) -> dict[tuple[int, int], tuple[str, dict]]:
        """(gender, parameters) by frame and subject."""
        bodies, met, subjects = {}, set(), subjects_of(sequence)
        for frame, subject, path in self.files.body_paths(sequence):
            if frame % self.stride:
                continue
            name = f'{sequence}/{frame:05d}/{path.stem}'
            if subject not in subjects or subject not in self.files.genders:
                part.drop('body_of_unknown_subject' if subject in self.files.genders else 'subject_without_gender', name)
                continue
            met.add((frame, subject))
            try:
                body = read_body(path)
            except DamagedFileError as error:
                print_log(str(error), 'current')
                part.drop('damaged_body', name)
                continue
            if all(finite_rows(value[None])[0] for value in body.values()):
                bodies[frame, subject] = self.files.genders[subject], body
            else:
                part.drop('not_finite', name)
        for frame in sorted({frame for frame, _ in met}):
            for subject in subjects:
                if (frame, subject) not in met:
                    part.drop('subject_without_body', f'{sequence}/{frame:05d}/{subject:03d}')
        return bodies

    def _fill(self, part: Part, sequence: str, rows: list, paths: list[str], bodies: dict, intrinsics: np.ndarray,
              sizes: np.ndarray) -> None:
        subjects = subjects_of(sequence)
        view = view_of(np.stack([row[2].rotation for row in rows]), np.stack([row[2].translation for row in rows]), intrinsics,
                       sizes)
        keys = [f'rich/{self.split}/{sequence}/{camera}/{frame:05d}/{subject:03d}' for (frame, subject), camera, _ in rows]
        records = new_records(part, 'rich', keys, paths, view)
        records['seq'], records['view'] = self.files.sequences.index(sequence), [row[1] for row in rows]
        records['frame'], records['person'] = [row[0][0] for row in rows], [subjects.index(row[0][1]) for row in rows]
        genders = np.array([bodies[row[0]][0] for row in rows])
        for gender in sorted(set(genders.tolist()), key=GENDERS.index):
            chosen = np.flatnonzero(genders == gender)
            posed, bodies_of = numbered([rows[i][0] for i in chosen])  # cameras share bodies: pose each once
            params = {name: torch.from_numpy(np.stack([bodies[who][1][name] for who in posed])) for name in BODY}
            for side in SIDES:  # coefficients relative to the mean on disk, absolute angles from here on
                params[f'{side}_hand_pose'] = self.layer(gender).hand_pose(side, params[f'{side}_hand_pose'])
            labelled = records[chosen]
            set_smplx_persons(labelled, self.layer(gender), params, View(*(field[chosen] for field in view)), rows=bodies_of)
            records[chosen] = labelled
        keep_records(part, drop_rows(part, 'person_outside_image', ~shown(records), keys))


def scaled_intrinsics(intrinsics: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    """A calibration (3, 3) for an image of `size` (W, H), None where the two do not go together.
    Convention: the centre of the top left pixel is (0, 0), so halving 4112x3008 takes cx to (cx + 0.5) / 2 - 0.5.
    A calibration is of the full image, upright or lying, if its principal point is near that one's middle, else of `size`."""
    centre = intrinsics[:2, 2]
    for full in (FULL_SIZE, FULL_SIZE[::-1], tuple(size)):
        if (np.abs(centre / full - 0.5) < OFF_CENTRE).all():
            scale = np.array(size) / full
            if abs(scale[0] / scale[1] - 1) > SAME_SCALE:
                return None
            scaled = intrinsics.copy()
            scaled[:2] *= scale[:, None]
            scaled[:2, 2] += (scale - 1) / 2
            return scaled
    return None

