"""Triangle meshes that rays are cast at, on `warp`: the same kernels on CPU and CUDA, no display, no OpenGL.

Importing this module starts warp without its banner; compiled kernels stay in warp's own cache between runs.
"""
import contextlib
import os

import numpy as np
import warp as wp


def _start_warp() -> None:
    """warp prints a banner, each compilation and the absence of a CUDA driver: nothing a user of this package must act on."""
    if hasattr(wp.config, 'log_level'):
        wp.config.log_level = wp.LOG_ERROR
    else:  # an older warp
        wp.config.quiet = True
    with _native_stderr_closed():
        wp.init()


@contextlib.contextmanager
def _native_stderr_closed():
    """warp's C++ part writes "no CUDA driver" straight to descriptor 2; Python's exceptions still pass."""
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


_start_warp()


def pick_device(device: str = 'auto') -> str:
    """'auto' is 'cuda' where warp sees a GPU, else 'cpu'; any other name must be a device of warp."""
    if device == 'auto':
        return 'cuda' if wp.get_cuda_device_count() else 'cpu'
    names = ['cpu', *(str(d) for d in wp.get_cuda_devices())] + (['cuda'] if wp.get_cuda_device_count() else [])
    if device not in names:
        raise ValueError(f'device is {device!r}, but the ray caster can run on {names} here: name one of these or "auto".')
    return device


class RayMesh:
    """A mesh with its bounding volume hierarchy. Any frame, metres.

    vertices (V, 3), faces (F, 3). `move` builds the hierarchy anew: for a body of 27,000 faces this takes 5 ms, while rays cast
    at a refitted one take a fifth longer.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, device: str = 'cpu'):
        vertices, faces = np.asarray(vertices), np.asarray(faces)
        if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
            raise ValueError(f'vertices {vertices.shape} and faces {faces.shape} are no mesh: give (V, 3) and (F, 3), F > 0.')
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError(f'faces name vertices {faces.min()}..{faces.max()}, but there are {len(vertices)}.')
        self.device = device
        self.num_vertices = len(vertices)
        self.points = wp.array(self._checked(vertices), dtype=wp.vec3, device=device)
        self.indices = wp.array(np.ascontiguousarray(faces, np.int32).reshape(-1), dtype=wp.int32, device=device)
        self._build()

    @property
    def id(self) -> wp.uint64:
        return self.mesh.id

    def move(self, vertices: np.ndarray) -> None:
        """Give the same faces new vertices (V, 3)."""
        self.points.assign(self._checked(np.asarray(vertices)))
        self._build()

    def _build(self) -> None:
        self.mesh = wp.Mesh(points=self.points, indices=self.indices, bvh_constructor='lbvh', bvh_leaf_size=4)

    def _checked(self, vertices: np.ndarray) -> np.ndarray:
        vertices = np.ascontiguousarray(vertices, np.float32)
        if vertices.shape != (self.num_vertices, 3) or not np.isfinite(vertices).all():
            raise ValueError(f'vertices {vertices.shape} do not fit: ({self.num_vertices}, 3) finite numbers are needed.')
        return vertices
