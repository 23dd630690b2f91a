"""The mesh of a predicted person from its parameters, the same numbers wherever and whenever it is computed.

As in `hand_mesh`: one person at a time, on the CPU, in float64, rounded to float32 at the end.
"""
import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.fileio import sha256_file
from hmradapter.structures.joints import WHOLE137_FROM_SMPLX144

ROTATIONS = ('global_orient', 'body_pose', 'jaw_pose', 'left_hand_pose', 'right_hand_pose')
PARAMETERS = (*ROTATIONS, 'betas', 'expression')


@dataclass(frozen=True)
class BodyModel:
    """A neutral SMPL-X layer in float64 and the identity of its file."""
    layer: SMPLXLayer
    path: Path
    sha256: str

    @classmethod
    def of(cls, layer: SMPLXLayer) -> 'BodyModel':
        """From a layer of any device and dtype, which is copied."""
        return cls(copy.deepcopy(layer).cpu().double().eval(), Path(layer.path), sha256_file(layer.path))

    @classmethod
    def load(cls, path: str | Path) -> 'BodyModel':
        """From a SMPLX_*.npz or its folder."""
        return cls.of(SMPLXLayer(str(path)))

    @property
    def faces(self) -> np.ndarray:
        """(F, 3) int64."""
        return self.layer.faces

    @torch.no_grad()
    def mesh(self, parameters: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """PARAMETERS of one person as `PersonPrediction` has them -> vertices (V, 3), keypoints (137, 3), float32."""
        values = {name: torch.from_numpy(np.asarray(parameters[name], np.float64))[None] for name in PARAMETERS}
        for name in ('global_orient', 'jaw_pose'):
            values[name] = values[name].unsqueeze(1)
        body = self.layer(**values)
        return body.vertices[0].float().numpy(), body.joints[0, WHOLE137_FROM_SMPLX144].float().numpy()
