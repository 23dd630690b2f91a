"""What whole-body meshes are measured at, read from the body models' own files. V vertices of SMPL-X's mesh, W of SMPL's."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmradapter.body_models.index_maps import (
    FACE_FILE,
    HAND_FILE,
    J14_FILE,
    SMPL_FILE,
    find_map_file,
    load_common_joints,
    load_face_vertex_ids,
    load_hand_vertex_ids,
    load_smpl_from_smplx,
)
from hmradapter.body_models.model_files import find_model_file, read_model_file
from hmradapter.body_models.smplx_layer import extra_joint_ids
from hmradapter.evaluation.whole_body_errors import BodyRegions

TIPS = dict(left=slice(11, 16), right=slice(16, 21))  # of `extra_joint_ids`


@dataclass(frozen=True)
class SMPLMesh:
    """SMPL's regressor (24, W) of its joints, and its vertices from SMPL-X's, a sparse (W, V)."""
    skeleton: np.ndarray
    from_smplx: Tensor


def load_body_regions(root: str | Path) -> BodyRegions:
    """Regions of the neutral SMPL-X below `root`, a folder with smplx/SMPLX_NEUTRAL.npz, MANO_SMPLX_vertex_ids.pkl,
    SMPL-X__FLAME_vertex_ids.npy and SMPLX_to_J14.pkl.

    Raises:
        FileNotFoundError, ValueError: name the file, what was expected and where it comes from.
    """
    path = find_model_file(root, 'SMPL-X', 'SMPLX_NEUTRAL')
    arrays = read_model_file(path, 'SMPL-X')
    skeleton = arrays['J_regressor'].astype(np.float64)
    vertices = skeleton.shape[1]
    common = load_common_joints(root).astype(np.float64)
    _check_size(find_map_file(root, J14_FILE), 'columns', common.shape[1], path, vertices)
    hands, face, extra = load_hand_vertex_ids(root), load_face_vertex_ids(root), extra_joint_ids(path, arrays)
    for name, ids in ((HAND_FILE, np.concatenate([*hands.values()])), (FACE_FILE, face)):
        if len(ids) == 0 or ids.min() < 0 or ids.max() >= vertices:
            raise ValueError(f'{find_map_file(root, name)} has vertex ids outside of 0 .. {vertices - 1}, the vertices of '
                             f'{path}: both files must be of the same model.')
    return BodyRegions(skeleton, common, hands, face, {side: tuple(extra[part]) for side, part in TIPS.items()})


def load_smpl_mesh(root: str | Path, smplx_vertices: int) -> SMPLMesh:
    """SMPL's mesh below `root`, a folder with smpl/SMPL_NEUTRAL.pkl and smplx2smpl.pkl, for SMPL-X's `smplx_vertices`."""
    path = find_model_file(root, 'SMPL', 'SMPL_NEUTRAL')
    skeleton = read_model_file(path, 'SMPL')['J_regressor'].astype(np.float64)
    file, matrix = find_map_file(root, SMPL_FILE), load_smpl_from_smplx(root)
    _check_size(file, 'rows', matrix.shape[0], path, skeleton.shape[1])
    _check_size(file, 'columns', matrix.shape[1], find_model_file(root, 'SMPL-X', 'SMPLX_NEUTRAL'), smplx_vertices)
    rows, columns = np.nonzero(matrix)  # a few per row; the dense matrix would have 72 million entries
    sparse = torch.sparse_coo_tensor(np.stack((rows, columns)), matrix[rows, columns].astype(np.float64), matrix.shape,
                                     check_invariants=True)
    return SMPLMesh(skeleton, sparse.coalesce())


def _check_size(file: Path, axis: str, found: int, model: Path, expected: int) -> None:
    if found != expected:
        raise ValueError(f'{file} has {found} {axis}, but {model} has {expected} vertices: both files must be of the same '
                         'model.')
