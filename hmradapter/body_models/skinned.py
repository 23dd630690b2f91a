"""What MANO and SMPL-X layers share: a template with shape directions, pose correctives and linear blend skinning.

B bodies, V vertices, J joints, K shape (and expression) coefficients. Metres. Rotation matrices, parent-relative.
"""
import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn


class BodyModelOutput(NamedTuple):
    """vertices (B, V, 3) and joints (B, J, 3); keypoints (B, 21, 3) in HAND21 order for a hand, None for a body."""
    vertices: Tensor
    joints: Tensor
    keypoints: Tensor | None = None


class SkinnedModel(nn.Module):
    """Skins a mesh. Every buffer is non-persistent: a checkpoint never carries a licensed model."""

    def __init__(self, arrays: dict[str, np.ndarray], shapedirs: np.ndarray, v_template: np.ndarray | None = None):
        """arrays: content of a model file; shapedirs (V, 3, K): those of its directions that are used."""
        super().__init__()
        self.faces = arrays['f'].astype(np.int64)
        self.parents = [-1, *map(int, arrays['kintree_table'][0][1:])]
        joints = len(self.parents)
        regressor = _float(arrays['J_regressor'])
        self._levels = _levels(self.parents)
        for depth, (joint_ids, parent_places) in enumerate(self._levels):  # buffers: no index is copied to a GPU per call
            self._keep(f'joints_at_{depth}', torch.tensor(joint_ids))
            self._keep(f'parents_at_{depth}', torch.tensor(parent_places))
        self._keep('joint_order', torch.tensor([j for joint_ids, _ in self._levels for j in joint_ids]).argsort())
        # all x, then all y, then all z: sums over joints and directions then run along memory
        directions = np.concatenate([shapedirs, arrays['posedirs']], axis=-1)
        self._keep('directions', _float(directions).permute(2, 1, 0).flatten(1))  # (K + 9 (J - 1), 3 V)
        self._keep('weights', _float(arrays['weights']).T)                        # (J, V)
        self._keep('J_regressor', regressor)                                      # (J, V)
        # a joint of a shaped body is linear in the coefficients too, so no (B, V, 3) need be regressed
        joint_directions = torch.einsum('jv,vck->kjc', regressor, _float(shapedirs))
        self._keep('joint_directions', joint_directions.reshape(-1, 3 * joints))  # (K, 3 J)
        self._set_template(_float(arrays['v_template']))
        if v_template is not None:
            self._set_template(self._checked_template(v_template))

    def with_template(self, v_template) -> 'SkinnedModel':
        """The same model with another template (V, 3), e.g. a scanned subject; everything else is shared, not copied."""
        twin = copy.copy(self)
        twin._buffers = dict(self._buffers)
        twin._set_template(self._checked_template(v_template).to(self.v_template))
        return twin

    def rest_joints(self, coefficients: Tensor) -> Tensor:
        """Joints (B, J, 3) before posing, for coefficients (B, K)."""
        return self.joint_template + (coefficients @ self.joint_directions).unflatten(-1, (-1, 3))

    def skin(self, rotations: Tensor, coefficients: Tensor, transl: Tensor | None) -> tuple[Tensor, Tensor]:
        """rotations (B, J, 3, 3), coefficients (B, K), transl (B, 3) or None -> vertices (B, V, 3) and joints (B, J, 3)."""
        with torch.autocast(rotations.device.type, enabled=False):  # half precision would cost millimetres
            rotations, coefficients = rotations.to(self.v_template.dtype), coefficients.to(self.v_template.dtype)
            rest = self.rest_joints(coefficients)
            features = rotations[:, 1:] - torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            offsets = torch.cat([coefficients, features.flatten(1)], dim=1) @ self.directions         # (B, 3 V)
            x, y, z = (self.v_template.T + offsets.unflatten(-1, (3, -1))).unsqueeze(1).unbind(2)     # (B, 1, V) each
            turns, joints = self._pose(rotations, rest)
            shifts = joints - (turns @ rest.unsqueeze(-1)).squeeze(-1)                                # (B, J, 3)
            transforms = torch.cat([turns.transpose(2, 3).flatten(2), shifts], dim=2)                 # (B, J, 12)
            turned = transforms.transpose(1, 2) @ self.weights                                        # (B, 12, V)
            from_x, from_y, from_z, shift = turned.unflatten(1, (4, 3)).unbind(1)                  # columns (B, 3, V)
            vertices = (from_x * x + from_y * y + from_z * z + shift).transpose(1, 2).contiguous()
            if transl is None:
                return vertices, joints
            transl = transl.to(vertices.dtype).unsqueeze(1)
            return vertices + transl, joints + transl

    def _pose(self, rotations: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """Parent-relative rotations (B, J, 3, 3) and rest joints (B, J, 3) -> world rotations and posed joints.
        All joints of one depth go at once: 4 steps for a hand and 11 for a body instead of 15 and 54."""
        turns, joints = [rotations[:, :1]], [rest[:, :1]]
        above = rest[:, :1]
        for depth in range(1, len(self._levels)):
            place, parent = getattr(self, f'joints_at_{depth}'), getattr(self, f'parents_at_{depth}')
            here, turn = rest[:, place], turns[-1][:, parent]
            joints.append(joints[-1][:, parent] + (turn @ (here - above[:, parent]).unsqueeze(-1)).squeeze(-1))
            turns.append(turn @ rotations[:, place])
            above = here
        return torch.cat(turns, dim=1)[:, self.joint_order], torch.cat(joints, dim=1)[:, self.joint_order]

    def _set_template(self, template: Tensor) -> None:
        self._keep('v_template', template)
        self._keep('joint_template', self.J_regressor.to(template) @ template)

    def _checked_template(self, v_template) -> Tensor:
        template = torch.as_tensor(np.asarray(v_template), dtype=torch.float32)
        if template.shape != self.v_template.shape:
            raise ValueError(f'v_template has the shape {tuple(template.shape)}, not {tuple(self.v_template.shape)}: '
                             'a template must come from the same model (a licensed one does not fit the open one).')
        return template

    def _keep(self, name: str, tensor: Tensor) -> None:
        self.register_buffer(name, tensor.contiguous(), persistent=False)


def _levels(parents: list[int]) -> list[tuple[list[int], list[int]]]:
    """Joints by depth below the root, each level with the places of their parents in the level above."""
    levels = [([0], [0])]
    while True:
        above = levels[-1][0]
        joints = [joint for joint, parent in enumerate(parents) if parent in above]
        if not joints:
            return levels
        levels.append((joints, [above.index(parents[joint]) for joint in joints]))


def check_coefficients(name: str, value: Tensor, size: int) -> None:
    """ValueError unless `value` is (B, size)."""
    if value.ndim != 2 or value.shape[1] != size:
        raise ValueError(f'{name} has the shape {tuple(value.shape)}, but this layer was made for (B, {size}): '
                         f'pass as many, or make the layer with num_{name}={value.shape[-1]}.')


def _float(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
