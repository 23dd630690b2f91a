"""The mesh of a predicted hand from its parameters, the same numbers wherever and whenever it is computed.

Both when a prediction is made and when its file is read, the mesh comes from here: one hand at a time, on the CPU, in float64,
rounded to float32 at the end. Batches, devices and threads change the last digits of float32 arithmetic, but not of this.
"""
import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models import MANOLayer
from hmradapter.fileio import sha256_file
from hmradapter.geometry.mirror import mirror_points, mirror_rotmat


@dataclass(frozen=True)
class HandModel:
    """A right-hand MANO layer in float64 and the identity of its file. Left hands are this model in the mirror, as in HaMeR."""
    layer: MANOLayer
    path: Path
    sha256: str

    @classmethod
    def of(cls, layer: MANOLayer) -> 'HandModel':
        """From a layer of any device and dtype, which is copied."""
        if layer.side != 'right' or 'LEFT' in Path(layer.path).name.upper():
            raise ValueError(f'{layer.path} is a left hand; predictions are made with the right one: give MANO_RIGHT.')
        return cls(copy.deepcopy(layer).cpu().double().eval(), Path(layer.path), sha256_file(layer.path))

    @classmethod
    def load(cls, path: str | Path, num_betas: int = 10) -> 'HandModel':
        """From MANO_RIGHT's file or its folder."""
        return cls.of(MANOLayer(str(path), side='right', num_betas=num_betas))

    @torch.no_grad()
    def mesh(self, hand: str, global_orient: np.ndarray, hand_pose: np.ndarray,
             betas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """global_orient (3, 3), hand_pose (15, 3, 3), betas (10,) of a 'right' or 'left' hand
        -> vertices (V, 3), keypoints (21, 3) float32, faces (F, 3) int64."""
        orient, pose, shape = (torch.from_numpy(np.asarray(values, np.float64))[None]
                               for values in (global_orient[None], hand_pose, betas))
        if hand == 'left':
            orient, pose = mirror_rotmat(orient), mirror_rotmat(pose)
        output = self.layer(orient, pose, shape)
        vertices, keypoints, faces = output.vertices[0], output.keypoints[0], self.layer.faces
        if hand == 'left':
            vertices, keypoints, faces = mirror_points(vertices), mirror_points(keypoints), faces[:, ::-1]
        return vertices.float().numpy(), keypoints.float().numpy(), np.ascontiguousarray(faces)
