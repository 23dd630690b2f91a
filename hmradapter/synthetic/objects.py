"""Things that hands hold: boxes, cans, mugs, phones. Each has a mesh for the eye and a distance function for the fingers.

Frame of an object: metres, origin inside it; two-part things turn their part 0 ("top") by the articulation angle about -z
through the origin, as ARCTIC's objects do (common/object_tensors.py); part 1 stays.
"""
from dataclasses import dataclass, field

import numpy as np

KINDS = ('box', 'can', 'mug', 'phone', 'notebook', 'bottle', 'ball', 'tool')


@dataclass
class Solid:
    """A primitive: kind 'box' (size = half extents), 'cylinder' (radius, half height, axis y), 'ball' (radius,) or 'ring'
    (torus about z: radius, tube radius); centre (3,) in the object's frame; part 0 turns with the articulation, 1 does not."""
    kind: str
    size: tuple
    centre: tuple = (0.0, 0.0, 0.0)
    part: int = 1

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance (...) of points (..., 3), metres, negative inside."""
        p = points - np.array(self.centre)
        if self.kind == 'ball':
            return np.linalg.norm(p, axis=-1) - self.size[0]
        if self.kind == 'ring':
            across = np.linalg.norm(p[..., :2], axis=-1) - self.size[0]
            return np.hypot(across, p[..., 2]) - self.size[1]
        if self.kind == 'box':
            q = np.abs(p) - np.array(self.size)
        else:
            q = np.stack([np.hypot(p[..., 0], p[..., 2]) - self.size[0], np.abs(p[..., 1]) - self.size[1]], axis=-1)
        return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(axis=-1), 0)


@dataclass
class HandheldObject:
    """vertices (V, 3) metres at articulation 0, faces (F, 3), part (V,) 0 or 1, looks (F,) 0 or 1: which of two materials."""
    name: str
    vertices: np.ndarray
    faces: np.ndarray
    part: np.ndarray
    looks: np.ndarray
    solids: list[Solid] = field(default_factory=list)
    hinge: tuple[float, float] = (0.0, 0.0)  # range of the articulation, radians

    def distance(self, points: np.ndarray, articulation: float) -> np.ndarray:
        """Signed distance (...) of points (..., 3) in the object's frame."""
        turned = points @ hinge_turn(articulation)  # row vectors: the inverse turn
        return np.min([solid.distance(turned if solid.part == 0 else points) for solid in self.solids], axis=0)

    def posed(self, rotation: np.ndarray, translation: np.ndarray, articulation: np.ndarray) -> np.ndarray:
        """Vertices (T, V, 3) for rotations (T, 3, 3), translations (T, 3) metres, articulations (T,)."""
        turned = np.einsum('tij,vj->tvi', np.stack([hinge_turn(a) for a in articulation]), self.vertices)
        local = np.where((self.part == 0)[None, :, None], turned, self.vertices)
        return np.einsum('tij,tvj->tvi', rotation, local) + translation[:, None]


def hinge_turn(angle: float) -> np.ndarray:
    """(3, 3) rotation by `angle` radians about -z."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])


def make_object(kind: str, rng: np.random.Generator) -> HandheldObject:
    """One of KINDS with drawn proportions."""
    if kind not in KINDS:
        raise ValueError(f'object {kind!r} is unknown: choose from {KINDS}.')
    solids, hinge = _SOLIDS[kind](rng)
    vertices, faces, part, looks = [], [], [], []
    for number, solid in enumerate(solids):
        points, triangles = _mesh_of(solid, hollow=kind == 'mug')
        faces.append(triangles + sum(map(len, vertices)))
        vertices.append(points + np.array(solid.centre))
        part.append(np.full(len(points), solid.part))
        looks.append(np.full(len(triangles), number % 2))  # every other solid gets the second material
    joined = (np.concatenate(arrays) for arrays in (vertices, faces, part, looks))
    return HandheldObject(kind, *joined, solids, hinge)


def _box(rng):
    w, h, d = rng.uniform(0.035, 0.075), rng.uniform(0.03, 0.07), rng.uniform(0.03, 0.06)
    lid = 0.008
    body = Solid('box', (w, h, d), (w, -h, 0.0))
    return [body, Solid('box', (w + 0.002, lid, d + 0.002), (w, lid, 0.0), part=0)], (0.0, 0.9)


def _can(rng):
    r, h = rng.uniform(0.027, 0.04), rng.uniform(0.05, 0.075)
    return [Solid('cylinder', (r, h)), Solid('cylinder', (r - 0.004, 0.003), (0, h + 0.003, 0))], (0.0, 0.0)


def _mug(rng):
    r, h = rng.uniform(0.036, 0.045), rng.uniform(0.042, 0.055)
    return [Solid('cylinder', (r, h)), Solid('ring', (0.62 * h, 0.006), (r + 0.006, 0, 0))], (0.0, 0.0)


def _phone(rng):
    w, h = rng.uniform(0.033, 0.04), rng.uniform(0.066, 0.08)
    return [Solid('box', (w, h, 0.0045)), Solid('box', (w - 0.003, h - 0.005, 0.0006), (0, 0, 0.0045))], (0.0, 0.0)


def _notebook(rng):
    w, d = rng.uniform(0.055, 0.08), rng.uniform(0.08, 0.11)
    page = 0.006
    return [Solid('box', (w, page, d), (w, -page, 0.0)), Solid('box', (w, page, d), (w, page, 0.0), part=0)], (0.0, 2.2)


def _bottle(rng):
    r, h = rng.uniform(0.03, 0.038), rng.uniform(0.07, 0.09)
    return [Solid('cylinder', (r, h)), Solid('cylinder', (0.014, 0.022), (0, h + 0.022, 0))], (0.0, 0.0)


def _ball(rng):
    r = rng.uniform(0.033, 0.055)
    return [Solid('ball', (r,))], (0.0, 0.0)


def _tool(rng):
    r, h = rng.uniform(0.011, 0.016), rng.uniform(0.07, 0.1)
    head = Solid('box', (rng.uniform(0.03, 0.055), 0.017, 0.016), (0, h + 0.015, 0))
    return [Solid('cylinder', (r, h)), head], (0.0, 0.0)


_SOLIDS = dict(box=_box, can=_can, mug=_mug, phone=_phone, notebook=_notebook, bottle=_bottle, ball=_ball, tool=_tool)


def _mesh_of(solid: Solid, hollow: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mesh around the solid's own centre. Sharp edges have their vertices twice, so that shading keeps them sharp."""
    if solid.kind == 'box':
        return _box_mesh(np.array(solid.size))
    if solid.kind == 'ring':
        return _ring_mesh(*solid.size)
    if solid.kind == 'ball':
        height = np.linspace(-np.pi / 2, np.pi / 2, 20)
        return _lathe(solid.size[0] * np.stack([np.cos(height), np.sin(height)], 1))
    r, h = solid.size
    if hollow:  # a mug: outer wall, rim, inner wall, floor
        inner, floor = r - 0.004, -h + 0.006
        profile = [(0, -h), (r, -h), (r, -h), (r, h), (r, h), (inner, h), (inner, h), (inner, floor), (inner, floor),
                   (0, floor)]
    else:
        profile = [(0, -h), (r, -h), (r, -h), (r, h), (r, h), (0, h)]
    return _lathe(np.array(profile, float))


def _lathe(profile: np.ndarray, around: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Turn a profile (N, 2) of (radius, height) about y; consecutive equal points part the surface there."""
    angle = 2 * np.pi * np.arange(around) / around
    vertices = np.stack([profile[:, :1] * np.cos(angle), np.broadcast_to(profile[:, 1:], (len(profile), around)),
                         profile[:, :1] * np.sin(angle)], axis=-1).reshape(-1, 3)
    rows = [i for i in range(len(profile) - 1) if not np.array_equal(profile[i], profile[i + 1])]
    return vertices, np.concatenate([_band(i * around, (i + 1) * around, around) for i in rows])


def _band(low: int, high: int, around: int) -> np.ndarray:
    """Two rings of vertices joined by 2 `around` triangles."""
    a = np.arange(around)
    b = (a + 1) % around
    return np.concatenate([np.stack([low + a, high + a, high + b], 1), np.stack([low + a, high + b, low + b], 1)])


def _ring_mesh(radius: float, tube: float, around: int = 36, section: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """A torus about z."""
    u, v = np.meshgrid(2 * np.pi * np.arange(around) / around, 2 * np.pi * np.arange(section) / section, indexing='ij')
    across = radius + tube * np.cos(v)
    vertices = np.stack([across * np.cos(u), across * np.sin(u), tube * np.sin(v)], axis=-1).reshape(-1, 3)
    ring = np.arange(around * section).reshape(around, section)
    right, up = np.roll(ring, -1, 0), np.roll(ring, -1, 1)
    corner = np.roll(right, -1, 1)
    faces = [np.stack([ring, right, corner], -1).reshape(-1, 3), np.stack([ring, corner, up], -1).reshape(-1, 3)]
    return vertices, np.concatenate(faces)


def _box_mesh(half: np.ndarray, cells: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Six separate sides of cells x cells squares each."""
    vertices, faces = [], []
    grid = np.linspace(-1, 1, cells + 1)
    square = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = square[:-1, :-1].ravel(), square[1:, :-1].ravel(), square[1:, 1:].ravel(), square[:-1, 1:].ravel()
    quads = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    for axis in range(3):
        for sign in (-1.0, 1.0):
            side = np.empty((cells + 1, cells + 1, 3))
            side[..., axis] = sign
            side[..., (axis + 1) % 3], side[..., (axis + 2) % 3] = np.meshgrid(grid, grid, indexing='ij')
            vertices.append(side.reshape(-1, 3) * half)
            faces.append((quads if sign > 0 else quads[:, ::-1]) + len(faces) * len(vertices[-1]))
    return np.concatenate(vertices), np.concatenate(faces)
