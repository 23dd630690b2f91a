"""RICH's files: where they lie, what they hold, whether they are whole. Nothing is posed here.

Layout (root = the folder of rich_toolkit with the downloads in data/), source: rich_toolkit `README.md`, `smplx2images.py`:
    data/images/<split>/<Scene_SUB_action>/cam_CC/FFFFF_CC.{jpeg,jpg,png,bmp}   SUB: one or two subjects, three digits each
    data/bodies/<split>/<sequence>/FFFFF/SUB.pkl    SMPL-X, gendered, metres, frame of camera 0 (older copies: <split>_body)
    data/scan_calibration/<Scene>/calibration/CCC.xml   OpenCV's storage; the moving camera has none
    resource/gender.json                            {"5": "male", ..}: numbers without zeros
"""
import os
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from hmradapter.fileio import DamagedFileError, load_json, load_pickle

from .rows import is_rotation

IMAGE_TYPES = ('.jpeg', '.jpg', '.png', '.bmp')  # the first that there is, of a frame that there is more than once
BODY = dict(transl=3, global_orient=3, body_pose=63, jaw_pose=3, leye_pose=3, reye_pose=3, left_hand_pose=12,
            right_hand_pose=12, expression=10, betas=10)
CALIBRATION_BYTES = 1 << 16  # of a file of a few hundred


class Calibration(NamedTuple):
    """R (3, 3), t (3,) from camera 0's frame, metres; K (3, 3) px of the full image."""
    rotation: np.ndarray
    translation: np.ndarray
    intrinsics: np.ndarray


class RichFiles:
    """The release's files of a split. FileNotFoundError where images, bodies or genders are missing altogether."""

    def __init__(self, root: Path, split: str, missing: Callable[[Path], Exception] = FileNotFoundError):
        self.root = root
        self.images = Path('data') / 'images' / split
        places = [Path('data') / 'bodies' / split, Path('data') / 'bodies' / f'{split}_body', Path('data') / f'{split}_body']
        self.bodies = next((place for place in places if (root / place).is_dir()), places[0])
        self.gender_path = root / 'resource' / 'gender.json'
        for path in (root / self.images, root / self.bodies, self.gender_path):
            if not path.exists():
                raise missing(path)
        self.sequences = sorted(entry.name for entry in os.scandir(root / self.images) if entry.is_dir())
        if not self.sequences:
            raise missing(root / self.images / '<sequence>')

    @cached_property
    def genders(self) -> dict[int, str]:
        """Gender of each subject."""
        content = load_json(self.gender_path)
        try:
            genders = {int(subject): str(gender) for subject, gender in content.items()}
        except ValueError as error:
            raise DamagedFileError(self.gender_path, 'genders by number of the subject', error) from error
        if not set(genders.values()) <= {'male', 'female', 'neutral'}:
            raise DamagedFileError(self.gender_path, 'genders', f'it has {sorted(set(genders.values()))}')
        return genders

    def cameras(self, sequence: str) -> dict[int, dict[str, str]]:
        """{camera: {'FFFFF_CC': image, relative to the root}} of the sequence."""
        found = {}
        for folder in sorted((self.root / self.images / sequence).glob('cam_*')):
            if folder.name[4:].isdigit():
                images = {}
                for name in os.listdir(folder):
                    stem, ending = os.path.splitext(name)
                    kind = ending.lower()
                    if re.fullmatch(r'\d+_\d+', stem) and kind in IMAGE_TYPES:
                        best = images.get(stem)
                        if best is None or IMAGE_TYPES.index(kind) < IMAGE_TYPES.index(os.path.splitext(best)[1].lower()):
                            images[stem] = name
                place = (self.images / sequence / folder.name).as_posix()
                found[int(folder.name[4:])] = {stem: f'{place}/{name}' for stem, name in sorted(images.items())}
        return found

    def body_paths(self, sequence: str) -> list[tuple[int, int, Path]]:
        """(frame, subject, file) of every body of the sequence, in this order."""
        found = []
        for path in (self.root / self.bodies / sequence).glob('*/*.pkl'):
            if path.parent.name.isdigit() and path.stem.isdigit():
                found.append((int(path.parent.name), int(path.stem), path))
        return sorted(found)

    def sources(self) -> list[Path]:
        """Of every sequence the first, middle and last body, all calibrations, and the genders: what a fingerprint samples."""
        chosen = [self.gender_path, *sorted((self.root / 'data' / 'scan_calibration').glob('*/calibration/*.xml'))]
        for sequence in self.sequences:
            paths = [path for *_, path in self.body_paths(sequence)]
            chosen += [paths[i] for i in sorted({0, len(paths) // 2, len(paths) - 1})] if paths else []
        return chosen

    def calibration_path(self, sequence: str, camera: int) -> Path:
        """Of a camera; the scene is the sequence's first word."""
        return self.root / 'data' / 'scan_calibration' / sequence.split('_')[0] / 'calibration' / f'{camera:03d}.xml'


def subjects_of(sequence: str) -> list[int]:
    """Numbers between scene and action: 'Pavallion_003_018_tossball' -> [3, 18]."""
    found = []
    for word in sequence.split('_')[1:]:
        if not word.isdigit():
            break
        found.append(int(word))
    return found


def read_body(path: Path) -> dict[str, np.ndarray]:
    """The parameters of one body, each (n,) of BODY, float64; hands are 12 coefficients, the mean hand not included."""
    content = load_pickle(path)
    try:
        return {name: np.asarray(content[name], np.float64).reshape(size) for name, size in BODY.items()}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DamagedFileError(path, 'a body of RICH', error) from error


def read_calibration(path: Path) -> Calibration:
    """A camera's xml. A file of over CALIBRATION_BYTES is refused, and one with a document type, in whatever encoding: that is
    where entities are declared, which can make a parser run away."""
    raw = path.read_bytes()
    if len(raw) > CALIBRATION_BYTES:
        raise DamagedFileError(path, 'a calibration', f'it has {len(raw)} bytes')
    try:
        _refuse_document_type(raw)
        tree = ElementTree.fromstring(raw)

        def numbers(name: str) -> np.ndarray:
            return np.array(tree.find(f'./{name}/data').text.split(), dtype=np.float64)
        matrix, intrinsics = numbers('CameraMatrix').reshape(3, 4), numbers('Intrinsics').reshape(3, 3)
    except (ElementTree.ParseError, expat.ExpatError, AttributeError, ValueError, LookupError) as error:
        raise DamagedFileError(path, 'a calibration', error) from error
    if not is_rotation(matrix[:, :3]) or not np.isfinite([*matrix[:, 3], *intrinsics.flat]).all():
        raise DamagedFileError(path, 'a calibration', 'CameraMatrix begins with no rotation, or a value is not finite')
    if not (np.diag(intrinsics)[:2] > 0).all():
        raise DamagedFileError(path, 'a calibration', f'its focal lengths are {np.diag(intrinsics)[:2].tolist()}')
    return Calibration(matrix[:, :3], matrix[:, 3], intrinsics)


def _refuse_document_type(raw: bytes) -> None:
    """ValueError as soon as the parser comes upon one: before it reads any declaration."""
    def refuse(*_):
        raise ValueError('it has a document type, which may declare entities')
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(raw, True)
