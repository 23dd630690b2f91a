"""A folder of toy SMPL-X and SMPL files, small enough to evaluate hundreds of times, and predictions on it."""
import pickle
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import BaseDataElement

from hmradapter.body_models import SMPLXLayer
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures import HMRDataSample

V, W, F = 160, 70, 40  # vertices of SMPL-X and of SMPL, faces
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15,
           20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38,
           21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53)


def rows_of_one(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    matrix = rng.random((rows, columns)) ** 8
    return matrix / matrix.sum(1, keepdims=True)


def toy_root(folder: Path) -> Path:
    """SMPL-X, SMPL and the index files under their official names."""
    rng = np.random.default_rng(5)
    common = dict(f=rng.integers(0, V, (F, 3)))
    (folder / 'smplx').mkdir(parents=True)
    (folder / 'smpl').mkdir()
    np.savez(folder / 'smplx' / 'SMPLX_NEUTRAL.npz', **common, v_template=rng.normal(0, 0.4, (V, 3)),
             shapedirs=rng.normal(0, 0.01, (V, 3, 20)), posedirs=np.zeros((V, 3, 486)), J_regressor=rows_of_one(rng, 55, V),
             weights=rows_of_one(rng, V, 55), kintree_table=np.array([PARENTS, range(55)]), hands_meanl=np.full(45, 0.1),
             hands_meanr=np.full(45, 0.2), lmk_faces_idx=np.zeros(51, int), lmk_bary_coords=np.full((51, 3), 1 / 3),
             dynamic_lmk_faces_idx=np.zeros((79, 17), int), dynamic_lmk_bary_coords=np.full((79, 17, 3), 1 / 3),
             extra_joint_vertex_ids=rng.permutation(V)[:21])
    smpl = dict(f=rng.integers(0, W, (F, 3)), v_template=rng.normal(0, 0.4, (W, 3)), shapedirs=rng.normal(0, 0.01, (W, 3, 10)),
                posedirs=np.zeros((W, 3, 207)), J_regressor=rows_of_one(rng, 24, W), weights=rows_of_one(rng, W, 24),
                kintree_table=np.array([PARENTS[:22] + (20, 21), range(24)]))
    ids = rng.permutation(V)
    for name, content in {'smpl/SMPL_NEUTRAL.pkl': smpl, 'smplx2smpl.pkl': dict(matrix=rows_of_one(rng, W, V)),
                          'MANO_SMPLX_vertex_ids.pkl': dict(left_hand=ids[:20], right_hand=ids[20:40]),
                          'SMPLX_to_J14.pkl': rows_of_one(rng, 14, V)}.items():
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    np.save(folder / 'SMPL-X__FLAME_vertex_ids.npy', ids[40:90])
    return folder


def toy_persons(root: Path, count: int, seed: int = 0, noise: float = 0.1, visibility: bool = False) -> list[HMRDataSample]:
    """Persons whose prediction is the truth with `noise` radians on every rotation."""
    generator, layer = torch.Generator().manual_seed(seed), SMPLXLayer(str(root))
    return [_person(i, layer, generator, noise, dict(visibility=i / count) if visibility else {}) for i in range(count)]


PARTS = dict(global_orient=1, body_pose=21, left_hand_pose=15, right_hand_pose=15, jaw_pose=1)


def _person(i: int, layer: SMPLXLayer, generator: torch.Generator, noise: float, meta: dict) -> HMRDataSample:
    true, pred = {}, {}
    for name, joints in PARTS.items():
        pose = 0.3 * torch.randn(joints, 3, generator=generator)
        true[name] = axis_angle_to_rotmat(pose)
        pred[name] = axis_angle_to_rotmat(pose + noise * torch.randn(joints, 3, generator=generator))
    for pose in (true, pred):
        pose.update(betas=torch.randn(10, generator=generator), expression=torch.zeros(10))
    pred['betas'] = true['betas'] if noise == 0 else pred['betas']
    meshes = [layer(**{name: value[None] for name, value in pose.items()}).vertices[0] for pose in (true, pred)]
    place = torch.tensor([0.1, 0.2, 4.0])
    crop = dict(focal=torch.tensor([500., 500.]), princpt=torch.tensor([320., 240.]), img_size=torch.tensor([640., 480.]))
    truth = dict(true, vertices=meshes[0] + place, has_vertices=torch.tensor(1.), pose_valid=torch.ones(53))
    return HMRDataSample(metainfo=dict(key=f'person{i}', sample_idx=i, **meta), gt=BaseDataElement(**truth),
                         crop=BaseDataElement(**crop),
                         pred=BaseDataElement(**pred, vertices=meshes[1], cam_t=torch.tensor([0., 0., 20.])))
