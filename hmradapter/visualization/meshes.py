"""Meshes over pictures and from the side, by ray casting: no display, no OpenGL, the same on CPU and CUDA.

Convention: OpenCV camera (x right, y down, z forward), metres; K and pixels with integers at pixel centres; images are
(H, W, 3) uint8 BGR as OpenCV has them, colours are RGB in 0..1.
"""
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hmradapter.synthetic.renderer import RayCaster

SIDE_COLORS = dict(right=(0.55, 0.75, 0.95), left=(0.98, 0.70, 0.55))
PAPER = (0.96, 0.96, 0.97)  # background of side views
SAMPLES = 2                 # rays per pixel and axis
SCENE_DEPTH = 10.0          # metres; scenes are scaled to end there, as rays reach a limited depth and pictures have no scale
LIGHT = np.array([-0.35, -0.55, -0.76])  # from the upper left, behind the camera


@dataclass(frozen=True)
class Mesh:
    """vertices (V, 3) in the camera frame, faces (F, 3), one colour."""
    vertices: np.ndarray
    faces: np.ndarray
    color: tuple[float, float, float] = SIDE_COLORS['right']

    def closed(self) -> 'Mesh':
        """The mesh with its holes filled by triangles between their border vertices: a hand's open wrist looks solid."""
        return Mesh(self.vertices, np.concatenate([self.faces, hole_faces(self.faces)]), self.color)

    @property
    def in_front(self) -> bool:
        """Whether the whole mesh lies in front of the camera, so that it has a picture."""
        return bool(np.isfinite(self.vertices).all() and (self.vertices[:, 2] > 0).all())


def hole_faces(faces: np.ndarray) -> np.ndarray:
    """Triangles (T, 3) that close every border loop of a mesh as a fan, wound like their neighbours."""
    edges = {(int(a), int(b)) for face in faces for a, b in ((face[0], face[1]), (face[1], face[2]), (face[2], face[0]))}
    following = {b: a for a, b in edges if (b, a) not in edges}  # against the neighbours' direction, around the hole
    fans = []
    while following:
        start, vertex = next(iter(following.items()))
        loop = [start]
        del following[start]
        while vertex != start and vertex in following:
            loop.append(vertex)
            vertex = following.pop(vertex)
        fans += [(loop[0], loop[i], loop[i + 1]) for i in range(1, len(loop) - 1)]
    return np.array(fans, dtype=np.int64).reshape(-1, 3)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), the area-weighted mean of the faces around each vertex."""
    corners = vertices[faces].astype(np.float64)
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


def overlay(image: np.ndarray, meshes: Sequence[Mesh], K: np.ndarray, caster: RayCaster, opacity: float = 0.9) -> np.ndarray:
    """The picture with the meshes drawn over it, nearer surfaces hiding farther ones. A mesh that reaches behind the camera has
    no picture and is left out (`Mesh.in_front`)."""
    seen = [mesh for mesh in meshes if mesh.in_front]
    box = _pixel_box(seen, K, image.shape[1::-1])
    if box is None:
        return image.copy()
    x0, y0, x1, y1 = box
    moved = np.array(K, np.float64)
    moved[:2, 2] -= (x0, y0)
    rgba = render(seen, moved, (x1 - x0, y1 - y0), caster)
    result = image.astype(np.float32)
    weight = opacity * rgba[..., 3:]
    result[y0:y1, x0:x1] = (1 - weight) * result[y0:y1, x0:x1] + weight * 255 * rgba[..., 2::-1]
    return np.clip(result + 0.5, 0, 255).astype(np.uint8)


def render(meshes: Sequence[Mesh], K: np.ndarray, size: tuple[int, int], caster: RayCaster) -> np.ndarray:
    """Shaded meshes (H, W, 4) float32: RGB in 0..1 and coverage; smooth at the edges. size is (width, height)."""
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, offsets[:-1], strict=True)]).astype(np.int32)
    vertices = np.concatenate([mesh.vertices for mesh in meshes]).astype(np.float64)
    vertices = (vertices * (SCENE_DEPTH / vertices[:, 2].max())).astype(np.float32)
    colors = np.concatenate([np.tile(mesh.color, (len(mesh.vertices), 1)) for mesh in meshes]).astype(np.float32)
    normals = np.concatenate([vertex_normals(mesh.vertices, mesh.faces) for mesh in meshes]).astype(np.float32)

    fine = np.diag([SAMPLES, SAMPLES, 1.0])
    fine[:2, 2] = (SAMPLES - 1) / 2  # centre of pixel 0 among its samples
    hits = caster.cast(vertices, faces, fine @ np.asarray(K, np.float64), (size[0] * SAMPLES, size[1] * SAMPLES))
    smooth = hits.interpolate(normals, faces)
    smooth *= np.where((smooth * hits.normal).sum(-1, keepdims=True) < 0, -1, 1)  # towards the camera, whatever the winding
    rgb = hits.interpolate(colors, faces) * _shade(smooth)
    fine_rgba = np.concatenate([rgb, hits.mask[..., None]], axis=-1).astype(np.float32)
    blocks = fine_rgba.reshape(size[1], SAMPLES, size[0], SAMPLES, 4).mean((1, 3))
    blocks[..., :3] /= np.maximum(blocks[..., 3:], 1e-6)
    return blocks


def side_view(mesh: Mesh, size: int, caster: RayCaster, degrees: float = 90.0, center: np.ndarray | None = None,
              radius: float | None = None) -> np.ndarray:
    """The mesh alone, turned about the vertical axis through its centre, on a plain ground, (size, size, 3) uint8 BGR.
    At 90 degrees one looks along the camera's -x axis: the side that the picture does not show. `center` (3,) and `radius`, in
    metres, of what fills the picture are the mesh's own where they are not given; those of a film stay the same."""
    center = (mesh.vertices.max(0) + mesh.vertices.min(0)) / 2 if center is None else center
    points = mesh.vertices - center
    radius = max(float(np.linalg.norm(points, axis=1).max()) if radius is None else radius, 1e-6)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    distance = 8 * radius  # long lens: little perspective
    turned = Mesh(points @ turn.T + (0, 0, distance), mesh.faces, mesh.color)
    focal = 0.47 * size * distance / radius
    K = np.array([[focal, 0, (size - 1) / 2], [0, focal, (size - 1) / 2], [0, 0, 1]])
    rgba = render([turned], K, (size, size), caster)
    picture = rgba[..., 3:] * rgba[..., :3] + (1 - rgba[..., 3:]) * np.array(PAPER)
    return np.clip(255 * picture[..., ::-1] + 0.5, 0, 255).astype(np.uint8)


def _shade(normals: np.ndarray) -> np.ndarray:
    light = LIGHT / np.linalg.norm(LIGHT)
    facing = np.clip(normals @ light.astype(np.float32), 0, 1)[..., None]
    rim = np.clip(-normals[..., 2:], 0, 1)
    return 0.35 + 0.5 * facing + 0.2 * rim


def _pixel_box(meshes: Sequence[Mesh], K: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Pixels x0, y0, x1, y1 (end exclusive) that the meshes can touch; None where they miss the picture."""
    if not meshes:
        return None
    points = np.concatenate([mesh.vertices for mesh in meshes]) @ np.asarray(K, np.float64).T
    pixels = points[:, :2] / points[:, 2:]
    low = np.maximum(np.floor(pixels.min(0)) - 1, 0)
    high = np.minimum(np.ceil(pixels.max(0)) + 2, size)
    if (high <= low).any():
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def fit_inside(image: np.ndarray, size: int) -> np.ndarray:
    """The picture, shrunk (never enlarged) so that its longer side is at most `size` pixels."""
    factor = size / max(image.shape[:2])
    if factor >= 1:
        return image
    wh = tuple(max(1, round(side * factor)) for side in image.shape[1::-1])
    return cv2.resize(image, wh, interpolation=cv2.INTER_AREA)
