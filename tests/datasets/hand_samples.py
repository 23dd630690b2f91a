"""Rows of stores of hands, posed and projected."""
import numpy as np
import torch

from hmradapter.geometry.rotations import axis_angle_to_rotmat


def rows(store) -> list:
    """(key, record) of every row."""
    return [(store.key(row), store.record(row)) for row in range(len(store))]


def posed(layer, record, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and keypoints (21, 3), metres in the camera, of the parameters of one hand of a record."""
    turns = axis_angle_to_rotmat(torch.from_numpy(np.concatenate((record['hand_global_orient'][side][None],
                                                                  record['hand_pose'][side]))))[None]
    out = layer(turns[:, :1], turns[:, 1:], *(torch.from_numpy(record[name][side][None].copy())
                                              for name in ('hand_betas', 'hand_transl')))
    return out.vertices[0].double().numpy(), out.keypoints[0].double().numpy()


def project(points, K) -> np.ndarray:
    """Camera points (N, 3) -> pixels (N, 2)."""
    uvw = points @ np.asarray(K).T
    return uvw[:, :2] / uvw[:, 2:]
