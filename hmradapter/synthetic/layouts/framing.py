"""Cameras that hold of people in the world what a picture is to show. World and camera in metres, pixels as in `figures`."""
from collections.abc import Sequence

import numpy as np

from hmradapter.body_models.open_model.skeleton import JOINT_NAMES
from hmradapter.synthetic.cameras import Camera, look
from hmradapter.synthetic.people import SIDES

from .studio import Pose

FRAMINGS = ('whole', 'upper', 'cut')  # all of everybody; all but the legs; a part of somebody beyond a side of the picture
HAND_MARGIN = 0.1  # of the picture that stays free around hands
_LEGS = [JOINT_NAMES.index(f'{side}_{joint}') for side in SIDES for joint in ('hip', 'knee', 'ankle', 'foot')]
_MARGIN = 0.04     # the same around whole people
_CUT = 0.3         # share of a person's vertices that may be lost
_NEAREST = 0.25    # metres that the camera keeps off everything


def framed(group: Sequence[Pose], framing: str, K: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> Camera:
    """A camera, from about the front, that holds of a group what FRAMINGS say."""
    points, looking = [pose.vertices for pose in group], direction(rng, 1.0, (-3, 22))
    everything = np.concatenate(points)
    if framing == 'upper':
        owners = [pose.person.layer.weights.argmax(dim=0).numpy() for pose in group]
        points = [vertices[~np.isin(owner, _LEGS)] for vertices, owner in zip(points, owners, strict=True)]
    wanted = np.concatenate(points)
    if framing != 'cut':
        return fitted(wanted, everything, looking, K, size, _MARGIN)
    side = rng.choice((-1, 1))  # left or right
    along = side * (wanted @ looking[0])
    wanted = wanted[along < np.quantile(along, 1 - _CUT / len(group))]
    camera = fitted(wanted, everything, looking, K, size, _MARGIN)
    columns = camera.project(wanted)[:, 0]
    edge = (side * columns).argmax()
    depth = looking[2] @ wanted[edge] + camera.world_to_cam[2, 3]
    camera.world_to_cam[0, 3] += ((size[0] - 1 if side > 0 else 0) - columns[edge]) * depth / K[0, 0]  # the rest is beyond
    return camera


def direction(rng: np.random.Generator, around: float, elevation: tuple[float, float]) -> np.ndarray:
    """Rotation (3, 3) world to camera: azimuth radians to either side of the front, elevation degrees."""
    azimuth, up = rng.uniform(-around, around), np.radians(rng.uniform(*elevation))
    eye = np.array([np.sin(azimuth) * np.cos(up), -np.cos(azimuth) * np.cos(up), np.sin(up)])
    return look(eye, np.zeros(3), np.radians(rng.normal(0, 3)))[:3, :3]


def draw_K(size: tuple[int, int], focal: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Pixels not quite square, principal point not quite in the middle; focal: in lengths of the longer side."""
    fx = max(size) * rng.uniform(*focal)
    cx, cy = (np.array(size) - 1) / 2 + rng.uniform(-0.03, 0.03, 2) * size
    return np.array([[fx, 0, cx], [0, fx * rng.uniform(0.99, 1.01), cy], [0, 0, 1]])


def fitted(wanted: np.ndarray, everything: np.ndarray, looking: np.ndarray, K: np.ndarray, size: tuple[int, int],
           margin: float) -> Camera:
    """The nearest camera on the line through the middle of `wanted` (N, 3), world, that holds all of it and stays before
    `everything` (M, 3)."""
    local = wanted @ looking.T
    middle = (local.min(axis=0) + local.max(axis=0)) / 2
    local -= middle
    free, centre = margin * np.array(size), K[:2, 2]
    reach = np.where(local[:, :2] > 0, np.array(size) - 1 - free - centre, centre - free)  # pixels to the border on that side
    if reach.min() <= 0:
        raise ValueError(f'K is {np.asarray(K).tolist()}, whose principal point is not within a picture of {size}.')
    depth = (np.diag(K)[:2] * np.abs(local[:, :2]) / reach - local[:, 2:]).max()
    depth = max(depth, _NEAREST - (everything @ looking[2] - middle[2]).min())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = looking, np.array([0, 0, depth]) - middle
    return Camera(K, matrix, size)
