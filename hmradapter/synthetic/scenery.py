"""What stands around a whole person: a floor, and a stool under who sits. World frame: metres, z up, the floor at z = 0."""
from dataclasses import dataclass

import numpy as np

from hmradapter.synthetic.people import random_color, random_material
from hmradapter.synthetic.shading import Material

_ASIDE = np.array([40.0, 0, 0])  # metres: rest places far off, so that the ray tree never mixes a prop with a person
_FLOOR = 6.0       # metres from the middle to its edge
_SINK = 0.003      # metres that soles may sink in: feet are not quite flat
_STOOL = (0.19, 0.17)  # metres, half of its width and depth
_BOX = np.array([(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])  # quads, outwards


@dataclass
class Prop:
    """points (T, P, 3) or (1, P, 3) world; rest (P, 3) places its texture; faces (F, 3); color (3,) linear RGB."""
    points: np.ndarray
    rest: np.ndarray
    faces: np.ndarray
    color: np.ndarray
    material: Material


def floor(rng: np.random.Generator) -> Prop:
    """A square of floor, turned anyhow."""
    angle = rng.uniform(0, np.pi / 2)
    across = _FLOOR * np.array([np.cos(angle), np.sin(angle)])
    corners = np.array([across, across[::-1] * (-1, 1), -across, across[::-1] * (1, -1)])
    points = np.concatenate([corners, np.full((4, 1), _SINK)], axis=1)
    color = random_color(rng)
    color = 0.8 * (color + rng.uniform(0.3, 1) * (color.mean() - color))  # floors are greyer than clothes
    return Prop(points[None], points + _ASIDE, np.array([(0, 1, 2), (0, 2, 3)]), color,
                random_material(rng, rng.uniform(0.0, 0.1), (0.1, 0.5)))


def stool(vertices: np.ndarray, pelvis: np.ndarray, rotation: np.ndarray, seated: np.ndarray, rng: np.random.Generator) -> Prop:
    """A box under the seat in frames where `seated` (T,) is true, under the floor in others. vertices (T, V, 3), pelvis (T, 3)
    and its rotation (T, 3, 3), world; the person's own axes are x left, y up, z forward."""
    forward = rotation[:, :2, 2] / np.linalg.norm(rotation[:, :2, 2], axis=-1, keepdims=True)
    left = np.stack([-forward[:, 1], forward[:, 0]], axis=-1)
    away = vertices[..., :2] - pelvis[:, None, :2]
    beneath = (np.abs((away * forward[:, None]).sum(-1)) < _STOOL[1]) & (np.abs((away * left[:, None]).sum(-1)) < _STOOL[0])
    beneath &= vertices[..., 2] > pelvis[:, None, 2] - 0.3  # feet may be near, too
    seat = np.where(beneath, vertices[..., 2], np.inf).min(axis=1) + 0.01  # m: flesh gives way
    box = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (0, 1)], float)
    plane = (pelvis[:, None, :2] + box[:, :1] * _STOOL[0] * left[:, None] + box[:, 1:2] * _STOOL[1] * forward[:, None])
    height = np.where(seated, np.where(np.isfinite(seat), seat, 0.4), -1.0)[:, None] * box[:, 2]
    points = np.concatenate([plane, height[..., None]], axis=-1)
    faces = np.concatenate([_BOX[:, [0, 1, 2]], _BOX[:, [0, 2, 3]]])
    return Prop(points, box * (*_STOOL, 0.45) + 2 * _ASIDE, faces, random_color(rng),
                random_material(rng, rng.uniform(0.02, 0.3), (0.03, 0.15)))
