"""Everything that is written for the hands of one image: pictures, meshes, and the prediction files last."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hmradapter.apis.hand_mesh import HandModel
from hmradapter.apis.picture_outputs import Outputs, clear_item, save_outputs, shrunk, write_pictures
from hmradapter.apis.prediction import Camera, HandPrediction
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.visualization.drawings import draw_box, draw_joints
from hmradapter.visualization.mesh_files import write_glb, write_obj
from hmradapter.visualization.meshes import SIDE_COLORS, Mesh


def write_hand_outputs(folder: Path, name: str, image: np.ndarray, predictions: Sequence[HandPrediction], camera: Camera,
                       hand_model: HandModel, caster: RayCaster, run: str, base: Sequence[HandPrediction] | None = None,
                       compared: Sequence[list[float]] = (), **provenance) -> Outputs:
    """Write pictures, an OBJ and a GLB per hand, then NAME.npz and NAME.json; files of an earlier run are removed before.

    Args:
        predictions: hands of the image, in the order of their numbers in file names.
        run: `fingerprint` of inputs and settings, by which `reuse_outputs` knows whether anything changed.
        base: predictions of the frozen base for the same boxes, drawn beside; compared: (vertex distance mm, wrist degrees) to
            the base by hand.
        provenance: further JSON values for the prediction files.
    """
    clear_item(folder, name)
    pictures = write_pictures(folder, name, image, _closed(predictions), camera, caster)
    if base is not None:
        drawn = write_pictures(folder, f'{name}_base', image, _closed(base), camera, caster)
        pictures.update({f'base_{kind}': file for kind, file in drawn.items()})
    files = [('JSON', f'{name}.json'), ('NPZ', f'{name}.npz')]
    for i, prediction in enumerate(predictions):
        stem = f'{name}_{i}_{prediction.hand}'
        mesh = hand_to_mesh(prediction)
        write_obj(folder / f'{stem}.obj', mesh)
        write_glb(folder / f'{stem}.glb', {stem: mesh})
        files += [(f'hand {i} OBJ', f'{stem}.obj'), (f'hand {i} GLB', f'{stem}.glb')]
    outputs = Outputs(name, list(predictions), pictures, files, dict(compared=list(compared)))
    return save_outputs(folder, outputs, hand_model, camera, run, **provenance)


def hand_to_mesh(prediction: HandPrediction) -> Mesh:
    """The hand where it stands before the camera, in its side's colour."""
    return Mesh(prediction.vertices_camera, prediction.faces, SIDE_COLORS[prediction.hand])


def _closed(predictions: Sequence[HandPrediction]) -> list[Mesh]:
    return [hand_to_mesh(prediction).closed() for prediction in predictions]


def draw_hands(image: np.ndarray, predictions: Sequence[HandPrediction], skeleton: bool = False) -> np.ndarray:
    """The image with numbered boxes and, if asked, the projected joints; shrunk to PICTURE_SIZE."""
    small, factor = shrunk(image)
    for i, prediction in enumerate(predictions):
        color = tuple(int(255 * channel) for channel in SIDE_COLORS[prediction.hand])
        small = draw_box(small, prediction.box_xyxy * factor, color, f'{i} {prediction.hand}')
        if skeleton and not prediction.flags:
            small = draw_joints(small, prediction.keypoints_2d * factor)
    return small
