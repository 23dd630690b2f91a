"""MANO as HaMeR uses it: rotation matrices in, absolute finger pose (the mean hand is not added), 21 keypoints out."""
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmradapter.body_models.model_files import BodyModelFileError, find_model_file, read_model_file
from hmradapter.body_models.skinned import BodyModelOutput, SkinnedModel, check_coefficients
from hmradapter.registry import BODY_MODELS
from hmradapter.structures.joints import HAND21_FROM_MANO, MANO_TIP_VERTICES

SIDES = ('right', 'left')
_LICENSED_VERTICES = 778  # the mesh that MANO_TIP_VERTICES belong to


@BODY_MODELS.register_module()
class MANOLayer(SkinnedModel):
    """One hand in its own frame: the wrist is where the model puts it, not the origin.

    faces (F, 3) int64; tensors hand_mean (45,) axis-angle of the relaxed hand, tip_ids (5,) thumb to pinky.
    """

    def __init__(self, model_path: str, side: str = 'right', num_betas: int = 10):
        """model_path: MANO_RIGHT.pkl, a .npz of the same fields, or a folder that has them."""
        if side not in SIDES:
            raise ValueError(f'side is {side!r}: a hand is one of {SIDES}.')
        path = find_model_file(model_path, 'MANO', f'MANO_{side.upper()}')
        arrays = read_model_file(path, 'MANO')
        if arrays['shapedirs'].shape[-1] < num_betas:
            raise BodyModelFileError(path, 'MANO', f'it has {arrays["shapedirs"].shape[-1]} shape directions and '
                                     f'num_betas={num_betas} were asked for')
        shapedirs = arrays['shapedirs'][..., :num_betas]
        if side == 'left':
            shapedirs = _repaired_left_shapes(path, shapedirs)
        super().__init__(arrays, shapedirs)
        self.side, self.num_betas, self.path = side, num_betas, path
        self._keep('tip_ids', torch.tensor(_tip_ids(path, arrays)))
        self._keep('keypoint_order', torch.tensor(HAND21_FROM_MANO))
        self._keep('hand_mean', torch.from_numpy(arrays['hands_mean'].astype(np.float32)))

    def forward(self, global_orient: Tensor, hand_pose: Tensor, betas: Tensor,
                transl: Tensor | None = None) -> BodyModelOutput:
        """global_orient (B, 1, 3, 3), hand_pose (B, 15, 3, 3) absolute, betas (B, 10), transl (B, 3) metres."""
        check_coefficients('betas', betas, self.num_betas)
        vertices, joints = self.skin(torch.cat([global_orient, hand_pose], dim=1), betas, transl)
        points = torch.cat([joints, vertices[:, self.tip_ids]], dim=1)
        return BodyModelOutput(vertices, joints, points[:, self.keypoint_order])

    def root_joint(self, betas: Tensor) -> Tensor:
        """Wrist (B, 3) of the rest pose: what the hand turns about."""
        return self.rest_joints(betas)[:, 0]


def _tip_ids(path: Path, arrays: dict) -> list[int]:
    if 'tip_vertex_ids' in arrays:
        return arrays['tip_vertex_ids'].tolist()
    if len(arrays['v_template']) == _LICENSED_VERTICES:
        return list(MANO_TIP_VERTICES)
    raise BodyModelFileError(path, 'MANO', f'it has {len(arrays["v_template"])} vertices, not {_LICENSED_VERTICES}, and no '
                             'tip_vertex_ids, so its fingertips are unknown')


def _repaired_left_shapes(path: Path, shapedirs: np.ndarray) -> np.ndarray:
    """The released MANO_LEFT.pkl has the x components of the right hand's shape directions (vchoutas/smplx issue 48).
    Found by comparison with the right hand's file beside it."""
    other = path.with_name(path.name.replace('LEFT', 'RIGHT'))
    if other == path or not other.is_file():
        warnings.warn(f'{path}: cannot tell whether its shape directions have the known sign error of MANO_LEFT, because '
                      f'MANO_RIGHT does not lie beside it. They are used as they are.', stacklevel=3)
        return shapedirs
    right = read_model_file(other, 'MANO')['shapedirs'][..., :shapedirs.shape[-1]]
    if right.shape != shapedirs.shape:
        raise BodyModelFileError(path, 'MANO', f'it does not belong to {other}: shapedirs {shapedirs.shape} and {right.shape}')
    x, x_right = shapedirs[:, 0].astype(np.float64), right[:, 0].astype(np.float64)
    if np.abs(x - x_right).sum() < np.abs(x + x_right).sum():
        shapedirs = shapedirs * np.array([-1, 1, 1], shapedirs.dtype)[:, None]
    return shapedirs
