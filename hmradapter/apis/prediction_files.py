"""Predictions on disk: NAME.json for people and other programs, NAME.npz with the same numbers for NumPy.

Either file alone rebuilds everything; the mesh is not stored but computed again, bit for bit, from the same body model. Schema,
units and frames: docs/outputs.md. N hands of one image.
"""
import hashlib
import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from hmradapter.apis.hand_mesh import HandModel
from hmradapter.apis.prediction import Camera, HandPrediction
from hmradapter.fileio import atomic_write, load_npz
from hmradapter.geometry.rotations import rotmat_to_axis_angle

SCHEMA = 'hmradapter.hands'
VERSION = 1
UNITS = dict(length='metre', angle='radian', image='pixel, integers at pixel centres, whole unmirrored image',
             frame='OpenCV camera: x right, y down, z forward', hand_pose='absolute, flat hand is zero, MANO joint order',
             rotations='3x3 matrices acting on column vectors; *_axis_angle repeat them and are not read back')
ARRAYS = dict(box_xyxy=(4,), crop_center=(2,), crop_size=(), crop_cam=(3,), global_orient=(3, 3), hand_pose=(15, 3, 3),
              betas=(10,), translation=(3,), keypoints_3d=(21, 3), keypoints_2d=(21, 2))
NEEDED = dict(body_model=('path', 'sha256'), camera=('focal', 'princpt', 'size', 'source'))
FLAGS = ('hand', 'guided', 'side_given', 'flags')


class PredictionFileError(ValueError):
    """The file is no prediction of this version, or does not fit the body model; the message says which."""


def save_prediction(predictions: Sequence[HandPrediction], path: str | Path, model: HandModel, camera: Camera,
                    **provenance) -> tuple[Path, Path]:
    """Write the hands of one image to PATH.json and PATH.npz atomically and return both paths.

    Args:
        predictions: may be empty (an image without a hand).
        path: without suffix; one of the two suffixes is taken off.
        model: the body model the meshes were made with; its hash is recorded.
        camera: of the image.
        provenance: JSON values recorded under their names (source, weights, ...).
    """
    stem = _stem(path)
    head = dict(schema=SCHEMA, version=VERSION, units=UNITS, **provenance,
                body_model=dict(kind='MANO', side='right', left_hands='mirrored', path=str(model.path.resolve()),
                                sha256=model.sha256),
                camera=dict(focal=_short(camera.focal), princpt=_short(camera.princpt), size=list(camera.size),
                            source=camera.source))
    hands = [_hand_record(prediction) for prediction in predictions]
    with atomic_write(stem.with_name(stem.name + '.json'), 'w') as file:
        file.write(_readable(json.dumps(dict(head, hands=hands), indent=1, allow_nan=False)) + '\n')
    arrays = {name: np.stack([np.asarray(getattr(p, name), np.float32) for p in predictions]) if predictions
              else np.zeros((0, *shape), np.float32) for name, shape in ARRAYS.items()}
    small = [{name: hand[name] for name in (*FLAGS, 'vertices_sha256')} for hand in hands]
    with atomic_write(stem.with_name(stem.name + '.npz')) as file:
        np.savez(file, meta=np.array(json.dumps(dict(head, hands=small), allow_nan=False)), **arrays)
    return stem.with_name(stem.name + '.json'), stem.with_name(stem.name + '.npz')


def load_prediction(path: str | Path, body_model: HandModel | str | Path | None = None) -> list[HandPrediction]:
    """The hands of a file that `save_prediction` wrote (.json or .npz; without suffix the .json), vertices rebuilt exactly.

    Args:
        body_model: the MANO_RIGHT file, its folder, or a loaded model; by default the path that the file names.

    Raises:
        PredictionFileError: another schema, a damaged record, or another body model than the prediction was made with.
        FileNotFoundError: the file or the body model is not there.
    """
    head, records = _read(Path(path))
    wanted = head['body_model']
    model = _find_model(body_model, wanted, path)
    if model.sha256 != wanted['sha256']:
        raise PredictionFileError(f'{path} was made with the body model of sha256 {wanted["sha256"]} ({wanted["path"]}), but '
                                  f'{model.path} has {model.sha256}: give the file that it was made with.')
    camera = Camera(np.float32(head['camera']['focal']), np.float32(head['camera']['princpt']), tuple(head['camera']['size']),
                    head['camera']['source'])
    return [_rebuild(record, model, camera, path) for record in records]


def read_provenance(path: str | Path) -> dict:
    """Everything of a prediction's .json or .npz but the hands: schema, image, weights, body model, camera."""
    return _read(Path(path))[0]


def _stem(path: str | Path) -> Path:
    path = Path(path)
    return path.with_suffix('') if path.suffix in ('.json', '.npz') else path


def _hand_record(p: HandPrediction) -> dict:
    record = dict(hand=p.hand, guided=p.guided, side_given=p.side_given, flags=list(p.flags),
                  vertices_sha256=vertices_hash(p.vertices))
    record.update({name: _short(getattr(p, name)) for name in ARRAYS})
    for name in ('global_orient', 'hand_pose'):
        rotvec = rotmat_to_axis_angle(torch.from_numpy(np.asarray(getattr(p, name), np.float64)))
        record[f'{name}_axis_angle'] = _short(rotvec.float().numpy())
    return record


def vertices_hash(vertices: np.ndarray) -> str:
    """sha256 of the float32 little-endian bytes."""
    return hashlib.sha256(np.ascontiguousarray(vertices, '<f4').tobytes()).hexdigest()


def _short(values) -> list | float:
    """float32 numbers with as few digits as give them back exactly."""
    if np.ndim(values) == 0:
        return float(str(np.float32(values)))
    return [_short(value) for value in np.asarray(values)]


def _readable(text: str) -> str:
    """Indented JSON with each innermost list of numbers on one line."""
    return re.sub(r'\[[-+.\d\seE,]*\]', lambda match: re.sub(r'\s+', ' ', match.group()).replace('[ ', '[').replace(' ]', ']'),
                  text)


def _read(path: Path) -> tuple[dict, list[dict]]:
    if path.suffix not in ('.json', '.npz'):
        if path.is_file():
            raise PredictionFileError(f'{path} is no prediction: give the .json or .npz that the demo wrote.')
        path = path.with_name(path.name + '.json')
    try:
        if path.suffix == '.json':
            head = json.loads(path.read_text(encoding='utf-8'))
            records = head.pop('hands')
        else:
            arrays = load_npz(path)
            head = json.loads(str(arrays['meta']))
            records = [dict(small, **{name: arrays[name][i] for name in ARRAYS}) for i, small in enumerate(head.pop('hands'))]
        if (head['schema'], head['version']) != (SCHEMA, VERSION):
            raise PredictionFileError(f'{path} has the schema {head["schema"]!r} version {head["version"]!r}; this release '
                                      f'reads {SCHEMA!r} version {VERSION}.')
        missing = [f'{part}.{key}' for part, keys in NEEDED.items() for key in keys if key not in head[part]]
        if missing:
            raise KeyError(', '.join(missing))
        return head, records
    except (KeyError, IndexError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PredictionFileError(f'{path} is no prediction of {SCHEMA} version {VERSION} '
                                  f'({type(error).__name__}: {error}).') from error


def _find_model(body_model: HandModel | str | Path | None, wanted: dict, path) -> HandModel:
    if isinstance(body_model, HandModel):
        return body_model
    if body_model is None and not Path(wanted['path']).exists():
        raise FileNotFoundError(f'{path} was made with the body model {wanted["path"]}, which is not there: pass '
                                f'body_model=, the MANO_RIGHT file with sha256 {wanted["sha256"]}.')
    return HandModel.load(body_model or wanted['path'])


def _rebuild(record: dict, model: HandModel, camera: Camera, path) -> HandPrediction:
    try:
        values = {name: np.asarray(record[name], np.float32) for name in ARRAYS}
        side, small = record['hand'], {name: record[name] for name in FLAGS}
    except (KeyError, TypeError, ValueError) as error:
        raise PredictionFileError(f'{path} has a damaged record of a hand ({type(error).__name__}: {error}).') from error
    for name, shape in ARRAYS.items():
        if values[name].shape != shape or not np.isfinite(values[name]).all():
            raise PredictionFileError(f'{path}: {name} of a hand has the shape {values[name].shape}, expected '
                                      f'{shape}, all finite.')
    if side not in ('right', 'left'):
        raise PredictionFileError(f"{path}: hand is {side!r}; it must be 'right' or 'left'.")
    vertices, keypoints, faces = model.mesh(side, values['global_orient'], values['hand_pose'], values['betas'])
    if vertices_hash(vertices) != record.get('vertices_sha256'):
        warnings.warn(f'{path}: the vertices of the {side} hand are not those that were saved. Either its parameters were '
                      'edited, or this machine rounds differently.')
    values['crop_size'], values['keypoints_3d'] = float(values['crop_size']), keypoints
    return HandPrediction(**(values | small | dict(flags=tuple(small['flags']), vertices=vertices, faces=faces, camera=camera)))
