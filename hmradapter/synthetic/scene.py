"""One sequence of one person: bodies and objects in the world, their mesh with its looks, and its frames as photographs.

World frame: metres, z up, the person near the origin faces -y. T frames, about 5 a second.
"""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hmradapter.body_models.smplx_layer import POSE_PARTS
from hmradapter.synthetic.backdrop import make_backdrop, make_light
from hmradapter.synthetic.cameras import Camera
from hmradapter.synthetic.film import Film, blend_window, develop, window_around
from hmradapter.synthetic.motion import Motion
from hmradapter.synthetic.objects import HandheldObject
from hmradapter.synthetic.people import PARTS, SIDES, Person, random_color, random_material, vertex_normals
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.synthetic.scenery import Prop
from hmradapter.synthetic.shading import ShadedMesh

WORLD_FROM_STAGE = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
WORLD_ORIGIN = np.array([0.2, -0.1, 0.95])  # where the stage's origin, the pelvis, stands
_SHUTTER = 0.09   # of the time between frames, to either side of the frame's moment
_MIN_BLUR = 1.0   # pixels of movement below which blur is not worth its rays


@dataclass
class WorldMotion:
    """A motion in the world. rotations (T, 55, 3, 3): parent-relative, the pelvis's in the world; transl (T, 3); vertices
    (T, V, 3) and wrists {side: (T, 3)}; object_* and expression as in Motion, in the world."""
    rotations: np.ndarray
    transl: np.ndarray
    vertices: np.ndarray
    wrists: dict[str, np.ndarray]
    object_rotation: np.ndarray | None = None
    object_translation: np.ndarray | None = None
    articulation: np.ndarray | None = None
    expression: np.ndarray | None = None


@dataclass
class Shot:
    """What one camera saw in one frame. image (H, W, 3) uint8 BGR; visible {side: 0..1} share of the hand's pixels that
    nothing hides; inside {side: 0..1} share of its vertices within the image."""
    frame: int
    view: int
    image: np.ndarray
    visible: dict[str, float]
    inside: dict[str, float]


def put_in_world(person: Person, motion: Motion) -> WorldMotion:
    """Turn a motion from the stage into the world and pose the body. The body turns about its pelvis J0, so
    transl_w = W (J0 + transl) + origin - J0."""
    pelvis = person.at('pelvis')
    rotations = motion.rotations.copy()
    rotations[:, 0] = WORLD_FROM_STAGE @ rotations[:, 0]
    transl = (pelvis + motion.transl) @ WORLD_FROM_STAGE.T + WORLD_ORIGIN - pelvis
    parts = torch.from_numpy(rotations.astype(np.float32)).split(tuple(POSE_PARTS.values()), dim=1)
    face = None if motion.expression is None else torch.from_numpy(motion.expression.astype(np.float32))
    body = person.layer(**dict(zip(POSE_PARTS, parts, strict=True)), transl=torch.from_numpy(transl.astype(np.float32)),
                        expression=face)
    wrists = {side: body.joints[:, joint].numpy() for side, joint in (('left', 20), ('right', 21))}
    world = WorldMotion(rotations, transl, body.vertices.numpy(), wrists, expression=motion.expression)
    if motion.object_rotation is not None:
        world.object_rotation = WORLD_FROM_STAGE @ motion.object_rotation
        world.object_translation = motion.object_translation @ WORLD_FROM_STAGE.T + WORLD_ORIGIN
        world.articulation = motion.articulation
    return world


class Scene:
    """A person, perhaps with an object and props around, ready to be photographed. `blurred` is the share of frames with motion
    blur."""

    def __init__(self, person: Person, motion: WorldMotion, thing: HandheldObject | None, size: tuple[int, int],
                 rng: np.random.Generator, blurred: float = 0.3, device: str = 'cpu', props: Sequence[Prop] = ()):
        self.person, self.motion, self.size, self.rng = person, motion, size, rng
        self.hand_faces = {side: _compact(person.faces[person.part == PARTS.index(side)]) for side in SIDES}
        rest, faces, part = person.template, person.faces, person.part
        albedo, crease, material, materials = person.albedo, person.crease, person.material, person.materials
        self.points = _padded(motion.vertices, person)
        if thing is not None:
            posed = thing.posed(motion.object_rotation, motion.object_translation, motion.articulation)
            self.points = np.concatenate([self.points, posed], axis=1)
            faces = np.concatenate([faces, thing.faces + len(rest)])
            rest = np.concatenate([rest, thing.vertices])
            part = np.concatenate([part, np.full(len(thing.faces), PARTS.index('object'))])
            albedo = np.concatenate([albedo, np.tile(random_color(rng), (len(thing.vertices), 1))])
            crease = np.concatenate([crease, np.zeros(len(thing.vertices))])
            material = np.concatenate([material, len(materials) + thing.looks])
            materials = [*materials, *(random_material(rng, rng.uniform(0.02, 0.4), (0.01, 0.04)) for _ in range(2))]
        for prop in props:
            placed = np.broadcast_to(prop.points, (len(self.points), *prop.points.shape[1:]))
            self.points = np.concatenate([self.points, placed], axis=1)
            faces = np.concatenate([faces, prop.faces + len(rest)])
            rest = np.concatenate([rest, prop.rest])
            part = np.concatenate([part, np.full(len(prop.faces), PARTS.index('scenery'))])
            albedo = np.concatenate([albedo, np.tile(prop.color, (len(prop.rest), 1))])
            crease = np.concatenate([crease, np.zeros(len(prop.rest))])
            material = np.concatenate([material, np.full(len(prop.faces), len(materials))])
            materials = [*materials, prop.material]
        self.mesh = ShadedMesh(rest, faces, albedo, crease, material, materials, device)
        self.film = Film(self.mesh, part, size)
        self.caster = RayCaster(device)
        self.moving = np.unique(faces[np.isin(part, [PARTS.index(name) for name in ('left', 'right', 'object')])])
        self.light = make_light(rng)
        self.blurred = rng.uniform(size=len(motion.vertices)) < blurred
        self.grain = np.clip(rng.normal(0, rng.uniform(0.5, 4), (size[1], size[0], 3)), -20, 20).astype(np.int16)
        self.gain = rng.uniform(0.8, 1.25)

    def shots(self, cameras: Sequence[Camera], views: Sequence[int]) -> Iterator[Shot]:
        """Photographs of all frames from the given views (1..8)."""
        backdrops = {view: make_backdrop(self.size, self.rng) for view in views}
        for frame in range(len(self.points)):
            images, labels = {}, {}
            self.mesh.move(self.points[frame])
            for view in views:
                images[view], labels[view] = self.film.expose(cameras[view - 1], self.light, backdrops[view])
            if self.blurred[frame]:
                self._blur(frame, images, cameras, backdrops)
            for view in views:
                grain = np.roll(self.grain, tuple(self.rng.integers(0, self.size)), axis=(0, 1))
                visible, inside = self._visibility(frame, cameras[view - 1], labels[view])
                yield Shot(frame, view, develop(images[view], self.gain, grain), visible, inside)

    def photograph(self, frame: int, camera: Camera, backdrop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8 BGR and labels (H, W) of one frame without motion blur."""
        self.mesh.move(self.points[frame])
        image, labels = self.film.expose(camera, self.light, backdrop)
        grain = np.roll(self.grain, tuple(self.rng.integers(0, self.size)), axis=(0, 1))
        return develop(image, self.gain, grain), labels

    def _blur(self, frame: int, images: dict, cameras, backdrops) -> None:
        """Average hands and object over the time that the shutter is open; the frame's moment lies in the middle."""
        after, before = min(frame + 1, len(self.points) - 1), max(frame - 1, 0)
        if after == before:
            return
        path = _SHUTTER * (self.points[after] - self.points[before]) / (after - before)
        ends = [self.points[frame] + sign * path for sign in (-1, 1)]
        windows = {}
        for view in images:
            tracks = [cameras[view - 1].project(points[self.moving]) for points in ends]
            window = window_around(np.concatenate(tracks), self.size)
            if window is not None and np.linalg.norm(tracks[1] - tracks[0], axis=1).max() > _MIN_BLUR:
                windows[view] = window
        patches = {view: [] for view in windows}
        for points in ends if windows else ():
            self.mesh.move(points)
            for view, window in windows.items():
                patches[view].append(self.film.expose_window(cameras[view - 1], self.light, backdrops[view], window))
        for view, window in windows.items():
            blend_window(images[view], patches[view], window)

    def _visibility(self, frame: int, camera: Camera, labels: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
        """Pixels of a hand in the image, over those that the hand has when it is alone."""
        visible, inside = {}, {}
        for side, (ids, faces) in self.hand_faces.items():
            points = self.points[frame, ids]
            pixels = camera.project(points)
            inside[side] = float(((pixels >= 0) & (pixels <= np.array(self.size) - 1)).all(axis=1).mean())
            window = window_around(pixels, self.size, margin=2)
            alone = 0
            if window is not None:
                x0, y0, x1, y1 = window
                shifted = camera.K - np.array([[0, 0, x0], [0, 0, y0], [0, 0, 0]])
                local = points @ camera.world_to_cam[:3, :3].T + camera.world_to_cam[:3, 3]
                alone = int(self.caster.cast(local, faces, shifted, (x1 - x0, y1 - y0)).mask.sum())
            seen = int((labels == PARTS.index(side)).sum())
            visible[side] = min(seen / alone, 1.0) if alone else 0.0
        return visible, inside


def _padded(vertices: np.ndarray, person: Person) -> np.ndarray:
    """Vertices (T, V, 3) with clothes and hair off the skin."""
    padding = person.padding[:, None].astype(np.float32)
    return np.stack([points + padding * vertex_normals(points, person.faces).astype(np.float32) for points in vertices])


def _compact(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the vertices that faces (F, 3) use, and the faces counted among those."""
    ids, compact = np.unique(faces, return_inverse=True)
    return ids, compact.reshape(-1, 3)
