"""The body models that ARCTIC's labels are for: MANO of either side, and each subject's gendered SMPL-X with its template."""
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmradapter.body_models import MANOLayer, SMPLXLayer
from hmradapter.body_models.model_files import find_model_file
from hmradapter.geometry.rotations import axis_angle_to_rotmat

from ..smplx_labels import pose_smplx, smplx_meshes
from .arctic_files import ArcticFiles

TRUTHS = ('template', 'neutral')


class ArcticBodies:
    """Poses hands and bodies in the world frame. Layers are built on first use.

    Args:
        files: the release.
        root: folder with smplx/ and mano/.
        subjects: those whose bodies will be asked for.
    """

    def __init__(self, files: ArcticFiles, root: Path, subjects: Sequence[str]):
        self.files, self.root, self.subjects = files, Path(root), list(subjects)
        self.hand_layer = cache(self._hand_layer)
        self.body_layer = lru_cache(maxsize=1)(self._body_layer)  # sequences come subject by subject
        # the face's contour is what the camera sees of it, so it cannot be posed once for all views; its confidence stays 0
        self._gendered = cache(lambda gender: SMPLXLayer(self.root / 'smplx', gender=gender, face_contour=False))

    def model_files(self, truth: str | None = None) -> list[Path]:
        """Every model file that labels, and meshes of this `truth`, depend on."""
        genders = {self.files.subject(subject)['gender'].upper() for subject in self.subjects}
        genders |= {'NEUTRAL'} if truth == 'neutral' else set()
        paths = [find_model_file(self.root / 'smplx', 'SMPL-X', f'SMPLX_{gender}') for gender in sorted(genders)]
        return paths + [find_model_file(self.root / 'mano', 'MANO', f'MANO_{side}') for side in ('LEFT', 'RIGHT')]

    def templates(self) -> np.ndarray:
        """(S, V, 3) rest shapes of the subjects, metres."""
        return np.stack([self._template(subject) for subject in self.subjects])

    def hand_mean(self, side: str) -> Tensor:
        """(45,) what residual finger poses are relative to, float64."""
        return self.hand_layer(side).hand_mean.double()

    @torch.no_grad()
    def pose_hand(self, side: str, params: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """rot (F, 3), pose (F, 45) absolute, trans (F, 3), shape (F, 10) -> HAND21 points (F, 21, 3), rest wrist (F, 3)."""
        layer = self.hand_layer(side)
        rotations = axis_angle_to_rotmat(torch.cat((params['rot'], params['pose']), dim=-1).unflatten(-1, (16, 3)))
        betas = params['shape'].to(layer.v_template)
        out = layer(global_orient=rotations[:, :1], hand_pose=rotations[:, 1:], betas=betas, transl=params['trans'])
        return out.keypoints.double(), layer.root_joint(betas).double()

    @torch.no_grad()
    def pose_body(self, subject: str, params: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Arrays of `arctic_files.SMPLX_SHAPES` (F, .) -> SMPLX144's first 127 joints (F, 127, 3), rest pelvises (F, 3)."""
        return pose_smplx(self.body_layer(subject), params)

    @torch.no_grad()
    def pose_mesh(self, subject: str, params: dict[str, Tensor], truth: str) -> np.ndarray:
        """Bodies as above -> meshes (F, V, 3) float32. 'template': the subject's own, the true ones. 'neutral': neutral SMPL-X
        without betas, its pelvis where the true one is, which is what SMPLer-X measured itself against."""
        layer = self.body_layer(subject)
        if truth == 'neutral':
            own, layer = layer, self._gendered('neutral')
            params = dict(params, transl=params['transl'] + own.root_joint() - layer.root_joint())
        return smplx_meshes(layer, params)

    def _hand_layer(self, side: str) -> MANOLayer:
        return MANOLayer(self.root / 'mano', side=side)

    def _body_layer(self, subject: str) -> SMPLXLayer:
        return self._gendered(self.files.subject(subject)['gender']).with_template(self._template(subject))

    def _template(self, subject: str) -> np.ndarray:
        template, layer = self.files.template(subject), self._gendered(self.files.subject(subject)['gender'])
        if template.shape != layer.v_template.shape:
            raise ValueError(f'{self.files.template_path(subject)} has {len(template)} vertices, {layer.path} has '
                             f'{len(layer.v_template)}: the release and the body model do not belong together (rendered data '
                             'goes with the open model, ARCTIC with the licensed one).')
        return template

