"""EHF's files as arrays: meshes, OpenPose's joints, and the boxes that others distribute; `ehf` says where they lie."""
from pathlib import Path

import numpy as np
import trimesh

from hmradapter.fileio import DamagedFileError, load_json
from hmradapter.structures.joints import HAND21_FROM_SMPLX144, SMPLX144_FROM_OPENPOSE25, SMPLX144_FROM_OPENPOSE_FACE

from ..finite import finite_rows

# OpenPose's joints of people[0]: how many, and which of SMPLX144 they are.
OPENPOSE = {'pose': (25, SMPLX144_FROM_OPENPOSE25), 'face': (70, SMPLX144_FROM_OPENPOSE_FACE),
            **{f'hand_{side}': (21, HAND21_FROM_SMPLX144[side]) for side in ('left', 'right')}}
BOXES = dict(body_bbox='has_bbox_body', lefthand_bbox='has_bbox_left_hand', righthand_bbox='has_bbox_right_hand',
             face_bbox='has_bbox_face')


def read_mesh(path: Path) -> np.ndarray:
    """Vertices (V, 3) float32 of a `.ply`, metres, in their order."""
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist.')
    try:
        mesh = trimesh.load(path, file_type='ply', process=False)  # or else vertices would be merged and sorted
        vertices = np.asarray(mesh.vertices, dtype=np.float32)
    except Exception as error:  # the parser raises many kinds on damaged bytes
        raise DamagedFileError(path, 'a PLY mesh', error) from error
    if vertices.ndim != 2 or vertices.shape[1:] != (3,) or not len(vertices) or not np.isfinite(vertices).all():
        raise DamagedFileError(path, 'a PLY mesh', f'its vertices have the shape {vertices.shape} or are not finite')
    return vertices


def read_openpose(path: Path) -> np.ndarray:
    """SMPLX144 (144, 3) px with confidence, of the first person; zeros for what OpenPose does not have."""
    content = load_json(path)
    joints = np.zeros((144, 3), np.float32)
    try:
        person = content['people'][0]
        for name, (count, order) in OPENPOSE.items():
            key = next(key for key in (f'{name}_keypoints_2d', f'{name}_keypoints', name) if key in person)
            found = np.asarray(person[key], dtype=np.float64).reshape(count, 3)
            if not finite_rows(found).all():
                raise ValueError(f'{key} has a value that is not finite')
            chosen = [(joint, row) for row, joint in enumerate(order) if joint >= 0]
            if name.startswith('hand'):
                chosen = chosen[1:]  # the wrist is the body's
            to, rows = (list(column) for column in zip(*chosen, strict=True))
            joints[to] = found[rows]
    except (KeyError, IndexError, TypeError, ValueError, StopIteration) as error:
        raise DamagedFileError(path, 'OpenPose\'s joints of a person', error) from error
    joints[:, 2] = joints[:, 2].clip(0, 1)
    joints[joints[:, 2] == 0] = 0
    return joints


def read_boxes(path: Path) -> dict[str, dict]:
    """{name: {'file_name', and of BOXES those that cover something: xywh (4,) px}} of EHF.json."""
    content = load_json(path)
    frames: dict[str, dict] = {}
    try:
        names = {}
        for image in content['images']:
            name = str(image['file_name']).rsplit('/', 1)[-1].split('_')[0]
            names[image['id']] = name
            frames[name] = dict(file_name=str(image['file_name']))
        for annotation in content['annotations']:
            frame = frames[names[annotation['image_id']]]
            for place in BOXES:
                box = np.asarray(annotation.get(place) or np.zeros(4), dtype=np.float64).reshape(4)
                if np.isfinite(box).all() and (box[2:] > 0).all():
                    frame[place] = box
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFileError(path, 'EHF\'s boxes (COCO style)', error) from error
    return frames
