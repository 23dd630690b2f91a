"""Colours of a lit mesh at chosen points of an image: procedural materials, one key light with cast shadows, sky and ground.

World frame: metres, z up. Cameras as in `renderer`: OpenCV, pixel centres at integers. Colours: linear RGB, 0..1.
"""
from dataclasses import dataclass

import numpy as np
import warp as wp

from hmradapter.synthetic.ray_mesh import RayMesh
from hmradapter.synthetic.renderer import FAR, pixel_rays

PATTERNS = ('plain', 'stripes', 'checks', 'dots', 'grain')
SKIN_CREASE = wp.constant(0.16)   # how much darker a finger's crease is at its centre
CREASE_WIDTH = wp.constant(0.07)  # of a finger bone's length
SHADOW_REACH = wp.constant(0.8)   # metres: nothing further off throws shade on a person
BIAS = wp.constant(0.0015)        # metres that shadow rays start off the surface: below a finger's thickness


@dataclass
class Material:
    """pattern of PATTERNS in `second` colour (3,) with `period` metres; mottle and bump: strength of noise in colour and
    normal at `grain` metres; shine: strength of the highlight; creased: finger creases are drawn."""
    pattern: str = 'plain'
    second: tuple[float, float, float] = (0.5, 0.5, 0.5)
    period: float = 0.05
    mottle: float = 0.05
    bump: float = 0.0
    grain: float = 0.01
    shine: float = 0.05
    creased: bool = False


@dataclass
class Light:
    """direction (3,) to the key light, unit, world; key, sky and ground colours (3,), linear RGB."""
    direction: np.ndarray
    key: np.ndarray
    sky: np.ndarray
    ground: np.ndarray


@dataclass
class Samples:
    """What N image points see: color (N, 3) linear RGB; face (N,) int32, -1 at a miss; depth (N,) metres, 0 at a miss."""
    color: np.ndarray
    face: np.ndarray
    depth: np.ndarray


@wp.struct
class _Surface:
    points: wp.array(dtype=wp.vec3)
    indices: wp.array(dtype=wp.int32)
    normals: wp.array(dtype=wp.vec3)
    albedo: wp.array(dtype=wp.vec3)
    rest: wp.array(dtype=wp.vec3)
    crease: wp.array(dtype=wp.float32)
    material: wp.array(dtype=wp.int32)
    pattern: wp.array(dtype=wp.int32)
    second: wp.array(dtype=wp.vec3)
    numbers: wp.array2d(dtype=wp.float32)


@wp.struct
class _View:
    origin: wp.vec3
    rays: wp.mat33
    to_light: wp.vec3
    key: wp.vec3
    sky: wp.vec3
    ground: wp.vec3


class ShadedMesh:
    """A mesh that moves, with its looks. rest (V, 3) metres places the textures, albedo (V, 3), crease (V,) counts finger
    joints passed (1 at the knuckle, 2, 3; 0 elsewhere), material (F,) indexes `materials`."""

    def __init__(self, rest, faces, albedo, crease, material, materials: list[Material], device: str = 'cpu'):
        self.rays = RayMesh(rest, faces, device)
        self.device = device
        self._adjacency = [wp.array(a, dtype=wp.int32, device=device) for a in _faces_of_vertices(faces, len(rest))]
        surface = _Surface()
        surface.points, surface.indices = self.rays.points, self.rays.indices
        surface.normals = wp.zeros(len(rest), dtype=wp.vec3, device=device)
        surface.albedo = self._array(albedo, wp.vec3)
        surface.rest = self._array(rest, wp.vec3)
        surface.crease = self._array(crease, wp.float32)
        surface.material = wp.array(np.ascontiguousarray(material, np.int32), dtype=wp.int32, device=device)
        surface.pattern = wp.array([PATTERNS.index(m.pattern) for m in materials], dtype=wp.int32, device=device)
        surface.second = self._array([m.second for m in materials], wp.vec3)
        numbers = np.array([[m.period, m.mottle, m.bump, m.grain, m.shine, m.creased] for m in materials], np.float32)
        surface.numbers = wp.array(numbers, dtype=wp.float32, device=device)
        self.surface = surface

    def _array(self, values, dtype) -> wp.array:
        return wp.array(np.ascontiguousarray(values, np.float32), dtype=dtype, device=self.device)

    def move(self, vertices: np.ndarray) -> None:
        """New vertices (V, 3), world frame."""
        self.rays.move(vertices)
        wp.launch(_vertex_normals, dim=len(vertices), inputs=[self.surface.points, self.surface.indices, *self._adjacency],
                  outputs=[self.surface.normals], device=self.device)

    def sample(self, points_px: np.ndarray, K: np.ndarray, world_to_cam: np.ndarray, light: Light) -> Samples:
        """Colours at image points (N, 2) px of the camera K (3, 3), world_to_cam (4, 4)."""
        rotation, translation = world_to_cam[:3, :3], world_to_cam[:3, 3]
        view = _View()
        view.origin = wp.vec3(*(-rotation.T @ translation).tolist())
        view.rays = wp.mat33((rotation.T @ pixel_rays(K)).astype(np.float32))
        view.to_light = wp.vec3(*np.asarray(light.direction, float).tolist())
        for name in ('key', 'sky', 'ground'):
            setattr(view, name, wp.vec3(*np.asarray(getattr(light, name), float).tolist()))
        count = len(points_px)
        color = wp.empty(count, dtype=wp.vec3, device=self.device)
        face = wp.empty(count, dtype=wp.int32, device=self.device)
        depth = wp.empty(count, dtype=wp.float32, device=self.device)
        wp.launch(_shade, dim=count, device=self.device, outputs=[color, face, depth],
                  inputs=[self.rays.id, self.surface, view, self._array(points_px, wp.vec2)])
        return Samples(color.numpy(), face.numpy(), depth.numpy())


def _faces_of_vertices(faces: np.ndarray, num_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """(V + 1,) offsets into the list of faces around each vertex, in a fixed order: sums do not depend on the device."""
    corners = np.asarray(faces).reshape(-1)
    order = np.argsort(corners, kind='stable')
    offsets = np.concatenate([[0], np.cumsum(np.bincount(corners, minlength=num_vertices))])
    return offsets.astype(np.int32), (order // 3).astype(np.int32)


@wp.kernel
def _vertex_normals(points: wp.array(dtype=wp.vec3), indices: wp.array(dtype=wp.int32), offsets: wp.array(dtype=wp.int32),
                    around: wp.array(dtype=wp.int32), normals: wp.array(dtype=wp.vec3)):
    vertex = wp.tid()
    total = wp.vec3(0.0, 0.0, 0.0)
    for k in range(offsets[vertex], offsets[vertex + 1]):
        face = around[k]
        a, b, c = points[indices[3 * face]], points[indices[3 * face + 1]], points[indices[3 * face + 2]]
        total += wp.cross(b - a, c - a)
    normals[vertex] = wp.normalize(total)


@wp.func
def _patterned(kind: int, base: wp.vec3, second: wp.vec3, place: wp.vec3, period: float):
    """The material's colour at a place of the rest shape."""
    x, y, z = place[0] / period, place[1] / period, place[2] / period
    share = float(0.0)  # noqa: UP018 (a variable to warp, where 0.0 is a constant)
    if kind == 1 and y - wp.floor(y) < 0.45:
        share = 1.0
    if kind == 2:
        share = 0.5 * float((int(wp.floor(x)) & 1) + (int(wp.floor(y + 0.37)) & 1))
    if kind == 3:
        u, v = x - wp.round(x), y - wp.round(y)
        if u * u + v * v + 0.2 * (z - wp.round(z)) * (z - wp.round(z)) < 0.09:
            share = 1.0
    if kind == 4:
        share = wp.clamp(0.5 + 0.9 * wp.noise(wp.uint32(11), wp.vec3(4.0 * x, 0.6 * y, 4.0 * z)), 0.0, 1.0)
    return base * (1.0 - share) + second * share


@wp.kernel
def _shade(mesh: wp.uint64, s: _Surface, view: _View, points_px: wp.array(dtype=wp.vec2),
           color: wp.array(dtype=wp.vec3), face: wp.array(dtype=wp.int32), depth: wp.array(dtype=wp.float32)):
    i = wp.tid()
    ray = view.rays * wp.vec3(points_px[i][0], points_px[i][1], 1.0)
    hit = wp.mesh_query_ray(mesh, view.origin, ray, FAR)
    color[i] = wp.vec3(0.0, 0.0, 0.0)
    face[i] = -1
    depth[i] = 0.0
    if hit.result:
        w = 1.0 - hit.u - hit.v
        a, b, c = s.indices[3 * hit.face], s.indices[3 * hit.face + 1], s.indices[3 * hit.face + 2]
        normal = wp.normalize(s.normals[a] * hit.u + s.normals[b] * hit.v + s.normals[c] * w)
        normal = -wp.sign(wp.dot(normal, ray)) * normal
        place = s.rest[a] * hit.u + s.rest[b] * hit.v + s.rest[c] * w
        albedo = s.albedo[a] * hit.u + s.albedo[b] * hit.v + s.albedo[c] * w

        m = s.material[hit.face]
        period, mottle, bump, grain, shine = (s.numbers[m, 0], s.numbers[m, 1], s.numbers[m, 2], s.numbers[m, 3],
                                              s.numbers[m, 4])
        albedo = _patterned(s.pattern[m], albedo, s.second[m], place, period)
        coarse = wp.noise(wp.uint32(7), place / (3.0 * grain))
        fine = wp.noise(wp.uint32(3), place / grain)
        albedo = albedo * (1.0 + mottle * (coarse + fine))
        if s.numbers[m, 5] > 0.5:
            joint = s.crease[a] * hit.u + s.crease[b] * hit.v + s.crease[c] * w
            off = (joint - wp.round(joint)) / CREASE_WIDTH
            if joint > 0.5 and joint < 3.5:
                albedo = albedo * (1.0 - SKIN_CREASE * wp.exp(-off * off))
        if bump > 0.0:
            normal = wp.normalize(normal + bump * wp.vec3(coarse, fine, coarse - fine))

        facing = wp.dot(normal, view.to_light)
        lit = float(0.0)  # noqa: UP018
        point = view.origin + ray * hit.t
        flat = -wp.sign(wp.dot(hit.normal, ray)) * hit.normal
        if facing > 0.0 and wp.dot(flat, view.to_light) > -0.2:  # noqa: SIM102 (warp's `and` would cast the ray anyway)
            if not wp.mesh_query_ray_anyhit(mesh, point + flat * BIAS, view.to_light, SHADOW_REACH):
                lit = facing
        up = 0.5 + 0.5 * normal[2]
        arriving = view.key * lit + view.sky * up + view.ground * (1.0 - up)
        half = wp.normalize(view.to_light - wp.normalize(ray))
        glint = shine * wp.pow(wp.max(wp.dot(normal, half), 0.0), 24.0) * wp.sign(lit)
        color[i] = wp.cw_mul(albedo, arriving) + view.key * glint
        face[i] = hit.face
        depth[i] = hit.t
