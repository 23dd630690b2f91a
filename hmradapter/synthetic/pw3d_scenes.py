"""An open 3DPW: one or two people in motion before a moving camera; bodies that SMPL describes exactly (see `pw3d_layout`)."""
import dataclasses
import functools
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models import OPEN_ROOT, SMPLLayer, SMPLXLayer, require_open_body_models
from hmradapter.synthetic import pw3d_layout as layout
from hmradapter.synthetic.backdrop import make_backdrop
from hmradapter.synthetic.body_motion import continuous_motion
from hmradapter.synthetic.cameras import Camera, look
from hmradapter.synthetic.curves import random_curve, rotvecs, turns
from hmradapter.synthetic.ehf_scenes import posed
from hmradapter.synthetic.people import Person, join_people, make_person
from hmradapter.synthetic.postures import draw_kinds
from hmradapter.synthetic.runs import alone_in, check_recipe, jpeg, run, stream
from hmradapter.synthetic.scene import Scene, WorldMotion, put_in_world
from hmradapter.synthetic.scenery import floor, stool

RECIPE = 'open_world.json'
VERSION = 1        # of what the same arguments give
_APART = 0.6       # metres from the middle to either of two people
_WRONG = 0.06      # radians by which cameras are off that are not valid
_INVALID = 0.1     # share of frames with such cameras


@dataclass(frozen=True)
class PW3DRecipe:
    """sequences by split; frames of each, 5 a second; size (width, height) of upright images: every other one lies."""
    train: int = 2
    validation: int = 1
    test: int = 4
    frames: int = 20
    size: tuple[int, int] = (540, 960)
    seed: int = 0
    body_models: str = str(OPEN_ROOT)

    def __post_init__(self):
        if min(self.train, self.validation, self.test) < 0 or self.train + self.validation + self.test < 1 or self.frames < 1:
            raise ValueError(f'{self}: give at least one sequence and one frame.')

    def sequences(self) -> dict[str, list[str]]:
        """Names by split; the second, fourth, ... show two people."""
        return {split: [f'open_{split}_{k:02d}' for k in range(getattr(self, split))] for split in layout.SPLITS}


def generate_pw3d(recipe: PW3DRecipe, out: Path, workers: int = 1, progress: Callable | None = None,
                  device: str = 'cpu') -> dict[str, float]:
    """Make what is missing below `out`; see `runs.run`."""
    require_open_body_models(recipe.body_models)
    check_recipe(dict(asdict(recipe), layout='3dpw', version=VERSION, body_models=Path(recipe.body_models).name), out,
                 out / RECIPE)
    with alone_in(out, out / RECIPE):
        for stale in (out / 'imageFiles').glob('.partial-*'):
            shutil.rmtree(stale)
        missing = [f'{split}/{name}' for split, names in recipe.sequences().items() for name in names
                   if not (layout.image_folder(out, name).is_dir() and layout.sequence_path(out, split, name).is_file())]
        return run(functools.partial(make_sequence, recipe, out, device=device), missing, workers, progress)


def make_sequence(recipe: PW3DRecipe, out: Path, sequence: str, device: str = 'cpu') -> int:
    """Make one sequence '<split>/<name>' and return its number of images; they are put in place last."""
    split, name = sequence.split('/')
    rng, number = stream(recipe.seed, 'pw3d', name), int(name[-2:])
    size = recipe.size[::-1] if number % 2 else recipe.size  # two people need the width
    people = [_person(recipe, f'{name}-{k}') for k in range(1 + number % 2)]
    worlds, props = [], [floor(rng)]
    for k, person in enumerate(people):
        motion = continuous_motion(person, draw_kinds(1, rng)[0], recipe.frames, rng, rng.uniform(-1.2, 1.2), flat_hands=True)
        motion.motion.transl[:, 0] += _APART * (2 * k - 1) * (len(people) - 1)
        world = put_in_world(person, motion.motion)
        seated = np.array([kind == 'sit' for kind in motion.kinds])
        props.append(stool(world.vertices, world.transl + person.at('pelvis'), world.rotations[:, 0], seated, rng))
        worlds.append(world)
    together = dataclasses.replace(worlds[0], vertices=np.concatenate([world.vertices for world in worlds], axis=1))
    scene = Scene(join_people(people), together, None, size, rng, 0.0, device, props)
    cameras = moving_camera(recipe.frames, together.vertices.mean(axis=1), size, 1.0 if len(people) == 1 else 2.8, rng)
    folder = layout.image_folder(out, name)
    partial = folder.with_name(f'.partial-{name}')
    for old in (partial, folder):
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir(parents=True)
    backdrop = make_backdrop(size, rng)
    for frame, camera in enumerate(cameras):
        (partial / layout.image_name(frame)).write_bytes(jpeg(scene.photograph(frame, camera, backdrop)[0]))
    actors = [_actor(recipe, person, world, cameras) for person, world in zip(people, worlds, strict=True)]
    valid = rng.uniform(size=recipe.frames) >= _INVALID
    valid[rng.integers(recipe.frames)] = recipe.frames < 3  # at least one is not, and is really off
    told = np.stack([camera.world_to_cam for camera in cameras])
    off = np.tile(np.eye(4), (recipe.frames, 1, 1))
    off[~valid, :3, :3] = turns(rng.choice((-_WRONG, _WRONG), (int((~valid).sum()), 3)))
    layout.write_sequence(out, split, name, actors, off @ told, cameras[0].K, valid, size)
    partial.rename(folder)
    return recipe.frames


def moving_camera(num_frames: int, centre: np.ndarray, size: tuple[int, int], width: float,
                  rng: np.random.Generator) -> list[Camera]:
    """A hand-held camera that looks at about `centre` (T, 3), world, from the front half; an image shows 2.3 to 2.8 m of height
    and at least `width` metres."""
    shown = max(rng.uniform(2.3, 2.8), width * size[1] / size[0])
    focal = max(size) * rng.uniform(0.95, 1.25)
    K = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1]])
    azimuth = rng.uniform(-1.2, 1.2) + random_curve(rng, num_frames, -0.2, 0.2, 10)
    height = rng.uniform(1.0, 1.9) + random_curve(rng, num_frames, -0.08, 0.08, 6)
    far = shown * focal / size[1] * (1 + random_curve(rng, num_frames, -0.04, 0.12, 10))
    mean = centre.mean(axis=0)
    middle = np.array([mean[0], mean[1], 0.95]) + 0.9 * (centre - mean) * (1, 1, 0)  # it follows, not quite
    target = middle + random_curve(rng, num_frames, -0.06, np.full(3, 0.06), 5)
    roll = random_curve(rng, num_frames, -0.05, 0.05, 6)
    eye = middle + far[:, None] * np.stack([np.sin(azimuth), -np.cos(azimuth), np.zeros(num_frames)], axis=-1)
    eye[:, 2] = height
    return [Camera(K, look(*place), size) for place in zip(eye, target, roll, strict=True)]


def _actor(recipe: PW3DRecipe, person: Person, world: WorldMotion, cameras: list[Camera]) -> layout.Actor:
    """The SMPL annotation of a person, from the SMPL-X body: the same 22 joints and betas, hands at rest."""
    rotations = np.concatenate([world.rotations[:, :22], np.tile(np.eye(3), (len(world.rotations), 2, 1, 1))], axis=1)
    smpl = _smpl(recipe.body_models, person.gender)
    betas = torch.from_numpy(person.betas)[None]
    turn = torch.from_numpy(rotations.astype(np.float32))
    with torch.no_grad():
        body = smpl(turn[:, :1], turn[:, 1:], betas.expand(len(turn), -1), torch.from_numpy(world.transl.astype(np.float32)))
        rest = smpl(torch.eye(3).expand(1, 1, 3, 3), torch.eye(3).expand(1, 23, 3, 3), betas).vertices[0]
    joints = posed(person, world)[1]
    pixels = np.stack([camera.project(points) for camera, points in zip(cameras, joints, strict=True)])
    return layout.Actor(person.gender, rotvecs(rotations), world.transl, person.betas, body.joints.numpy(), rest.numpy(),
                        pixels)


@functools.lru_cache(maxsize=4)
def _person(recipe: PW3DRecipe, name: str) -> Person:
    layers = {gender: SMPLXLayer(recipe.body_models, gender) for gender in ('male', 'female')}
    return make_person(name, layers, stream(recipe.seed, 'person', 'pw3d', name))


@functools.lru_cache(maxsize=2)
def _smpl(body_models: str, gender: str) -> SMPLLayer:
    return SMPLLayer(body_models, gender)
