"""A ring of fixed cameras around a person.

World frame: metres, z up; the person stands near the origin and faces -y. Cameras: OpenCV.
"""
from dataclasses import dataclass

import numpy as np

NUM_VIEWS = 8
UPPER_BODY, WHOLE_BODY = (0.72, 0.92), (2.3, 2.9)  # metres that an image shows from bottom to top
# Azimuth (0 = in front, positive = towards the person's left) and elevation of views 1..8, degrees.
_PLACES = ((-48, 6), (-75, 15), (2, 10), (-25, 32), (28, -4), (75, 14), (52, 24), (5, 52))


@dataclass
class Camera:
    """K (3, 3) px, world_to_cam (4, 4), size (width, height)."""
    K: np.ndarray
    world_to_cam: np.ndarray
    size: tuple[int, int]

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) -> pixels (..., 2)."""
        local = points @ self.world_to_cam[:3, :3].T + self.world_to_cam[:3, 3]
        return (local @ self.K.T)[..., :2] / local[..., 2:]


def camera_ring(centre: np.ndarray, size: tuple[int, int], rng: np.random.Generator, height: tuple[float, float] = UPPER_BODY,
                distance: tuple[float, float] = (1.4, 2.4), elevated: float = 1.0) -> list[Camera]:
    """The 8 cameras of a subject, all looking at about `centre` (3,), world; an image is `height` metres high there.
    distance: metres; elevated: factor of the places' elevations."""
    cameras = []
    for azimuth, elevation in _PLACES:
        a, e = np.radians(azimuth + rng.uniform(-8, 8)), np.radians(elevated * elevation + rng.uniform(-6, 6))
        far = rng.uniform(*distance)
        out = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
        target = centre + rng.uniform(-0.05, 0.05, 3)
        roll = np.radians(rng.normal(0, 3))
        focal = far * size[1] / rng.uniform(*height)
        K = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal * rng.uniform(0.995, 1.005), (size[1] - 1) / 2], [0, 0, 1]])
        cameras.append(Camera(K, look(target + far * out, target, roll), size))
    return cameras


def look(eye: np.ndarray, target: np.ndarray, roll: float) -> np.ndarray:
    """(4, 4) world to camera, z towards the target, y down, turned by `roll` radians about z."""
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, (0.0, 0.0, 1.0))
    x /= np.linalg.norm(x)
    c, s = np.cos(roll), np.sin(roll)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.stack([x, np.cross(z, x), z])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, -turn @ eye
    return matrix
