"""SMPL-X with rotation matrices in, absolute finger pose, and the joints of `smplx` (SMPLX144) out."""
import copy
from pathlib import Path

import numpy as np
import torch
from smplx.lbs import find_dynamic_lmk_idx_and_bcoords, vertices2landmarks
from smplx.vertex_ids import vertex_ids
from torch import Tensor

from hmradapter.body_models.model_files import BodyModelFileError, find_model_file, read_model_file
from hmradapter.body_models.skinned import BodyModelOutput, SkinnedModel, check_coefficients
from hmradapter.registry import BODY_MODELS

GENDERS = ('neutral', 'male', 'female')
# Parts of the pose in the model's joint order, with their numbers of joints.
POSE_PARTS = {'global_orient': 1, 'body_pose': 21, 'jaw_pose': 1, 'leye_pose': 1, 'reye_pose': 1, 'left_hand_pose': 15,
              'right_hand_pose': 15}
_EXPRESSIONS_FROM = 300      # released files: 300 shape directions, then 100 expressions; older and open ones: 10, then 10
_FEW_SHAPES = 10
_LICENSED_VERTICES = 10475   # the mesh that smplx's vertex ids belong to
_NECK = 12
_EXTRA = ('nose', 'reye', 'leye', 'rear', 'lear', 'LBigToe', 'LSmallToe', 'LHeel', 'RBigToe', 'RSmallToe', 'RHeel',
          *(side + finger for side in 'lr' for finger in ('thumb', 'index', 'middle', 'ring', 'pinky')))


@BODY_MODELS.register_module()
class SMPLXLayer(SkinnedModel):
    """A whole body. faces (F, 3) int64; left_hand_mean, right_hand_mean (45,) axis-angle of relaxed hands."""

    def __init__(self, model_path: str, gender: str = 'neutral', num_betas: int = 10, num_expression: int = 10,
                 v_template: np.ndarray | None = None, face_contour: bool = True):
        """model_path: SMPLX_*.npz or its folder; v_template (V, 3) m of a subject; face_contour: 144 or 127 joints."""
        if gender not in GENDERS:
            raise ValueError(f'gender is {gender!r}: SMPL-X has {GENDERS}.')
        path = find_model_file(model_path, 'SMPL-X', f'SMPLX_{gender.upper()}')
        arrays = read_model_file(path, 'SMPL-X')
        super().__init__(arrays, _directions(path, arrays['shapedirs'], num_betas, num_expression), v_template)
        self.gender, self.path, self.face_contour = gender, path, face_contour
        self.num_betas, self.num_expression = num_betas, num_expression
        self._keep('extra_ids', torch.tensor(extra_joint_ids(path, arrays)))
        self._keep('neck_chain', torch.tensor(_chain_to_root(_NECK, self.parents)))
        self._keep('face_ids', torch.from_numpy(self.faces))
        for name in ('lmk_faces_idx', 'dynamic_lmk_faces_idx'):
            self._keep(name, torch.from_numpy(arrays[name].astype(np.int64)))
        for name in ('lmk_bary_coords', 'dynamic_lmk_bary_coords'):
            self._keep(name, torch.from_numpy(arrays[name].astype(np.float32)))
        for side in ('left', 'right'):
            self._keep(f'{side}_hand_mean', torch.from_numpy(arrays[f'hands_mean{side[0]}'].astype(np.float32)))
            components = arrays.get(f'hands_components{side[0]}', np.zeros((0, 45)))
            self._keep(f'{side}_hand_components', torch.from_numpy(components.astype(np.float32)))
        hand_map = arrays.get('mano_betas_from_betas')
        self._keep('hand_betas_map', torch.from_numpy(np.zeros((0, 0)) if hand_map is None else hand_map).float())

    def forward(self, global_orient: Tensor | None = None, body_pose: Tensor | None = None,
                left_hand_pose: Tensor | None = None, right_hand_pose: Tensor | None = None, jaw_pose: Tensor | None = None,
                leye_pose: Tensor | None = None, reye_pose: Tensor | None = None, betas: Tensor | None = None,
                expression: Tensor | None = None, transl: Tensor | None = None) -> BodyModelOutput:
        """Rotations (B, n, 3, 3) with n of POSE_PARTS, hands absolute; betas (B, num_betas), expression (B, num_expression),
        transl (B, 3) m. What is None is at rest; a batch of 1 serves all. Joints (B, 144, 3), or 127 without face contour."""
        given = dict(global_orient=global_orient, body_pose=body_pose, jaw_pose=jaw_pose, leye_pose=leye_pose,
                     reye_pose=reye_pose, left_hand_pose=left_hand_pose, right_hand_pose=right_hand_pose)
        batch = max([len(x) for x in (*given.values(), betas, expression, transl) if x is not None], default=1)
        pose = torch.cat([self._part(name, rotations, batch) for name, rotations in given.items()], dim=1)
        coefficients = self._coefficients(betas, expression, batch)
        vertices, joints = self.skin(pose, coefficients, transl)
        joints = torch.cat([joints, vertices[:, self.extra_ids], self._landmarks(vertices, pose)], dim=1)
        return BodyModelOutput(vertices, joints)

    def root_joint(self, betas: Tensor | None = None) -> Tensor:
        """Pelvis (B, 3) of the rest pose: what the body turns about."""
        return self.rest_joints(self._coefficients(betas, None, 1 if betas is None else len(betas)))[:, 0]

    def hand_pose(self, side: str, coefficients: Tensor) -> Tensor:
        """Axis-angle of the fingers (B, 45), absolute, of coefficients (B, n) of the file's first n principal components, in
        the coefficients' precision: what `smplx` makes of them with use_pca=True and flat_hand_mean=False."""
        components, count = getattr(self, f'{side}_hand_components'), coefficients.shape[1]
        if len(components) < count:
            raise BodyModelFileError(self.path, 'SMPL-X', f'its {side} hand has {len(components)} components, not {count}')
        return coefficients @ components[:count].to(coefficients) + getattr(self, f'{side}_hand_mean').to(coefficients)

    def landmarks_only(self) -> 'SMPLXLayer':
        """A twin that skins no more vertices than its joints are made of: the same joints, `vertices` (B, v, 3) of no further
        use. For losses that read no mesh."""
        faces, places = torch.cat((self.lmk_faces_idx, self.dynamic_lmk_faces_idx.flatten())).unique(return_inverse=True)
        triangles = self.face_ids[faces]
        kept, numbers = torch.cat((self.extra_ids, triangles.flatten())).unique(return_inverse=True)
        twin = copy.copy(self)
        twin._buffers = dict(self._buffers)
        twin._keep('directions', self.directions.unflatten(1, (3, -1))[..., kept].flatten(1))
        twin._keep('weights', self.weights[:, kept])
        twin._keep('v_template', self.v_template[kept])
        twin._keep('extra_ids', numbers[:len(self.extra_ids)])
        twin._keep('face_ids', numbers[len(self.extra_ids):].view(-1, 3))
        twin._keep('lmk_faces_idx', places[:len(self.lmk_faces_idx)])
        twin._keep('dynamic_lmk_faces_idx', places[len(self.lmk_faces_idx):].view_as(self.dynamic_lmk_faces_idx))
        twin.faces = twin.face_ids.numpy()
        return twin

    def hand_betas(self, betas: Tensor | None = None) -> Tensor:
        """MANO betas (B, 10) of the hands of this layer's own template and betas. Only the open model knows this map:
        the licensed shape spaces were learnt apart. A `with_template` twin does not: ask the layer that made the template."""
        if not len(self.hand_betas_map):
            raise ValueError(f'{self.path} has no mano_betas_from_betas: MANO betas follow from SMPL-X betas only in '
                             'the open model. Fit them to the hand vertices instead.')
        if betas is None:
            betas = self.v_template.new_zeros(1, self.num_betas)
        return betas @ self.hand_betas_map[:, :betas.shape[1]].T + self.hand_betas_map[:, -1]

    def _part(self, name: str, rotations: Tensor | None, batch: int) -> Tensor:
        count = POSE_PARTS[name]
        if rotations is None:
            return torch.eye(3).to(self.v_template).expand(batch, count, 3, 3)
        if rotations.shape[1:] != (count, 3, 3):
            raise ValueError(f'{name} has the shape {tuple(rotations.shape)} instead of (B, {count}, 3, 3) rotation matrices.')
        return rotations.to(self.v_template.dtype).expand(batch, -1, -1, -1)

    def _coefficients(self, betas: Tensor | None, expression: Tensor | None, batch: int) -> Tensor:
        parts = []
        for name, value, size in (('betas', betas, self.num_betas), ('expression', expression, self.num_expression)):
            if value is None:
                value = self.v_template.new_zeros(1, size)
            check_coefficients(name, value, size)
            parts.append(value.to(self.v_template.dtype).expand(batch, -1))
        return torch.cat(parts, dim=1)

    def _landmarks(self, vertices: Tensor, pose: Tensor) -> Tensor:
        """Face landmarks (B, 51 or 68, 3); the contour's depend on the head's yaw."""
        batch = len(vertices)
        ids, bary = self.lmk_faces_idx.expand(batch, -1).contiguous(), self.lmk_bary_coords.expand(batch, -1, -1)
        if self.face_contour:
            contour = find_dynamic_lmk_idx_and_bcoords(vertices, pose, self.dynamic_lmk_faces_idx, self.dynamic_lmk_bary_coords,
                                                       self.neck_chain, pose2rot=False)
            ids, bary = torch.cat([ids, contour[0]], dim=1), torch.cat([bary, contour[1]], dim=1)
        return vertices2landmarks(vertices, self.face_ids, ids, bary)


def _directions(path: Path, shapedirs: np.ndarray, num_betas: int, num_expression: int) -> np.ndarray:
    """Shape directions, then expression directions (V, 3, K), cut from either layout."""
    has = count_directions(shapedirs)
    start = max(has[0], _FEW_SHAPES)
    if num_betas > has[0] or num_expression > has[1]:
        raise BodyModelFileError(path, 'SMPL-X', f'it has {has[0]} shape and {has[1]} expression directions, but '
                                 f'num_betas={num_betas} and num_expression={num_expression} were asked for')
    return np.concatenate([shapedirs[..., :num_betas], shapedirs[..., start:start + num_expression]], axis=-1)


def count_directions(shapedirs: np.ndarray) -> tuple[int, int]:
    """How many shape and expression directions a file's shapedirs (V, 3, K) have."""
    start = _EXPRESSIONS_FROM if shapedirs.shape[-1] > _EXPRESSIONS_FROM else _FEW_SHAPES
    return min(start, shapedirs.shape[-1]), max(shapedirs.shape[-1] - start, 0)


def extra_joint_ids(path: Path, arrays: dict) -> list[int]:
    """Vertices (21,) that stand for nose, eyes, ears, feet, and the fingertips of the left and the right hand (thumb first)."""
    if 'extra_joint_vertex_ids' in arrays:
        return arrays['extra_joint_vertex_ids'].tolist()
    if len(arrays['v_template']) == _LICENSED_VERTICES:
        return [vertex_ids['smplx'][name] for name in _EXTRA]
    raise BodyModelFileError(path, 'SMPL-X', f'it has {len(arrays["v_template"])} vertices, not {_LICENSED_VERTICES}, and no '
                             'extra_joint_vertex_ids, so its nose, toes and fingertips are unknown')


def _chain_to_root(joint: int, parents: list[int]) -> list[int]:
    chain = []
    while joint >= 0:
        chain.append(joint)
        joint = parents[joint]
    return chain
