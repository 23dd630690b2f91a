"""Everything that is written for one image: pictures, meshes, and the prediction files last, whose presence says "complete"."""
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hmradapter.apis.hand_mesh import HandModel
from hmradapter.apis.prediction import Camera, HandPrediction
from hmradapter.apis.prediction_files import PredictionFileError, load_prediction, read_provenance, save_prediction
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.visualization.drawings import draw_box, draw_joints, side_by_side
from hmradapter.visualization.encoding import write_image
from hmradapter.visualization.mesh_files import write_glb, write_obj
from hmradapter.visualization.meshes import SIDE_COLORS, Mesh, fit_inside, overlay, side_view

PICTURE_SIZE = 1600  # longer side of written overlays, px
SIDE_VIEW_SIZE = 384


@dataclass
class ImageOutputs:
    """What lies in the folder for one image.

    pictures: {'overlay': file name, 'side': ..., and with a comparison 'base_overlay', 'base_side'}.
    files: (label, file name) of meshes and parameters.
    compared: (vertex distance mm, wrist degrees) to the base by hand; empty without a comparison.
    """
    name: str
    predictions: list[HandPrediction]
    pictures: dict[str, str]
    files: list[tuple[str, str]]
    compared: list[list[float]]


def fingerprint(*parts) -> str:
    """sha256 over JSON values (and bytes): two runs with the same parts make the same outputs."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=_as_list).encode())
        digest.update(b'|')
    return digest.hexdigest()


def _as_list(value):
    return value.tolist() if isinstance(value, np.ndarray) else str(value)


def write_outputs(folder: Path, name: str, image: np.ndarray, predictions: Sequence[HandPrediction], camera: Camera,
                  hand_model: HandModel, caster: RayCaster, run: str, base: Sequence[HandPrediction] | None = None,
                  compared: Sequence[list[float]] = (), **provenance) -> ImageOutputs:
    """Write pictures, an OBJ and a GLB per hand, then NAME.json and NAME.npz; files of an earlier run that are not made again
    are removed.

    Args:
        predictions: hands of the image, in the order of their numbers in file names.
        run: `fingerprint` of inputs and settings, by which `reuse_outputs` knows whether anything changed.
        base: predictions of the frozen base for the same boxes, drawn beside; compared: see `ImageOutputs`.
        provenance: further JSON values for the prediction files.
    """
    stale = _recorded_files(folder / f'{name}.json')
    pictures = _write_pictures(folder, name, image, predictions, camera, caster)
    if base is not None:
        drawn = _write_pictures(folder, f'{name}_base', image, base, camera, caster)
        pictures.update({f'base_{kind}': file for kind, file in drawn.items()})
    files = [('JSON', f'{name}.json'), ('NPZ', f'{name}.npz')]
    for i, prediction in enumerate(predictions):
        stem = f'{name}_{i}_{prediction.hand}'
        mesh = hand_to_mesh(prediction)
        write_obj(folder / f'{stem}.obj', mesh)
        write_glb(folder / f'{stem}.glb', {stem: mesh})
        files += [(f'hand {i} OBJ', f'{stem}.obj'), (f'hand {i} GLB', f'{stem}.glb')]
    for file in stale - {file for _, file in files} - set(pictures.values()):
        (folder / file).unlink(missing_ok=True)
    save_prediction(predictions, folder / name, hand_model, camera, run=run, pictures=pictures, files=files,
                    compared=list(compared), **provenance)
    return ImageOutputs(name, list(predictions), pictures, files, list(compared))


def reuse_outputs(folder: Path, name: str, run: str, hand_model: HandModel) -> ImageOutputs | None:
    """The outputs of an earlier run with the same fingerprint, if all of them are there; else None."""
    path = folder / f'{name}.json'
    if not path.is_file():
        return None
    try:
        found = read_provenance(path)
        if found.get('run') != run:
            return None
        pictures, files = found['pictures'], [tuple(pair) for pair in found['files']]
        if not all((folder / file).is_file() for file in [*pictures.values(), *(file for _, file in files)]):
            return None
        return ImageOutputs(name, load_prediction(path, hand_model), pictures, files, found['compared'])
    except (PredictionFileError, KeyError, TypeError, ValueError):
        return None  # written by something else: it is made anew


def hand_to_mesh(prediction: HandPrediction) -> Mesh:
    """The hand where it stands before the camera, in its side's colour."""
    return Mesh(prediction.vertices_camera, prediction.faces, SIDE_COLORS[prediction.hand])


def draw_input(image: np.ndarray, predictions: Sequence[HandPrediction], skeleton: bool = False) -> np.ndarray:
    """The image with numbered boxes and, if asked, the projected joints; shrunk to PICTURE_SIZE."""
    small, factor = _shrunk(image)
    for i, prediction in enumerate(predictions):
        color = tuple(int(255 * channel) for channel in SIDE_COLORS[prediction.hand])
        small = draw_box(small, prediction.box_xyxy * factor, color, f'{i} {prediction.hand}')
        if skeleton and not prediction.flags:
            small = draw_joints(small, prediction.keypoints_2d * factor)
    return small


def _write_pictures(folder: Path, name: str, image: np.ndarray, predictions: Sequence[HandPrediction], camera: Camera,
                    caster: RayCaster) -> dict[str, str]:
    small, factor = _shrunk(image)
    K = np.diag([factor, factor, 1.0]) @ camera.K
    closed = [hand_to_mesh(prediction).closed() for prediction in predictions]
    pictures = dict(overlay=f'{name}_overlay.jpg')
    write_image(folder / pictures['overlay'], overlay(small, closed, K, caster))
    if closed:
        pictures['side'] = f'{name}_side.jpg'
        write_image(folder / pictures['side'], side_by_side([side_view(mesh, SIDE_VIEW_SIZE, caster) for mesh in closed]))
    return pictures


def _shrunk(image: np.ndarray) -> tuple[np.ndarray, float]:
    small = fit_inside(image, PICTURE_SIZE)
    return small, small.shape[1] / image.shape[1]


def _recorded_files(path: Path) -> set[str]:
    """Names of the files that an earlier run wrote for this image; only plain names, never a path out of the folder."""
    if not path.is_file():
        return set()
    try:
        found = read_provenance(path)
        names = [*found['pictures'].values(), *(file for _, file in found['files'])]
    except (PredictionFileError, KeyError, TypeError, ValueError, AttributeError):
        return set()
    return {file for file in names if isinstance(file, str) and file == Path(file).name and file.startswith(path.stem)}


def read_output_picture(folder: Path, file: str) -> np.ndarray:
    """A picture that was written here, (H, W, 3) uint8 BGR."""
    image = cv2.imread(str(folder / file))
    if image is None:
        raise ValueError(f'{folder / file} is damaged: remove it and run again.')
    return image
