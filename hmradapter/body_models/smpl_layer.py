"""SMPL with rotation matrices in: the body of 3DPW's annotations and of HMR 2.0's output. It has no fingers and no face."""
import numpy as np
import torch
from torch import Tensor

from hmradapter.body_models.model_files import BodyModelFileError, find_model_file, read_model_file
from hmradapter.body_models.skinned import BodyModelOutput, SkinnedModel, check_coefficients
from hmradapter.body_models.smplx_layer import GENDERS
from hmradapter.registry import BODY_MODELS

BODY_JOINTS = 23  # joints 22 and 23, the hands, turn all fingers at once


@BODY_MODELS.register_module()
class SMPLLayer(SkinnedModel):
    """A body of SMPL's own mesh and 24 joints, of which the first 22 are SMPL-X's. faces (F, 3) int64; tensor J_regressor
    (24, V) gives the joints of any mesh of this topology."""

    def __init__(self, model_path: str, gender: str = 'neutral', num_betas: int = 10, v_template: np.ndarray | None = None):
        """model_path: SMPL_*.pkl or its folder; v_template (V, 3) m of a subject."""
        if gender not in GENDERS:
            raise ValueError(f'gender is {gender!r}: SMPL has {GENDERS}.')
        path = find_model_file(model_path, 'SMPL', f'SMPL_{gender.upper()}')
        arrays = read_model_file(path, 'SMPL')
        if arrays['shapedirs'].shape[-1] < num_betas:
            raise BodyModelFileError(path, 'SMPL', f'it has {arrays["shapedirs"].shape[-1]} shape directions and '
                                     f'num_betas={num_betas} were asked for')
        super().__init__(arrays, arrays['shapedirs'][..., :num_betas], v_template)
        self.gender, self.num_betas, self.path = gender, num_betas, path

    def forward(self, global_orient: Tensor, body_pose: Tensor, betas: Tensor | None = None,
                transl: Tensor | None = None) -> BodyModelOutput:
        """global_orient (B, 1, 3, 3), body_pose (B, 23, 3, 3), betas (B, num_betas), transl (B, 3) m; joints (B, 24, 3)."""
        for name, rotations, count in (('global_orient', global_orient, 1), ('body_pose', body_pose, BODY_JOINTS)):
            if rotations.shape[1:] != (count, 3, 3):
                raise ValueError(f'{name} has the shape {tuple(rotations.shape)} instead of (B, {count}, 3, 3) '
                                 'rotation matrices.')
        pose = torch.cat([global_orient, body_pose], dim=1)
        vertices, joints = self.skin(pose, self._betas(betas, len(pose)), transl)
        return BodyModelOutput(vertices, joints)

    def root_joint(self, betas: Tensor | None = None) -> Tensor:
        """Pelvis (B, 3) of the rest pose: what the body turns about."""
        return self.rest_joints(self._betas(betas, 1 if betas is None else len(betas)))[:, 0]

    def _betas(self, betas: Tensor | None, batch: int) -> Tensor:
        if betas is None:
            betas = self.v_template.new_zeros(1, self.num_betas)
        check_coefficients('betas', betas, self.num_betas)
        return betas.to(self.v_template.dtype).expand(batch, -1)
