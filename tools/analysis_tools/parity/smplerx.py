"""A whole directory of SMPLer-X's fixtures, file by file."""
from pathlib import Path

import numpy as np
import torch

from hmradapter.geometry.rotations import axis_angle_to_rotmat

from . import smplerx_data, smplerx_geometry, smplerx_metrics, smplerx_network
from .directory import Part
from .report import Row, compare
from .toy_bodies import toy_smplx

BODY_INPUTS = ('betas', 'expression', 'global_orient', '*_pose')
BODY_ATOL = 1e-5  # metres


@torch.no_grad()
def check_body(folder: Path) -> list[Row]:
    """toy_smplx.npz: our SMPL-X layer on the closed-form model that the other files were made with."""
    with np.load(folder / 'toy_smplx.npz') as data:
        arrays = {name: torch.from_numpy(data[name]) for name in data.files}
    layer = toy_smplx()
    pose = {name: arrays[name].unflatten(-1, (-1, 3)) for name in arrays if name.endswith(('_pose', 'global_orient'))}
    for side in ('left', 'right'):
        pose[f'{side}_hand_pose'] = pose[f'{side}_hand_pose'] + getattr(layer, f'{side}_hand_mean').unflatten(0, (-1, 3))
    mesh = layer(**{name: axis_angle_to_rotmat(value) for name, value in pose.items()}, betas=arrays['betas'],
                 expression=arrays['expression'])
    mean = torch.cat((torch.zeros(len(arrays['pose_mean']) - 90), layer.left_hand_mean, layer.right_hand_mean))
    rows = [compare('joints144', mesh.joints, arrays['joints144'], BODY_ATOL),
            compare('pose_mean', mean, arrays['pose_mean'], 1e-6)]
    for name in [name for name in arrays if name.startswith('vertices_stride')]:
        step = int(name.removeprefix('vertices_stride'))
        rows.append(compare(name, mesh.vertices[:, ::step], arrays[name], BODY_ATOL))
    return rows


PARTS = {
    'body': Part('toy_smplx.npz', check_body, BODY_INPUTS),
    'network': Part('network.npz', smplerx_network.check_network, smplerx_network.NETWORK_INPUTS),
    'losses': Part('losses.npz', smplerx_network.check_losses, smplerx_network.LOSS_INPUTS),
    'geometry': Part('geometry.npz', smplerx_geometry.check, smplerx_geometry.INPUTS),
    'preprocess': Part('preprocess.npz', smplerx_data.check_preprocess, smplerx_data.PREPROCESS_INPUTS),
    'metrics': Part('metrics.npz', smplerx_metrics.check, smplerx_metrics.INPUTS),
    'humandata': Part('humandata/expected.npz', smplerx_data.check_humandata, smplerx_data.HUMANDATA_INPUTS)}
