"""Smooth random curves and the few rotations that drawing a motion needs, on NumPy arrays."""
import numpy as np
import torch

from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle


def smooth_curve(keys: np.ndarray, num_frames: int) -> np.ndarray:
    """Catmull-Rom spline through keys (K, ...), K >= 2, sampled at `num_frames` even times: (T, ...)."""
    time = np.linspace(0, len(keys) - 1, num_frames) if num_frames > 1 else np.zeros(1)
    start = np.minimum(time.astype(int), len(keys) - 2)
    u = (time - start).reshape(-1, *[1] * (keys.ndim - 1))
    before, a, b, after = (keys[np.clip(start + k, 0, len(keys) - 1)] for k in (-1, 0, 1, 2))
    return 0.5 * (2 * a + (b - before) * u + (2 * before - 5 * a + 4 * b - after) * u ** 2
                  + (3 * a - before - 3 * b + after) * u ** 3)


def random_curve(rng: np.random.Generator, num_frames: int, low, high, frames_per_key: int = 4) -> np.ndarray:
    """(T, ...) smooth values that pass through uniform draws from [low, high] (broadcast), and never leave that range."""
    low, high = np.broadcast_arrays(np.asarray(low, float), np.asarray(high, float))
    keys = rng.uniform(low, high, (num_keys(num_frames, frames_per_key), *low.shape))
    return np.clip(smooth_curve(keys, num_frames), low, high)


def num_keys(num_frames: int, frames_per_key: int) -> int:
    """How many draws a curve of that length passes through."""
    return max(2, 1 + round(num_frames / frames_per_key))


def turns(rotvec) -> np.ndarray:
    """Axis-angle (..., 3), radians -> rotation matrices (..., 3, 3)."""
    return axis_angle_to_rotmat(torch.from_numpy(np.ascontiguousarray(rotvec, np.float64))).numpy()


def rotvecs(turn: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) -> axis-angle (..., 3)."""
    return rotmat_to_axis_angle(torch.from_numpy(np.ascontiguousarray(turn, np.float64))).numpy()


def axis_turns(axis, angle: np.ndarray) -> np.ndarray:
    """Turns (..., 3, 3) about one axis (3,) by angles (...), radians."""
    return turns(np.asarray(angle, float)[..., None] * np.asarray(axis, float))


def unit(v: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) at length 1."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def frame_of(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Right-handed frames (..., 3, 3) whose first column is `first` (..., 3) and whose second lies towards `second`."""
    a = unit(first)
    b = unit(second - (second * a).sum(-1, keepdims=True) * a)
    return np.stack([a, b, np.cross(a, b)], axis=-1)
