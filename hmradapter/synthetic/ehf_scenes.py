"""An open EHF: single poses of whole people with expressions and articulated hands, seen by EHF's camera."""
import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models import OPEN_ROOT, SMPLXLayer, require_open_body_models
from hmradapter.body_models.smplx_layer import POSE_PARTS
from hmradapter.synthetic import ehf_layout as layout
from hmradapter.synthetic.backdrop import make_backdrop
from hmradapter.synthetic.body_motion import separate_poses
from hmradapter.synthetic.cameras import Camera
from hmradapter.synthetic.people import Person, make_person
from hmradapter.synthetic.runs import alone_in, check_recipe, run, stream
from hmradapter.synthetic.scene import WORLD_FROM_STAGE, Scene, WorldMotion, put_in_world
from hmradapter.synthetic.scenery import floor, stool

RECIPE = 'open_world.json'
VERSION = 1     # of what the same arguments give
_MARGIN = 0.03  # of the image that stays free around a person
_YAW = 0.9      # radians to either side of facing the camera


@dataclass(frozen=True)
class EHFRecipe:
    """frames: images; subjects take turns in them and occur in no other open data set."""
    frames: int = 100
    subjects: int = 5
    seed: int = 0
    body_models: str = str(OPEN_ROOT)

    def __post_init__(self):
        if self.frames < 1 or self.subjects < 1:
            raise ValueError(f'{self}: frames and subjects must be at least 1.')

    def names(self) -> list[str]:
        """'01', '02', ..."""
        return [f'{k:02d}' for k in range(1, self.frames + 1)]


def generate_ehf(recipe: EHFRecipe, out: Path, workers: int = 1, progress: Callable | None = None,
                 device: str = 'cpu') -> dict[str, float]:
    """Make what is missing below `out`; see `runs.run`."""
    require_open_body_models(recipe.body_models)
    check_recipe(dict(asdict(recipe), layout='ehf', version=VERSION, body_models=Path(recipe.body_models).name), out,
                 out / RECIPE)
    with alone_in(out, out / RECIPE):
        missing = [name for name in recipe.names() if not all(path.is_file() for path in layout.paths(out, name).values())]
        made = run(functools.partial(make_frame, recipe, out, device=device), missing, workers, progress)
        layout.write_annotations(out, recipe.names(), {name: layout.part_boxes(out, name) for name in recipe.names()})
    return made


def make_frame(recipe: EHFRecipe, out: Path, name: str, device: str = 'cpu') -> int:
    """Make one image with its files; returns 1, their number."""
    person = _person(recipe, (int(name) - 1) % recipe.subjects)
    rng = stream(recipe.seed, 'ehf', name)
    whole = separate_poses(person, 1, rng, _YAW)
    world = put_in_world(person, whole.motion)
    pelvis = world.transl + person.at('pelvis')
    seated = np.array([kind == 'sit' for kind in whole.kinds])
    props = (floor(rng), stool(world.vertices, pelvis, world.rotations[:, 0], seated, rng))
    scene = Scene(person, world, None, layout.SIZE, rng, 0.0, device, props)
    scanner_from_world = place_before_camera(scene.points[0, :len(person.template)], rng)
    camera = layout.scanner_camera()
    image, _ = scene.photograph(0, Camera(camera.K, camera.world_to_cam @ scanner_from_world, layout.SIZE),
                                make_backdrop(layout.SIZE, rng))
    vertices, joints = posed(person, world)
    turn, shift = scanner_from_world[:3, :3], scanner_from_world[:3, 3]
    layout.write_frame(out, name, image, vertices[0] @ turn.T + shift, person.faces, joints[0] @ turn.T + shift)
    return 1


def place_before_camera(vertices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(4, 4) from world to scanner, by which the person, vertices (V, 3) world, stands upright and whole in EHF's image."""
    camera, turn = layout.scanner_camera(), WORLD_FROM_STAGE.T
    upright = vertices @ turn.T
    middle = (upright.min(axis=0) + upright.max(axis=0)) / 2
    aside = rng.uniform(-0.15, 0.15)
    free = _MARGIN * np.array(layout.SIZE)
    for depth in np.arange(1.8, 8.0, 0.05):
        wanted = np.array([aside, 0.0, depth])  # camera frame: the middle of the person
        shift = layout.ROTATION.T @ (wanted - layout.TRANSLATION) - middle
        pixels = camera.project(upright + shift)
        if (pixels > free).all() and (pixels < np.array(layout.SIZE) - free).all():
            break
    else:
        raise ValueError(f'a person of {np.ptp(upright, axis=0).round(2).tolist()} m does not fit into the image at 8 m.')
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, shift
    return matrix


def posed(person: Person, world: WorldMotion) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (T, V, 3) and SMPLX144 (T, 144, 3), world frame."""
    parts = torch.from_numpy(world.rotations.astype(np.float32)).split(tuple(POSE_PARTS.values()), dim=1)
    face = None if world.expression is None else torch.from_numpy(world.expression.astype(np.float32))
    with torch.no_grad():
        body = person.layer(**dict(zip(POSE_PARTS, parts, strict=True)), expression=face,
                            transl=torch.from_numpy(world.transl.astype(np.float32)))
    return body.vertices.numpy().astype(np.float64), body.joints.numpy().astype(np.float64)


@functools.lru_cache(maxsize=8)
def _person(recipe: EHFRecipe, index: int) -> Person:
    layers = {gender: SMPLXLayer(recipe.body_models, gender) for gender in ('male', 'female')}
    return make_person(f'ehf{index + 1:02d}', layers, stream(recipe.seed, 'person', f'ehf{index + 1:02d}'))
