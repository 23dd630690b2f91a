"""Predictions on disk: NAME.json for people and other programs, NAME.npz with the same numbers for NumPy.

Either file alone rebuilds everything; the mesh is not stored but computed again, bit for bit, from the same body model. Schema,
units and frames: docs/outputs.md and schemas/*.json. A file holds the hands, or the persons, of one image; what the two kinds
of files differ in is a `Layout`.
"""
import hashlib
import json
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hmradapter.apis.body_mesh import BodyModel
from hmradapter.apis.hand_mesh import HandModel
from hmradapter.apis.prediction import Camera, HandPrediction, PersonPrediction
from hmradapter.fileio import atomic_write, load_npz
from hmradapter.geometry.rotations import rotmat_to_axis_angle

UNITS = dict(length='metre', angle='radian', image='pixel, integers at pixel centres, whole unmirrored image',
             frame='OpenCV camera: x right, y down, z forward', hand_pose='absolute, flat hand is zero, MANO joint order',
             rotations='3x3 matrices acting on column vectors; *_axis_angle repeat them and are not read back')
NEEDED = dict(body_model=('path', 'sha256'), camera=('focal', 'princpt', 'size', 'source'))
Prediction = HandPrediction | PersonPrediction


@dataclass(frozen=True)
class Layout:
    """One kind of file. arrays: shape by name of a record's arrays; facts: its other fields; rotations: arrays that are
    repeated as axis-angle; body_model: what the file says of the model, with the model's class; rebuild: arrays and model to
    (vertices, keypoints, faces)."""
    schema: str
    version: int
    plural: str
    kind: type
    arrays: dict[str, tuple[int, ...]]
    facts: tuple[str, ...]
    rotations: tuple[str, ...]
    model: type
    model_facts: dict[str, str]
    model_file: str
    rebuild: Callable


def _hand_mesh(record: dict, values: dict, model: HandModel, path) -> tuple:
    if record['hand'] not in ('right', 'left'):
        raise PredictionFileError(f"{path}: hand is {record['hand']!r}; it must be 'right' or 'left'.")
    return model.mesh(record['hand'], values['global_orient'], values['hand_pose'], values['betas'])


def _person_mesh(record: dict, values: dict, model: BodyModel, path) -> tuple:
    return (*model.mesh(values), model.faces)


HANDS = Layout(
    'hmradapter.hands', 1, 'hands', HandPrediction,
    dict(box_xyxy=(4,), crop_center=(2,), crop_size=(), crop_cam=(3,), global_orient=(3, 3), hand_pose=(15, 3, 3),
         betas=(10,), translation=(3,), keypoints_3d=(21, 3), keypoints_2d=(21, 2)),
    ('hand', 'guided', 'side_given', 'flags'), ('global_orient', 'hand_pose'), HandModel,
    dict(kind='MANO', side='right', left_hands='mirrored'), 'MANO_RIGHT', _hand_mesh)
PERSONS = Layout(
    'hmradapter.persons', 1, 'persons', PersonPrediction,
    dict(box_xyxy=(4,), score=(), crop_center=(2,), crop_size=(2,), global_orient=(3, 3), body_pose=(21, 3, 3),
         jaw_pose=(3, 3), left_hand_pose=(15, 3, 3), right_hand_pose=(15, 3, 3), betas=(10,), expression=(10,),
         translation=(3,), hand_boxes=(2, 4), mano_global_orient=(2, 3, 3), mano_hand_pose=(2, 15, 3, 3), mano_betas=(2, 10),
         mano_translation=(2, 3), elbow_twist=(2,), keypoints_3d=(137, 3), keypoints_2d=(137, 2)),
    ('flags',), ('global_orient', 'body_pose', 'jaw_pose', 'left_hand_pose', 'right_hand_pose'), BodyModel,
    dict(kind='SMPL-X', gender='neutral'), 'SMPL-X', _person_mesh)
LAYOUTS = {layout.schema: layout for layout in (HANDS, PERSONS)}


class PredictionFileError(ValueError):
    """The file is no prediction of this version, or does not fit the body model; the message says which."""


def save_prediction(predictions: Sequence[Prediction], path: str | Path, model: HandModel | BodyModel, camera: Camera,
                    **provenance) -> tuple[Path, Path]:
    """Write the hands or the persons of one image to PATH.json and PATH.npz atomically and return both paths.

    Args:
        predictions: all of one kind; may be empty (an image with nobody in it).
        path: without suffix; one of the two suffixes is taken off.
        model: what the meshes were made with; its kind says whether these are hands or persons, its hash is recorded.
        camera: of the image.
        provenance: JSON values recorded under their names (source, weights, ...).
    """
    stem = _stem(path)
    layout = next(layout for layout in LAYOUTS.values() if isinstance(model, layout.model))
    head = dict(schema=layout.schema, version=layout.version, units=UNITS, **provenance,
                body_model=dict(layout.model_facts, path=str(model.path.resolve()), sha256=model.sha256),
                camera=dict(focal=_short(camera.focal), princpt=_short(camera.princpt), size=list(camera.size),
                            source=camera.source))
    records = [_record(prediction, layout) for prediction in predictions]
    arrays = {name: np.stack([np.asarray(getattr(p, name), np.float32) for p in predictions]) if predictions
              else np.zeros((0, *shape), np.float32) for name, shape in layout.arrays.items()}
    small = [{name: record[name] for name in (*layout.facts, 'vertices_sha256')} for record in records]
    with atomic_write(stem.with_name(stem.name + '.npz')) as file:
        np.savez(file, meta=np.array(json.dumps({**head, layout.plural: small}, allow_nan=False)), **arrays)
    with atomic_write(stem.with_name(stem.name + '.json'), 'w') as file:  # last: where it is, the other is
        file.write(_readable(json.dumps({**head, layout.plural: records}, indent=1, allow_nan=False)) + '\n')
    return stem.with_name(stem.name + '.json'), stem.with_name(stem.name + '.npz')


def load_prediction(path: str | Path, body_model: HandModel | BodyModel | str | Path | None = None) -> list[Prediction]:
    """The hands, or the persons, of a file that `save_prediction` wrote (.json or .npz; without suffix the .json), vertices
    rebuilt exactly.

    Args:
        body_model: the MANO_RIGHT (for persons SMPL-X) file, its folder, or a loaded model; by default the path that the file
            names.

    Raises:
        PredictionFileError: another schema, a damaged record, or another body model than the prediction was made with.
        FileNotFoundError: the file or the body model is not there.
    """
    head, records, layout = _read(Path(path))
    wanted = head['body_model']
    model = _find_model(body_model, wanted, path, layout)
    if model.sha256 != wanted['sha256']:
        raise PredictionFileError(f'{path} was made with the body model of sha256 {wanted["sha256"]} ({wanted["path"]}), but '
                                  f'{model.path} has {model.sha256}: give the file that it was made with.')
    camera = Camera(np.float32(head['camera']['focal']), np.float32(head['camera']['princpt']), tuple(head['camera']['size']),
                    head['camera']['source'])
    return [_rebuild(record, model, camera, path, layout) for record in records]


def read_provenance(path: str | Path) -> dict:
    """Everything of a prediction's .json or .npz but the hands or persons: schema, image, weights, body model, camera."""
    return _read(Path(path))[0]


def _stem(path: str | Path) -> Path:
    path = Path(path)
    return path.with_suffix('') if path.suffix in ('.json', '.npz') else path


def _record(p: Prediction, layout: Layout) -> dict:
    record = {name: getattr(p, name) for name in layout.facts}
    record.update(flags=list(p.flags), vertices_sha256=vertices_hash(p.vertices))
    record.update({name: _short(getattr(p, name)) for name in layout.arrays})
    for name in layout.rotations:
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


def _read(path: Path) -> tuple[dict, list[dict], Layout]:
    if path.suffix not in ('.json', '.npz'):
        if path.is_file():
            raise PredictionFileError(f'{path} is no prediction: give the .json or .npz that the demo wrote.')
        path = path.with_name(path.name + '.json')
    try:
        arrays = None if path.suffix == '.json' else load_npz(path)
        head = json.loads(path.read_text(encoding='utf-8') if arrays is None else str(arrays['meta']))
        layout = LAYOUTS.get(head['schema'])
        if layout is None or head['version'] != layout.version:
            raise PredictionFileError(f'{path} has the schema {head["schema"]!r} version {head["version"]!r}; this release '
                                      f'reads {[f"{known.schema} version {known.version}" for known in LAYOUTS.values()]}.')
        records = head.pop(layout.plural)
        if arrays is not None:
            records = [dict(small, **{name: arrays[name][i] for name in layout.arrays}) for i, small in enumerate(records)]
        missing = [f'{part}.{key}' for part, keys in NEEDED.items() for key in keys if key not in head[part]]
        if missing:
            raise KeyError(', '.join(missing))
        return head, records, layout
    except (KeyError, IndexError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PredictionFileError(f'{path} is no prediction that this release can read '
                                  f'({type(error).__name__}: {error}).') from error


def _find_model(body_model, wanted: dict, path, layout: Layout) -> HandModel | BodyModel:
    if isinstance(body_model, layout.model):
        return body_model
    if body_model is None and not Path(wanted['path']).exists():
        raise FileNotFoundError(f'{path} was made with the body model {wanted["path"]}, which is not there: pass '
                                f'body_model=, the {layout.model_file} file with sha256 {wanted["sha256"]}.')
    if body_model is not None and not isinstance(body_model, (str, Path)):
        raise ValueError(f'{path} holds {layout.plural}; a {type(body_model).__name__} does not fit: give a '
                         f'{layout.model.__name__} or a path.')
    return layout.model.load(body_model or wanted['path'])


def _rebuild(record: dict, model, camera: Camera, path, layout: Layout) -> Prediction:
    what = layout.plural[:-1]
    try:
        values = {name: np.asarray(record[name], np.float32) for name in layout.arrays}
        facts = {name: record[name] for name in layout.facts}
    except (KeyError, TypeError, ValueError) as error:
        raise PredictionFileError(f'{path} has a damaged record of a {what} ({type(error).__name__}: {error}).') from error
    for name, shape in layout.arrays.items():
        if values[name].shape != shape or not np.isfinite(values[name]).all():
            raise PredictionFileError(f'{path}: {name} of a {what} has the shape {values[name].shape}, expected '
                                      f'{shape}, all finite.')
    vertices, keypoints, faces = layout.rebuild(facts, values, model, path)
    if vertices_hash(vertices) != record.get('vertices_sha256'):
        warnings.warn(f'{path}: the vertices of a {what} are not those that were saved. Either its parameters were '
                      'edited, or this machine rounds differently.')
    values.update({name: float(values[name]) for name, shape in layout.arrays.items() if shape == ()}, keypoints_3d=keypoints)
    return layout.kind(**(values | facts | dict(flags=tuple(facts['flags']), vertices=vertices, faces=faces, camera=camera)))
