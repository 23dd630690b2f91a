"""InterHand2.6M's files: where they lie, what they hold, whether they are whole. Nothing is posed here.

Layout (root = InterHand2.6M v1.0), source: facebookresearch/InterHand2.6M `README`, `data/InterHand2.6M/dataset.py`:
    images/<split>/Capture<k>/<sequence>/cam<id>/image<frame>.jpg
    annotations/<split>/InterHand2.6M_<split>_data.json            {images: [...], annotations: [...]}, one annotation an image
    annotations/<split>/InterHand2.6M_<split>_camera.json          {capture: {campos, camrot, focal, princpt: {camera: ...}}}
    annotations/<split>/InterHand2.6M_<split>_joint_3d.json        {capture: {frame: {world_coord, joint_valid, ...}}}
    annotations/<split>/InterHand2.6M_<split>_MANO_NeuralAnnot.json  {capture: {frame: {side: {pose, shape, trans} or null}}}
Keys are text where data.json has numbers. Cameras and joints are in millimetres, MANO in metres; both in the capture's world.
The list of train has 1.4 million images: each file is streamed into arrays, 200 bytes an image, and what is not needed dropped.
"""
from array import array
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmradapter.fileio import DamagedFileError, load_json, stream_json

HAND_TYPES = ('right', 'left', 'interacting')
JOINTS = 42             # right 0-20, left 21-41
MM = 1e-3
VECTOR = dict(pose=48, shape=10, trans=3)  # of a MANO hand, in this order


class Images(NamedTuple):
    """N images. sequence (N,) numbers `sequences`; frame, camera (N,) int; size (N, 2) as (W, H); name (N,) bytes, path under
    images/<split>; box (N, 4) xywh px; kind (N,) numbers HAND_TYPES, -1: no annotation; known (N, 42) bool."""
    sequences: list[str]
    sequence: np.ndarray
    frame: np.ndarray
    camera: np.ndarray
    size: np.ndarray
    name: np.ndarray
    box: np.ndarray
    kind: np.ndarray
    known: np.ndarray


class Lens(NamedTuple):
    """A camera: X_c = rotation (3, 3) X_w + translation (3,), metres; intrinsics (3, 3) px."""
    rotation: np.ndarray
    translation: np.ndarray
    intrinsics: np.ndarray


class InterHandFiles:
    """The annotations of a split. FileNotFoundError where a file is missing, DamagedFileError where it is not whole."""

    def __init__(self, root: Path, split: str, missing: Callable[[Path], Exception] = FileNotFoundError):
        self.root, self.split, self.missing = root, split, missing

    def path(self, name: str) -> Path:
        """Of 'data', 'camera', 'joint_3d' or 'MANO_NeuralAnnot'."""
        path = self.root / 'annotations' / self.split / f'InterHand2.6M_{self.split}_{name}.json'
        if not path.is_file():
            raise self.missing(path)
        return path

    @cached_property
    def images(self) -> Images:
        """All that is listed, in the file's order."""
        path, listed, annotated = self.path('data'), _Listed(), _Annotated()
        for place, one in stream_json(path, 2, 'the list of InterHand2.6M'):
            try:
                if place[0] == 'images':
                    listed.add(one)
                elif place[0] == 'annotations':
                    annotated.add(one)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
                raise DamagedFileError(path, f'the list of InterHand2.6M at {"/".join(map(str, place))}', error) from error
        try:
            return _joined(listed, annotated)
        except ValueError as error:
            raise DamagedFileError(path, 'the list of InterHand2.6M', error) from error

    @cached_property
    def cameras(self) -> dict[tuple[int, int], Lens | None]:
        """By capture and camera; None for one that is no camera."""
        path, cameras = self.path('camera'), {}
        try:
            for capture, fields in load_json(path, 'the cameras of InterHand2.6M').items():
                for name in fields['campos']:
                    cameras[int(capture), int(name)] = _lens(*(fields[field].get(name) for field in
                                                               ('campos', 'camrot', 'focal', 'princpt')))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(path, 'the cameras of InterHand2.6M', error) from error
        return cameras

    @cached_property
    def joints(self) -> tuple[dict[tuple[int, int], int], np.ndarray, np.ndarray]:
        """Rows by capture and frame, points (F, 42, 3) float32 metres in the world, and which of them are known (F, 42).
        NaN, and known, for a frame of another form."""
        path, rows, points, known = self.path('joint_3d'), {}, [], []
        for place, one in stream_json(path, 2, 'the joints of InterHand2.6M'):
            try:
                coordinates, flags = _numbers(one['world_coord'], (JOINTS, 3)) * MM, _flags(one['joint_valid'])
            except (KeyError, TypeError, ValueError):
                coordinates, flags = np.full((JOINTS, 3), np.nan), np.ones(JOINTS, bool)
            rows[_numbered(path, place)] = len(points)
            with np.errstate(over='ignore'):
                points.append(coordinates.astype(np.float32))
            known.append(flags)
        return rows, np.array(points, np.float32).reshape(-1, JOINTS, 3), np.array(known, bool).reshape(-1, JOINTS)

    @cached_property
    def hands(self) -> dict[str, tuple[dict[tuple[int, int], int], np.ndarray]]:
        """For each side rows by capture and frame, and MANO vectors (M, 61): pose with residual fingers, shape, translation in
        metres, world. NaN for a hand of another form."""
        path, found = self.path('MANO_NeuralAnnot'), {side: ({}, []) for side in ('left', 'right')}
        for place, one in stream_json(path, 3, 'the MANO hands of InterHand2.6M'):
            if len(place) == 3 and place[2] in found and one is not None:
                rows, vectors = found[place[2]]
                rows[_numbered(path, place[:2])] = len(vectors)
                one = one if isinstance(one, dict) else {}
                vectors.append(np.concatenate([_numbers(one.get(name), (size,)) for name, size in VECTOR.items()]))
        return {side: (rows, np.array(vectors).reshape(-1, sum(VECTOR.values()))) for side, (rows, vectors) in found.items()}


class _Listed:
    """The images so far, row by row in flat arrays."""

    def __init__(self):
        self.ids, self.numbers, self.names, self.sequences = array('q'), array('q'), [], {}

    def add(self, one: dict) -> None:
        sequence = self.sequences.setdefault(f'Capture{_whole(one["capture"])}/{one["seq_name"]}', len(self.sequences))
        self.numbers.extend((sequence, *(_whole(one[name]) for name in ('frame_idx', 'camera', 'width', 'height'))))
        self.ids.append(int(one['id']))
        self.names.append(one['file_name'].encode())


class _Annotated:
    """The annotations so far, row by row in flat arrays."""

    def __init__(self):
        self.ids, self.boxes, self.kinds, self.known = array('q'), array('d'), bytearray(), bytearray()

    def add(self, one: dict) -> None:
        self.ids.append(int(one['image_id']))
        self.boxes.extend(_numbers(one['bbox'], (4,)))
        self.kinds.append(HAND_TYPES.index(one['hand_type']))
        self.known.extend(_flags(one['joint_valid']).tobytes())


def _joined(listed: _Listed, annotated: _Annotated) -> Images:
    """Each image with its annotation."""
    ids, owners, count = np.array(listed.ids), np.array(annotated.ids), len(listed.ids)
    order = np.argsort(ids)
    if not count or not (np.diff(ids[order]) > 0).all():
        raise ValueError('it lists no image, or two of one id')
    rows = order[np.searchsorted(ids, owners, sorter=order).clip(max=count - 1)]
    if not np.array_equal(ids[rows], owners) or len(np.unique(rows)) != len(rows):
        raise ValueError('an annotation is of no image, or two are of one')
    box, kind, known = np.zeros((count, 4), np.float32), np.full(count, -1, np.int8), np.zeros((count, JOINTS), bool)
    with np.errstate(over='ignore'):
        box[rows] = np.array(annotated.boxes).reshape(-1, 4)
    kind[rows], known[rows] = np.frombuffer(annotated.kinds, np.int8), np.frombuffer(annotated.known, bool).reshape(-1, JOINTS)
    numbers = np.array(listed.numbers, dtype=np.int32).reshape(-1, 5)
    return Images(list(listed.sequences), *numbers[:, :3].T, numbers[:, 3:], np.array(listed.names), box, kind, known)


def _lens(position, rotation, focal, center) -> Lens | None:
    position, rotation = _numbers(position, (3,)) * MM, _numbers(rotation, (3, 3))
    focal, center = _numbers(focal, (2,)), _numbers(center, (2,))
    numbers = np.concatenate([position, focal, center])
    turns = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) and np.linalg.det(rotation) > 0
    if not (turns and (np.abs(numbers) < 1e6).all() and (focal > 1).all()):
        return None
    return Lens(rotation, -rotation @ position, np.array([[focal[0], 0, center[0]], [0, focal[1], center[1]], [0, 0, 1]]))


def _numbered(path: Path, place: tuple) -> tuple[int, int]:
    """Capture and frame of a place, which names them in text."""
    try:
        capture, frame = place
        return int(capture), int(frame)
    except ValueError as error:
        raise DamagedFileError(path, 'a file of captures and their frames', f'it has a place {place}') from error


def _whole(value) -> int:
    """A number that records can hold."""
    number = int(value)
    if not 0 <= number < 1 << 31:
        raise ValueError(f'{number} is no number of an image')
    return number


def _flags(value) -> np.ndarray:
    """(42,) bool of nested flags (42, 1)."""
    flags = np.asarray(value, dtype=np.float64)
    if flags.shape != (JOINTS, 1) or not np.isfinite(flags).all():
        raise ValueError(f'joint_valid has the shape {flags.shape}, not {(JOINTS, 1)}, or a value that is no flag')
    return flags[:, 0] > 0


def _numbers(value, shape: tuple[int, ...]) -> np.ndarray:
    """float64 of `shape`, NaN where it has another."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):  # text, lists of several lengths, whole numbers of 400 digits
        array = np.zeros(0)
    return array if array.shape == shape else np.full(shape, np.nan)
