"""Depth, normals and face ids of a mesh by casting one ray a pixel.

Convention: OpenCV camera (x right, y down, z forward), metres, pixels; the centre of the top left pixel is (0, 0).
"""
from dataclasses import dataclass

import numpy as np
import warp as wp

from hmradapter.synthetic.ray_mesh import RayMesh, pick_device

FAR = wp.constant(1000.0)  # metres


@dataclass
class RayHits:
    """What each pixel sees. face_id (H, W) int32, -1 where nothing is hit; depth (H, W) along z, metres, 0 at a miss;
    normal (H, W, 3) of the face, unit, towards the camera; bary (H, W, 2) weights of the face's first two vertices."""
    face_id: np.ndarray
    depth: np.ndarray
    normal: np.ndarray
    bary: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool, True where the mesh is seen."""
        return self.face_id >= 0

    def interpolate(self, values: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """A quantity of the vertices (V, C) at the pixels: (H, W, C), 0 where nothing is hit."""
        weights = np.concatenate([self.bary, 1 - self.bary.sum(-1, keepdims=True)], axis=-1)
        out = np.zeros((*self.face_id.shape, values.shape[-1]), np.float32)
        corners = values[faces[self.face_id[self.mask]]]
        out[self.mask] = np.einsum('nk,nkc->nc', weights[self.mask], corners)
        return out


class RayCaster:
    """Casts meshes on `device`: 'auto', 'cpu' or a CUDA device."""

    def __init__(self, device: str = 'auto'):
        self.device = pick_device(device)

    def cast(self, vertices: np.ndarray, faces: np.ndarray, K: np.ndarray, size: tuple[int, int]) -> RayHits:
        """vertices (V, 3) in the camera frame, faces (F, 3), K (3, 3) px, size (width, height) -> RayHits."""
        return self.cast_mesh(RayMesh(vertices, faces, self.device), K, size)

    def cast_mesh(self, mesh: RayMesh, K: np.ndarray, size: tuple[int, int]) -> RayHits:
        """As `cast`, for a mesh that is kept between calls (its vertices in the camera frame)."""
        width, height = check_size(size)
        face_id = wp.empty((height, width), dtype=wp.int32, device=self.device)
        depth = wp.empty((height, width), dtype=wp.float32, device=self.device)
        normal = wp.empty((height, width), dtype=wp.vec3, device=self.device)
        bary = wp.empty((height, width), dtype=wp.vec2, device=self.device)
        wp.launch(_cast_pixels, dim=(height, width), inputs=[mesh.id, wp.mat33(pixel_rays(K))],
                  outputs=[face_id, depth, normal, bary], device=self.device)
        return RayHits(face_id.numpy(), depth.numpy(), normal.numpy(), bary.numpy())


def pixel_rays(K: np.ndarray) -> np.ndarray:
    """(3, 3) matrix that takes a pixel (u, v, 1) to its ray, whose z is 1 (so that lengths along the ray are depths)."""
    K = np.asarray(K, np.float64)
    if K.shape != (3, 3) or abs(np.linalg.det(K)) < 1e-9 or not np.allclose(K[2], (0, 0, 1)):
        raise ValueError(f'K is {K.tolist()}, but an intrinsic matrix is [[fx, s, cx], [0, fy, cy], [0, 0, 1]].')
    return np.linalg.inv(K).astype(np.float32)


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) as positive ints."""
    width, height = (int(v) for v in size)
    if width < 1 or height < 1:
        raise ValueError(f'size is {size}, but an image is at least 1 pixel wide and high: give (width, height).')
    return width, height


@wp.kernel
def _cast_pixels(mesh: wp.uint64, rays: wp.mat33, face_id: wp.array2d(dtype=wp.int32), depth: wp.array2d(dtype=wp.float32),
                 normal: wp.array2d(dtype=wp.vec3), bary: wp.array2d(dtype=wp.vec2)):
    row, column = wp.tid()
    ray = rays * wp.vec3(float(column), float(row), 1.0)
    hit = wp.mesh_query_ray(mesh, wp.vec3(0.0, 0.0, 0.0), ray, FAR)
    face_id[row, column] = -1
    depth[row, column] = 0.0
    normal[row, column] = wp.vec3(0.0, 0.0, 0.0)
    bary[row, column] = wp.vec2(0.0, 0.0)
    if hit.result:
        face_id[row, column] = hit.face
        depth[row, column] = hit.t
        normal[row, column] = -wp.sign(wp.dot(hit.normal, ray)) * hit.normal
        bary[row, column] = wp.vec2(hit.u, hit.v)
