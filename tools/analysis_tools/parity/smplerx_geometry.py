"""SMPLer-X's boxes, soft-argmax, samplers, rotations, camera, alignment and joint tables: ours against geometry.npz."""
import json
from collections.abc import Iterator
from math import pi
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.geometry.procrustes import similarity_align
from hmradapter.geometry.rotations import axis_angle_to_rotmat, interleaved_rot6d_to_rotmat, rotmat_to_axis_angle
from hmradapter.models.heads.soft_argmax import soft_argmax
from hmradapter.models.roi_samplers import BilinearJointSampler, MMCVRoIAlign, TorchRoIAlign, TorchvisionRoIAlign
from hmradapter.models.roi_samplers.roi_align import has_mmcv_ops, has_torchvision_ops
from hmradapter.structures import joints

from .report import Row, compare
from .smplerx_network import frame_of

INPUTS = ('box_center', 'box_size', 'box_*_aspect_extension', 'hm3d', 'hm2d', 'sample_feat', 'sample_xy', 'rot6d', 'cam_param',
          'roi_feat', 'roi_boxes', 'rigid_src', 'rigid_dst')
ATOL = 1e-5
ROT6D_ATOL = 2e-6
HALF_TURN = pi - 1e-2       # from here the reference's axis-angle may have either sign, so matrices are compared
DEGENERATE = 1e-4           # sine between the two columns, or length, below which nothing but finiteness is asked
TABLES = {'index_137_in_144': joints.WHOLE137_FROM_SMPLX144, 'index_65_in_137': tuple(range(joints.HEATMAP65)),
          'flip_pairs_137': joints.WHOLE137_MIRROR_PAIRS, 'flip_pairs_53': joints.POSE53_MIRROR_PAIRS}


def check(folder: Path) -> list[Row]:
    """Every output of geometry.npz, and the names of joint_names.json as 'joints_*' where it is there."""
    with np.load(folder / 'geometry.npz') as data:
        arrays = {name: torch.from_numpy(data[name]) for name in data.files}
    frame = BodyFrame(**frame_of(json.loads((folder / 'config.json').read_text())['settings']))
    checks = dict(box_=_boxes, hm=_soft_argmax, sample_=_joint_sampler, rot6d=_rotations, cam_=_camera, roi_=_roi_align,
                  rigid_=_alignment)
    rows = []
    for beginning, function in checks.items():
        if any(name.startswith(beginning) for name in arrays):
            rows += function(arrays, frame)
    return rows + [*_tables(arrays), *_names(folder)]


def _boxes(arrays: dict[str, Tensor], frame: BodyFrame) -> Iterator[Row]:
    for name in [name for name in arrays if name.startswith('box_') and name.endswith('_xyxy')]:
        aspect, scale = arrays[name.replace('xyxy', 'aspect_extension')].tolist()  # width over height
        boxes = frame.restore_boxes(arrays['box_center'], arrays['box_size'], scale, (aspect, 1.0))
        yield compare(name, boxes, arrays[name], ATOL)


def _soft_argmax(arrays: dict[str, Tensor], frame: BodyFrame) -> Iterator[Row]:
    for name, out in (('hm3d', 'hm3d_xyz'), ('hm2d', 'hm2d_xy')):
        if name in arrays:
            yield compare(out, soft_argmax(arrays[name])[1], arrays[out], ATOL)


def _joint_sampler(arrays: dict[str, Tensor], frame: BodyFrame) -> Iterator[Row]:
    yield compare('sample_out', BilinearJointSampler()(arrays['sample_feat'], arrays['sample_xy']), arrays['sample_out'], ATOL)


def _rotations(arrays: dict[str, Tensor], frame: BodyFrame) -> Iterator[Row]:
    given, expected = arrays['rot6d'], arrays['rot6d_axis_angle']
    found = rotmat_to_axis_angle(interleaved_rot6d_to_rotmat(given))
    a, b = given.unflatten(-1, (3, 2)).unbind(-1)
    length = a.norm(dim=-1) * b.norm(dim=-1)
    degenerate = torch.linalg.cross(a, b, dim=-1).norm(dim=-1) <= DEGENERATE * length.clamp(min=DEGENERATE)
    half_turn = (expected.norm(dim=-1) > HALF_TURN) & ~degenerate
    usual = ~degenerate & ~half_turn
    yield compare('rot6d_axis_angle', found[usual], expected[usual], ROT6D_ATOL)
    if half_turn.any():
        matrices = (axis_angle_to_rotmat(x[half_turn].double()) for x in (found, expected))
        yield compare(f'rot6d_axis_angle of {int(half_turn.sum())} half turns, as matrices', *matrices, 1e-3)
    if degenerate.any():
        strange = (~found[degenerate].isfinite()).sum()
        yield compare(f'rot6d_axis_angle of {int(degenerate.sum())} degenerate rows, not finite', strange, 0)


def _camera(arrays: dict[str, Tensor], frame: BodyFrame) -> Iterator[Row]:
    yield compare('cam_trans', frame.cam_t_from_cam(arrays['cam_param']), arrays['cam_trans'], ATOL)


def _roi_align(arrays: dict[str, Tensor], frame: BodyFrame) -> Iterator[Row]:
    boxes, expected = arrays['roi_boxes'], arrays['roi_out']
    kinds = [TorchRoIAlign] + [MMCVRoIAlign] * has_mmcv_ops() + [TorchvisionRoIAlign] * has_torchvision_ops()
    for kind in kinds:
        found = kind(expected.shape[-1])(arrays['roi_feat'], boxes[:, 1:], boxes[:, 0].long())
        yield compare(f'roi_out by {kind.__name__}', found, expected, ATOL)


def _alignment(arrays: dict[str, Tensor], frame: BodyFrame) -> Iterator[Row]:
    yield compare('rigid_out', similarity_align(arrays['rigid_src'], arrays['rigid_dst']), arrays['rigid_out'], ATOL)


def _tables(arrays: dict[str, Tensor]) -> Iterator[Row]:
    for name, table in TABLES.items():
        if name in arrays:
            expected, table = arrays[name], torch.tensor(table)
            if table.dim() == 2:  # pairs, in any order
                table, expected = (torch.tensor(sorted(map(sorted, pairs.tolist()))) for pairs in (table, expected))
            yield compare(name, table, expected)


def _names(folder: Path) -> Iterator[Row]:
    path = folder / 'joint_names.json'
    if path.exists():
        stored = json.loads(path.read_text())
        ours = dict(joints_137=joints.WHOLE137_NAMES, joints_65=joints.WHOLE137_NAMES[:joints.HEATMAP65])
        for name, names in ours.items():
            wrong = sum(a != b for a, b in zip(names, stored[name], strict=True))
            yield compare(f'joint_names.{name} that differ', wrong, 0)
