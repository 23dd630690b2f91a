"""Where a hand can take hold of an object: poses of the hand in the object's frame.

A grasp is the hand's rotation (3, 3) and wrist (3,) in the object's frame, metres, before the fingers close.
"""
from dataclasses import dataclass

import numpy as np

from hmradapter.synthetic.curves import frame_of, unit
from hmradapter.synthetic.fingers import FingerKit
from hmradapter.synthetic.objects import HandheldObject

_STANDOFF = (0.001, 0.045)  # metres between palm and surface: from a power grip to one with the fingertips


@dataclass
class Grasps:
    """N ways to hold: rotation (N, 3, 3) object <- hand, wrist (N, 3), away (N, 3) unit, out of the surface."""
    rotation: np.ndarray
    wrist: np.ndarray
    away: np.ndarray

    def __getitem__(self, i) -> 'Grasps':
        return Grasps(self.rotation[i], self.wrist[i], self.away[i])

    def __len__(self) -> int:
        return len(self.wrist)


def draw_grasps(kit: FingerKit, thing: HandheldObject, articulation: float, count: int, rng: np.random.Generator) -> Grasps:
    """`count` hands whose palms face the surface at drawn places. Fingers may lie any way; knuckles and wrist stay outside."""
    found: list[Grasps] = []
    while sum(map(len, found)) < count:
        contact, normal = _surface_points(thing, articulation, 2 * count, rng)
        fingers = unit(np.cross(normal, rng.normal(size=normal.shape)))
        rotation = frame_of(fingers, -normal) @ frame_of(kit.out, kit.down).T
        gap = rng.uniform(*_STANDOFF, len(normal)) * (rng.uniform(size=len(normal)) < 0.6)
        wrist = contact + gap[:, None] * normal - rotation @ kit.palm
        skeleton = np.concatenate([kit.chain[:4, 0], 0.5 * kit.chain[:4, 0], np.zeros((1, 3))])
        at = np.einsum('nij,kj->nki', rotation, skeleton) + wrist[:, None]
        free = (thing.distance(at, articulation) > 0.006).all(axis=1)
        found.append(Grasps(rotation[free], wrist[free], normal[free]))
    return Grasps(*(np.concatenate([getattr(g, name) for g in found])[:count] for name in ('rotation', 'wrist', 'away')))


def hand_distance(thing: HandheldObject, grasp: Grasps, articulation: float):
    """The object's distance function for points of the hand's frame, for one grasp."""
    return lambda points: thing.distance(points @ grasp.rotation.T + grasp.wrist, articulation)


def _surface_points(thing: HandheldObject, articulation: float, count: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 3) of the surface and outward normals, found by marching inwards from all around."""
    inside = thing.vertices[rng.integers(len(thing.vertices), size=count)] * rng.uniform(0, 0.8, (count, 1))
    direction = unit(rng.normal(size=(count, 3)))
    points = inside + 0.4 * direction
    for _ in range(24):
        points = points - direction * thing.distance(points, articulation)[:, None]
    step = 5e-4 * np.eye(3)
    slope = np.stack([thing.distance(points + s, articulation) - thing.distance(points - s, articulation) for s in step], -1)
    hit = (np.abs(thing.distance(points, articulation)) < 1e-3) & (np.linalg.norm(slope, axis=1) > 5e-4)
    return points[hit], unit(slope[hit])
