"""What the outputs of hands, of persons and of videos have in common: pictures of meshes, and the record of a finished item.

All files of an item begin with its name. NAME.json is written last, so that its presence says "complete"; it holds the item's
`fingerprint`, its files and its pictures, by which a later run knows whether anything is left to do, and what to clear away.
"""
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from hmradapter.apis.body_mesh import BodyModel
from hmradapter.apis.hand_mesh import HandModel
from hmradapter.apis.prediction import Camera
from hmradapter.apis.prediction_files import Prediction, PredictionFileError, load_prediction, read_provenance, save_prediction
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.visualization.drawings import side_by_side
from hmradapter.visualization.encoding import write_image
from hmradapter.visualization.meshes import Mesh, fit_inside, overlay, side_view

PICTURE_SIZE = 1600  # longer side of written overlays, px
SIDE_VIEW_SIZE = 384


@dataclass
class Outputs:
    """What lies in the folder for one image.

    pictures: {'overlay': file name, 'side': ..., and those of a comparison}.
    files: (label, file name) of meshes and parameters.
    facts: further JSON values that its file holds and a page shows, such as a comparison's numbers.
    """
    name: str
    predictions: list[Prediction]
    pictures: dict[str, str]
    files: list[tuple[str, str]]
    facts: dict = field(default_factory=dict)


def fingerprint(*parts) -> str:
    """sha256 over JSON values (and bytes): two runs with the same parts make the same outputs."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=_as_list).encode())
        digest.update(b'|')
    return digest.hexdigest()


def _as_list(value):
    return value.tolist() if isinstance(value, np.ndarray) else str(value)


def save_outputs(folder: Path, outputs: Outputs, model: HandModel | BodyModel, camera: Camera, run: str,
                 **provenance) -> Outputs:
    """Write NAME.npz and then NAME.json, after all other files of the image.

    run: `fingerprint` of inputs and settings.  provenance: further JSON values for the prediction files."""
    save_prediction(outputs.predictions, folder / outputs.name, model, camera, run=run, pictures=outputs.pictures,
                    files=outputs.files, **outputs.facts, **provenance)
    return outputs


def reuse_outputs(folder: Path, name: str, run: str, model: HandModel | BodyModel,
                  facts: Sequence[str] = ()) -> Outputs | None:
    """The outputs of an earlier run with the same fingerprint, if all of them are there; else None."""
    path = folder / f'{name}.json'
    if not path.is_file():
        return None
    try:
        found = read_provenance(path)
        if found.get('run') != run or not all_there(folder, found):
            return None
        files = [tuple(pair) for pair in found['files']]
        return Outputs(name, load_prediction(path, model), found['pictures'], files, {fact: found[fact] for fact in facts})
    except (PredictionFileError, KeyError, TypeError, ValueError):
        return None  # written by something else: it is made anew


def all_there(folder: Path, record: dict) -> bool:
    """Whether every file that an item's record names is in the folder."""
    return all((folder / file).is_file() for file in [*record['pictures'].values(), *(file for _, file in record['files'])])


def clear_item(folder: Path, name: str) -> None:
    """Delete what an earlier run wrote for an item, before it is made anew: the files that NAME.json records, only plain names
    that begin with the item's and never a path out of the folder, and NAME.json itself last. A run that stops half-way so
    leaves no record that names files of two runs."""
    path = folder / f'{name}.json'
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
        names = {*found['pictures'].values(), *(file for _, file in found['files'])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    for file in names - {path.name}:
        if isinstance(file, str) and file == Path(file).name and file.startswith(name):
            (folder / file).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def write_pictures(folder: Path, name: str, image: np.ndarray, meshes: Sequence[Mesh], camera: Camera,
                   caster: RayCaster) -> dict[str, str]:
    """Meshes over the image, and each of them from the side; names of the files by kind, 'overlay' and 'side'."""
    small, factor = shrunk(image)
    K = np.diag([factor, factor, 1.0]) @ camera.K
    pictures = dict(overlay=f'{name}_overlay.jpg')
    write_image(folder / pictures['overlay'], overlay(small, meshes, K, caster))
    if meshes:
        pictures['side'] = f'{name}_side.jpg'
        write_image(folder / pictures['side'], side_by_side([side_view(mesh, SIDE_VIEW_SIZE, caster) for mesh in meshes]))
    return pictures


def shrunk(image: np.ndarray, size: int = PICTURE_SIZE) -> tuple[np.ndarray, float]:
    """The picture with at most `size` px a side, and by what it was scaled."""
    small = fit_inside(image, size)
    return small, small.shape[1] / image.shape[1]


def read_output_picture(folder: Path, file: str) -> np.ndarray:
    """A picture that was written here, (H, W, 3) uint8 BGR."""
    image = cv2.imread(str(folder / file))
    if image is None:
        raise ValueError(f'{folder / file} is damaged: remove it and run again.')
    return image
