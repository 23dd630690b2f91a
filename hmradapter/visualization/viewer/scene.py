"""What a 3D view shows: people before the camera of a picture, in one or several variants, still or moving.

Convention: meshes in the OpenCV camera frame (x right, y down, z forward), metres; K in pixels of the picture with integers at
pixel centres; size is (width, height); pictures are (H, W, 3) uint8 BGR, of that size or shrunk from it.
"""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hmradapter.visualization.meshes import Mesh


@dataclass(frozen=True)
class Frame3D:
    """One moment: the meshes of all people by variant ('ours', 'experts combined', ...), and the picture behind them."""
    meshes: Mapping[str, Sequence[Mesh]]
    picture: np.ndarray | None = None


@dataclass(frozen=True)
class Scene3D:
    """Frames seen by one camera. More than one frame is a video with a slider, `fps` frames a second.

    Raises ValueError for a camera, mesh or picture that cannot be shown. People may come and go between frames, and a variant
    may have nobody in a frame, but somebody must be there in some frame.
    """
    frames: Sequence[Frame3D]
    K: np.ndarray                 # (3, 3)
    size: tuple[int, int]         # (width, height), px
    fps: float = 25.0
    variants: tuple[str, ...] = field(init=False)

    def __post_init__(self):
        _check_camera(np.asarray(self.K, np.float64), self.size)
        if not self.fps > 0:
            raise ValueError(f'fps is {self.fps}, but a video needs a positive number of frames a second.')
        for frame in self.frames:
            for variant, meshes in frame.meshes.items():
                for i, mesh in enumerate(meshes):
                    _check_mesh(mesh, f'mesh {i} of variant {variant!r}')
            _check_picture(frame.picture)
        if not any(meshes for frame in self.frames for meshes in frame.meshes.values()):
            raise ValueError('the scene has no mesh in any frame: leave it out of the page (scene=None).')
        object.__setattr__(self, 'variants', tuple(dict.fromkeys(name for frame in self.frames for name in frame.meshes)))

    @classmethod
    def still(cls, meshes: Mapping[str, Sequence[Mesh]], K: np.ndarray, size: tuple[int, int],
              picture: np.ndarray | None = None) -> 'Scene3D':
        """The people of one image."""
        return cls([Frame3D(meshes, picture)], K, size)

    def bounds(self) -> np.ndarray:
        """Smallest and largest coordinates (2, 3) of all meshes, m."""
        vertices = [mesh.vertices for frame in self.frames for meshes in frame.meshes.values() for mesh in meshes]
        low, high = np.min([v.min(0) for v in vertices], axis=0), np.max([v.max(0) for v in vertices], axis=0)
        return np.array([low, high], np.float64)


def _check_camera(K: np.ndarray, size: tuple[int, int]) -> None:
    if K.shape != (3, 3) or not np.isfinite(K).all() or not (K[0, 0] > 0 and K[1, 1] > 0):
        raise ValueError(f'K is {K.tolist()}, but a camera has a finite (3, 3) matrix with positive focal lengths in pixels.')
    if len(size) != 2 or not all(int(side) == side and side > 0 for side in size):
        raise ValueError(f'size is {size}, but it is (width, height) of the picture in whole pixels.')


def _check_mesh(mesh: Mesh, name: str) -> None:
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not len(vertices) or not np.isfinite(vertices).all():
        raise ValueError(f'{name} has vertices of shape {vertices.shape}, but they are finite numbers (V, 3), V > 0: leave out '
                         f'what is not.')
    if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces) or faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(f'{name} has faces of shape {faces.shape}, but they are (F, 3), F > 0, of numbers of its '
                         f'{len(vertices)} vertices.')
    if len(mesh.color) != 3 or not all(0 <= part <= 1 for part in mesh.color):
        raise ValueError(f'{name} has the colour {mesh.color}, but colours are (r, g, b) in 0..1.')


def _check_picture(picture: np.ndarray | None) -> None:
    if picture is not None and (picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8):
        raise ValueError(f'a picture is {picture.dtype} of shape {picture.shape}, but pictures are (H, W, 3) uint8 BGR.')
