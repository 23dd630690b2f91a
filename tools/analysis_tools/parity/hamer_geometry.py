"""HaMeR's rotations, cameras, mirroring and boxes: ours against the arrays of geometry.npz."""
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hmradapter.geometry import boxes, cameras, mirror, rotations
from hmradapter.structures.joints import ARM_CHAIN

from .report import Row, compare

INPUTS = ('*.in', '*_in', '*.in.*', 'persp.points', 'persp.translation', 'persp.focal', 'persp.center', 'persp.rotation',
          'cam_full.cam', 'cam_full.box_*', 'cam_full.img_size', 'cam_full.right', 'rot_aa.degrees', 'affine.center_size',
          'affine.scale', 'affine.degrees')
ATOL = 1e-6
RTOL = 1e-6
MATRIX = 5e-4  # pixels


def check(path) -> list[Row]:
    """Every output of the fixture that is present."""
    with np.load(path) as data:
        arrays = {name: torch.from_numpy(data[name]) for name in data.files if data[name].dtype.kind in 'biuf'}
    rows = []
    for part in (_rotations, _projection, _full_image, _mirrors, _in_plane, _boxes):
        rows += [row for row in part(_Arrays(arrays)) if row is not None]
    return rows


class _Arrays(dict):
    """Arrays by name; `out(name, function, *inputs)` compares where output and inputs are present."""

    def out(self, name: str, function, *inputs: str, atol: float = ATOL, rtol: float = 0.0) -> Row | None:
        if name not in self or any(given not in self for given in inputs):
            return None
        return compare(name, function(*(self[given] for given in inputs)), self[name], atol, rtol)


def _rotations(arrays: _Arrays) -> Iterator[Row | None]:
    yield arrays.out('rot6d.rotmat', rotations.rot6d_to_rotmat, 'rot6d.in')
    yield arrays.out('rot6d.degenerate_rotmat', rotations.rot6d_to_rotmat, 'rot6d.degenerate_in')
    yield arrays.out('aa.rotmat', rotations.axis_angle_to_rotmat, 'aa.in')
    yield arrays.out('quat_wxyz.rotmat', rotations.quat_wxyz_to_rotmat, 'quat_wxyz.in')


def _projection(arrays: _Arrays) -> Iterator[Row | None]:
    given = ['persp.points', 'persp.translation', 'persp.focal', 'persp.center', 'persp.rotation']
    for name, count in (('persp.plain', 3), ('persp.with_center', 4), ('persp.with_rotation', 5)):
        yield arrays.out(name, cameras.perspective_projection, *given[:count], atol=0, rtol=RTOL)


def _full_image(arrays: _Arrays) -> Iterator[Row | None]:
    given = [f'cam_full.{name}' for name in ('cam', 'box_center', 'box_size', 'img_size')]
    yield arrays.out('cam_full.translation', cameras.full_image_translation, *given, 'cam_full.right', 'cam_full.focal',
                     atol=0, rtol=RTOL)
    yield arrays.out('cam_full.default_focal_translation', cameras.full_image_translation, *given, atol=0, rtol=RTOL)
    yield arrays.out('cam_full.focal', cameras.full_image_focal, 'cam_full.img_size', atol=0, rtol=RTOL)


def _mirrors(arrays: _Arrays) -> Iterator[Row | None]:
    for part in ('global_orient', 'hand_pose'):
        yield arrays.out(f'mirror_hand.out.{part}', mirror.mirror_axis_angle, f'mirror_hand.in.{part}')
    for form, function in (('aa', mirror.mirror_body_axis_angle), ('rotmat', mirror.mirror_body_pose),
                           ('rot6d', mirror.mirror_body_rot6d)):
        yield arrays.out(f'mirror_body.{form}_out', function, f'mirror_body.{form}_in')
    for side, chain in ARM_CHAIN.items():
        yield arrays.out(f'arm_chain.{side}', lambda chain=chain: torch.tensor(chain), atol=0)


def _in_plane(arrays: _Arrays) -> Iterator[Row | None]:
    yield arrays.out('rot_aa.out', _turn_orientation, 'rot_aa.in', 'rot_aa.degrees')
    yield arrays.out('kp3d.flip', mirror.mirror_points, 'kp3d.in')
    for name in [name for name in arrays if name.startswith('kp3d.') and 'rot' in name]:  # kp3d.rot25, kp3d.flip_rot25
        flip, degrees = name.startswith('kp3d.flip'), float(name.split('rot')[-1])
        yield arrays.out(name, lambda points, flip=flip, degrees=degrees: _turn_points(
            mirror.mirror_points(points) if flip else points, degrees), 'kp3d.in')


def _boxes(arrays: _Arrays) -> Iterator[Row | None]:
    for name in [name for name in arrays if name.startswith('expand.out_')]:
        aspect = tuple(map(float, name.removeprefix('expand.out_').split('x')))
        yield arrays.out(name, lambda wh, aspect=aspect: boxes.expand_to_aspect(wh, aspect), 'expand.in')
    yield arrays.out('affine.matrix', lambda box, scale, degrees: boxes.crop_affine(box[:, :2], box[:, 2], 256, scale, degrees),
                     'affine.center_size', 'affine.scale', 'affine.degrees', atol=MATRIX)


def _turn_orientation(axis_angle: Tensor, degrees: Tensor) -> Tensor:
    """The label's share of an augmentation that turns the crop by `degrees`."""
    turn = rotations.rotation_about_z(-rotations.degrees_to_radians(degrees)).to(axis_angle.dtype)
    return rotations.rotmat_to_axis_angle(turn @ rotations.axis_angle_to_rotmat(axis_angle))


def _turn_points(points: Tensor, degrees: float) -> Tensor:
    turn = rotations.rotation_about_z(-rotations.degrees_to_radians(torch.tensor(degrees)))
    return torch.cat((points[..., :3] @ turn.T, points[..., 3:]), dim=-1)
