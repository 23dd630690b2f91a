"""Everything that is written for the persons of one image: pictures, meshes, and the prediction files last."""
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hmradapter.apis.body_mesh import BodyModel
from hmradapter.apis.inferencer import FrameResult
from hmradapter.apis.persons import OURS
from hmradapter.apis.picture_outputs import Outputs, clear_item, save_outputs, shrunk, write_pictures
from hmradapter.apis.prediction import Camera, PersonPrediction
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.visualization.animated_glb import COLORS
from hmradapter.visualization.drawings import draw_box
from hmradapter.visualization.mesh_files import write_glb, write_obj, write_ply
from hmradapter.visualization.meshes import Mesh
from hmradapter.visualization.viewer import Scene3D, StoredScene, store_scene

FORMATS = ('obj', 'ply', 'glb')
FACTS = ('boxes_from', 'timings', 'scene')  # what a page needs besides predictions and pictures
ROW_TITLES = dict(ours='ours', combined='experts combined', expert='whole-body expert')
WRITERS = dict(obj=write_obj, ply=write_ply)


def write_person_outputs(folder: Path, name: str, result: FrameResult, body_model: BodyModel, run: str,
                         formats: Sequence[str] = FORMATS, caster: RayCaster | None = None,
                         scenes: Path | None = None, **provenance) -> Outputs:
    """Write pictures, meshes, then NAME.npz and NAME.json; files of an earlier run are removed before.

    Args:
        result: of an image; its row 'ours' is what is written, other rows are drawn beside it.
        run: `fingerprint` of inputs and settings, by which `reuse_outputs` knows whether anything changed.
        formats: of FORMATS; one GLB holds all persons, OBJ and PLY are a file each.
        caster: draws the pictures; None writes none.
        scenes: folder for the 3D view's files; None makes no view.
        provenance: further JSON values for the prediction files.
    """
    image, persons = result.frame.image, result.persons
    clear_item(folder, name)
    pictures = {}
    for row, people in result.rows.items() if caster is not None else ():
        drawn = write_pictures(folder, name if row == OURS else f'{name}_{row}', image, person_meshes(people), result.camera,
                               caster)
        pictures.update({kind if row == OURS else f'{row}_{kind}': file for kind, file in drawn.items()})
    files = [('JSON', f'{name}.json'), ('NPZ', f'{name}.npz'), *_write_meshes(folder, name, person_meshes(persons), formats)]
    scene = None if scenes is None else scene_of(result.rows, result.camera, image)
    stored = None if scene is None else store_scene(scene, scenes)
    facts = dict(boxes_from=result.boxes_from, timings={key: round(value, 3) for key, value in result.timings.items()},
                 scene=scene_record(stored))
    return save_outputs(folder, Outputs(name, list(persons), pictures, files, facts), body_model, result.camera, run,
                        **provenance)


def person_meshes(persons: Sequence[PersonPrediction]) -> list[Mesh]:
    """Persons where they stand before the camera, each in a colour of its own."""
    return [Mesh(person.vertices_camera, person.faces, person_color(i)) for i, person in enumerate(persons)]


def person_color(number: int) -> tuple[float, float, float]:
    """RGB in 0..1 of person `number`; pictures, 3D views and animated GLBs agree on it."""
    return COLORS[number % len(COLORS)]


def draw_persons(image: np.ndarray, persons: Sequence[PersonPrediction]) -> np.ndarray:
    """The image with numbered boxes of persons and thin ones of the hands that the hand expert read; shrunk to PICTURE_SIZE."""
    small, factor = shrunk(image)
    for i, person in enumerate(persons):
        color = tuple(int(255 * channel) for channel in person_color(i))
        for box in person.hand_boxes[(person.hand_boxes[:, 2:] > person.hand_boxes[:, :2]).all(1)]:
            small = draw_box(small, box * factor, color)
        small = draw_box(small, person.box_xyxy * factor, color, str(i))
    return small


def scene_of(rows: Mapping[str, Sequence[PersonPrediction]], camera: Camera, image: np.ndarray | None) -> Scene3D | None:
    """The persons in 3D with the rows as variants; None where nobody stands before the camera."""
    meshes = {ROW_TITLES[row]: [mesh for mesh in person_meshes(people) if mesh.in_front] for row, people in rows.items()}
    return Scene3D.still(meshes, camera.K, camera.size, image) if any(meshes.values()) else None


def scene_record(stored: StoredScene | None) -> dict | None:
    """What a record keeps of a 3D view, as JSON values."""
    return None if stored is None else dict(files=list(stored.files), spec=stored.spec)


def stored_scene(record: dict | None, folder: Path) -> StoredScene | None:
    """The 3D view of a record.

    Raises:
        FileNotFoundError: a file of it is gone from the folder.
    """
    if record is None:
        return None
    gone = [file for file in record['files'] if not (folder / file).is_file()]
    if gone:
        raise FileNotFoundError(f'{folder} lacks {gone}.')
    return StoredScene(folder, tuple(record['files']), record['spec'])


def _write_meshes(folder: Path, name: str, meshes: Sequence[Mesh], formats: Sequence[str]) -> list[tuple[str, str]]:
    files = []
    if 'glb' in formats and meshes:
        write_glb(folder / f'{name}.glb', {f'person_{i}': mesh for i, mesh in enumerate(meshes)})
        files.append(('GLB', f'{name}.glb'))
    for i, mesh in enumerate(meshes):
        for kind in (kind for kind in WRITERS if kind in formats):
            WRITERS[kind](folder / f'{name}_{i}.{kind}', mesh)
            files.append((f'person {i} {kind.upper()}', f'{name}_{i}.{kind}'))
    return files
