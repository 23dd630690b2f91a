"""Closed-form SMPL-X and SMPL that SMPLer-X's fixtures were made with: arrays without a licence, in the real files' layout.

i is a vertex, c an axis; every formula stands in the fixtures' README.
"""
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from hmradapter.body_models import SMPLXLayer

SMPLX_VERTICES, SMPLX_FACES, SMPLX_JOINTS = 10475, 20908, 55
SMPLX_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15,
                 20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38,
                 21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53)


def toy_arrays(vertices: int, faces: int, joints: int, directions: int) -> dict[str, np.ndarray]:
    """What SMPL and SMPL-X files have in common."""
    i, c = np.arange(vertices, dtype=np.float64)[:, None], np.arange(3)[None]
    turn = 2 * np.pi * i[:, 0] / vertices
    template = np.stack([0.6 * np.sin(turn), 1.6 * i[:, 0] / vertices - 0.8, 0.2 * np.cos(2 * turn)], axis=1)

    def waves(scale: float, pace: float, count: int) -> np.ndarray:
        k = np.arange(count)
        return scale * np.sin(pace * (i[..., None] + 1) * (k + 1) + 1.3 * c[..., None] + 0.5 * k)

    weights = np.exp(-((joints * i / vertices - np.arange(joints)) ** 2) / 2)
    bins = np.floor(joints * i[:, 0] / vertices)
    members = (bins[None] == np.arange(joints)[:, None]).astype(np.float64)
    first = 7 * np.arange(faces) % vertices
    return dict(v_template=template + 0.05 * np.sin(0.37 * i + c), shapedirs=waves(0.01, 0.0011, directions),
                posedirs=waves(0.0005, 0.00017, 9 * (joints - 1)), weights=weights / weights.sum(1, keepdims=True),
                J_regressor=members / members.sum(1, keepdims=True),
                f=np.stack([first, first + 1, first + 2], axis=1) % vertices)


def toy_smplx_arrays() -> dict[str, np.ndarray]:
    """Content of the toy SMPLX_NEUTRAL.npz."""
    k = np.arange(45)
    contour = (131 * np.arange(79)[:, None] + 977 * np.arange(17)) % SMPLX_FACES
    return dict(toy_arrays(SMPLX_VERTICES, SMPLX_FACES, SMPLX_JOINTS, 20),
                kintree_table=np.stack([np.array(SMPLX_PARENTS), np.arange(SMPLX_JOINTS)]),
                lmk_faces_idx=400 * np.arange(51) % SMPLX_FACES, lmk_bary_coords=np.tile([0.5, 0.3, 0.2], (51, 1)),
                dynamic_lmk_faces_idx=contour, dynamic_lmk_bary_coords=np.tile([0.2, 0.3, 0.5], (79, 17, 1)),
                hands_meanl=0.2 * np.sin(1.7 * k + 0.9), hands_meanr=0.2 * np.sin(1.7 * k + 0.3))


@cache
def toy_smplx() -> SMPLXLayer:
    """Our layer on the toy file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'SMPLX_NEUTRAL.npz'
        np.savez(path, **toy_smplx_arrays())
        return SMPLXLayer(str(path))
