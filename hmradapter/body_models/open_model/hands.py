"""Hands of the open body: which part of the mesh they are, a relaxed pose, and principal components of finger poses."""
import numpy as np

from hmradapter.body_models.open_model.skeleton import HAND_JOINTS

_SHARE = 0.5    # a vertex belongs to a hand from this share of its skinning weight on
_POSES = 400    # drawn finger poses that the components are fitted to
_BEND = ((1, 0.95), (2, 1.2), (3, 0.7))  # joint of a finger and how far it closes, radians
_RELAXED = {1: 0.32, 2: 0.42, 3: 0.22}
_THUMB_RELAXED = {1: (0.10, 0.20, 0.10), 2: (0.05, 0.10, 0.15), 3: (0.0, 0.12, 0.2)}  # axis-angle, right hand


def hand_vertices(weights: np.ndarray, faces: np.ndarray, side: str) -> np.ndarray:
    """Sorted ids of a hand's vertices: the largest connected piece of those that hang on the wrist and the fingers."""
    inside = weights[:, list(HAND_JOINTS[side])].sum(axis=1) >= _SHARE
    edges = faces[inside[faces].all(axis=1)]
    label = np.arange(len(weights))
    while True:  # spread the smallest label over each piece
        lowest = label.copy()
        for a, b in ((0, 1), (1, 2), (2, 0)):
            np.minimum.at(lowest, edges[:, a], label[edges[:, b]])
            np.minimum.at(lowest, edges[:, b], label[edges[:, a]])
        if (lowest == label).all():
            break
        label = lowest
    pieces, sizes = np.unique(label[np.unique(edges)], return_counts=True)
    return np.flatnonzero((label == pieces[sizes.argmax()]) & np.isin(np.arange(len(weights)), edges))


def bend_axes(joints: np.ndarray) -> np.ndarray:
    """Unit axes (15, 3) about which the right hand's fingers close, from its 16 MANO rest joints.
    Fingers lie in the plane y = 0 with the palm down, so an axis is level and square to its finger; the thumb closes across."""
    axes = np.empty((15, 3))
    for finger in range(5):
        first = 1 + 3 * finger
        along = joints[first + 1] - joints[first]
        axis = np.cross(along, (0.0, -1.0, 0.0)) if finger < 4 else np.cross(along, (-0.4, -0.6, -1.0))
        axes[first - 1:first + 2] = axis / np.linalg.norm(axis)
    return axes


def relaxed_pose(joints: np.ndarray) -> np.ndarray:
    """(45,) axis-angle of the right hand at rest; pinky side a little more bent, as in a hanging hand."""
    pose = bend_axes(joints)
    for finger, more in enumerate((0.9, 1.0, 1.25, 1.1)):  # index, middle, pinky, ring
        for k, angle in _RELAXED.items():
            pose[3 * finger + k - 1] *= angle * more
    for k, rotation in _THUMB_RELAXED.items():
        pose[12 + k - 1] = rotation
    return pose.reshape(45)


def pose_components(joints: np.ndarray, seed: int) -> np.ndarray:
    """(45, 45) orthonormal rows: principal components of drawn finger poses of the right hand, the common closing first."""
    rng = np.random.default_rng(seed)
    axes = bend_axes(joints)
    closing = rng.uniform(0, 1, (_POSES, 1)) + rng.normal(0, 0.2, (_POSES, 5))  # of the hand and of each finger
    poses = np.zeros((_POSES, 15, 3))
    for finger in range(5):
        for k, reach in _BEND:
            joint = 3 * finger + k - 1
            poses[:, joint] = (reach * closing[:, finger] + rng.normal(0, 0.08, _POSES))[:, None] * axes[joint]
    poses[:, ::3, 1] += rng.normal(0, 0.12, (_POSES, 5))  # spread at the knuckles
    flat = poses.reshape(_POSES, 45) + rng.normal(0, 1e-3, (_POSES, 45))
    components = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=True)[2]
    return components * np.sign(components[range(45), np.abs(components).argmax(axis=1)])[:, None]


def mirror_pose(pose: np.ndarray) -> np.ndarray:
    """Axis-angle (..., 3 J) of the other hand: (x, -y, -z) per joint."""
    return pose * np.tile((1.0, -1.0, -1.0), pose.shape[-1] // 3)
