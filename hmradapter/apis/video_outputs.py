"""Everything that is written for a video: a film with the meshes, an animated GLB, a BVH per person, motions as arrays."""
import json
from collections.abc import Sequence
from pathlib import Path

from hmradapter.apis.body_mesh import BodyModel
from hmradapter.apis.person_outputs import scene_record
from hmradapter.apis.picture_outputs import all_there, clear_item
from hmradapter.apis.prediction import Camera
from hmradapter.apis.run import Progress, silent
from hmradapter.apis.sources import FrameSource
from hmradapter.apis.tracking import Track
from hmradapter.apis.video_film import VIEW_PICTURE, Film, draw_film
from hmradapter.apis.video_motion import Sightings, save_motions
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.visualization.animated_glb import write_animated_glb
from hmradapter.visualization.bvh import write_bvh
from hmradapter.visualization.motion import Motion
from hmradapter.visualization.viewer import store_scene


def write_video_outputs(folder: Path, name: str, video: FrameSource, seen: Sightings, tracks: Sequence[Track],
                        motions: Sequence[Motion], camera: Camera, body_model: BodyModel, run: str, formats: Sequence[str],
                        caster: RayCaster | None = None, scenes: Path | None = None, progress: Progress = silent,
                        compared: Film | None = None, **provenance) -> dict:
    """Write NAME.glb, NAME_<person>.bvh, NAME.mp4 and stills of it, then NAME.npz and NAME.json, whose content is returned.
    Files of an earlier run are removed before.

    Args:
        video: it is read once more, up to the last frame that is in `seen`.
        run: `fingerprint` of inputs and settings.
        formats: 'glb' among them writes the animated GLB.
        compared: the same video in another row of the results, drawn beside it.
        caster: draws the film; None draws nothing.  scenes: folder for the 3D view's files; None makes none.
    """
    clear_item(folder, name)
    files, pictures, stored = [('JSON', f'{name}.json'), ('NPZ', f'{name}.npz')], {}, None
    if motions and 'glb' in formats:
        write_animated_glb(folder / f'{name}.glb', motions, body_model.layer)
        files.append(('animated GLB', f'{name}.glb'))
    for number, motion in enumerate(motions):
        write_bvh(folder / f'{name}_{number}.bvh', motion, body_model.layer)
        files.append((f'person {number} BVH', f'{name}_{number}.bvh'))
    if caster is not None:
        pictures, scene = draw_film(folder, name, Film(video, seen, tracks, motions, body_model), camera, caster, progress,
                                    compared)
        files.insert(0, ('MP4', f'{name}.mp4'))
        stored = None if scene is None or scenes is None else store_scene(scene, scenes, VIEW_PICTURE)
    facts = dict(focal=camera.focal.tolist(), princpt=camera.princpt.tolist(), size=list(camera.size), source=camera.source)
    save_motions(folder / name, tracks, motions, seen, body_model, camera=facts, run=run, pictures=pictures, files=files,
                 scene=scene_record(stored), **provenance)
    return read_video_record(folder, name, run)


def read_video_record(folder: Path, name: str, run: str) -> dict | None:
    """The content of a video's NAME.json, if it was made by this `run` and all its files are there; else None."""
    try:
        found = json.loads((folder / f'{name}.json').read_text(encoding='utf-8'))
        return found if found['run'] == run and all_there(folder, found) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
