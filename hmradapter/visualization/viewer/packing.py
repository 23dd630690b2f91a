"""Meshes as text for scripts: base64 of little-endian numbers, coordinates in 16 bits inside each mesh's own box.

A person's box has a diagonal of 2 to 3 m, so that a coordinate is stored to 0.02 mm. Meshes whose box is so large that a vertex
could move by more than MAX_ERROR are stored as float32. (Deltas and deflate were tried: 23 % smaller, not worth the code.)
"""
import base64

import numpy as np

MAX_ERROR = 5e-5  # metres
LEVELS = 65535


def pack_vertices(vertices: np.ndarray) -> dict:
    """(V, 3) metres to {type, data} and, for 16 bits, {origin, step}: coordinate = origin + step * stored."""
    vertices = np.asarray(vertices, np.float64)
    origin = vertices.min(0)
    step = (vertices.max(0) - origin) / LEVELS
    if np.linalg.norm(step) / 2 > MAX_ERROR:
        return dict(type='f4', data=_text(vertices.astype('<f4')))
    stored = np.rint((vertices - origin) / np.where(step > 0, step, 1)).astype('<u2')
    return dict(type='u2', data=_text(stored), origin=origin.tolist(), step=step.tolist())


def pack_faces(faces: np.ndarray) -> dict:
    """(F, 3) to {type, data} with 16 or 32 bits per corner."""
    faces = np.asarray(faces)
    kind = 'u2' if faces.max() <= LEVELS else 'u4'
    return dict(type=kind, data=_text(faces.astype(f'<{kind}')))


def unpack(packed: dict) -> np.ndarray:
    """What the page reads from `pack_vertices` or `pack_faces`: (N, 3). The plain twin of js/meshes.js, for checks."""
    stored = np.frombuffer(base64.b64decode(packed['data']), f'<{packed["type"]}').reshape(-1, 3)
    return stored if 'step' not in packed else np.array(packed['origin']) + np.array(packed['step']) * stored


def _text(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
