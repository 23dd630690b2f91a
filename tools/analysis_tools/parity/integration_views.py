"""Fingers and views: our handover of fingers against fingers.npz, our crop rays against crop_ray.npz."""
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from hmradapter.geometry.crop_rays import camera_from_crop, crop_from_crop, crop_ray
from hmradapter.geometry.handover import SIDES, fingers_from_residual, mirror_left_hand, residual_from_fingers, wrist_from_hand
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle

from .integration_arms import DTYPES, ROTATION, load
from .report import Row, compare

FINGER_INPUTS = ('rest_joints', 'body', 'orient_*', 'fingers_*', 'hand_mean_*')
CROP_RAY_INPUTS = ('K', 'image_wh', '*_center', 'hand_orient_expert', 'elbow_global', 'yaw_pitch_variant_hand')  # not our way
RESIDUAL = 1e-6                                                    # rad
RAY = {torch.float64: 1e-12, torch.float32: 1e-6}                  # of entries of rotations and rays
ANGLE = {torch.float64: 1e-12, torch.float32: math.degrees(1e-6)}  # degrees
LARGEST = math.pi - 1e-3  # rad; beyond it axis-angle may have either sign and only matrices are compared


def check_fingers(folder: Path) -> Iterator[Row]:
    """Un-mirrored hands, copied wrists, and fingers as axis-angle with and without the mean hand."""
    for note, dtype in DTYPES.items():
        arrays = load(folder / 'fingers.npz', dtype)
        answers = [torch.cat((arrays[f'orient_{side}'].unsqueeze(1), arrays[f'fingers_{side}']), dim=1)
                   for side in ('left_mirrored', 'right')]
        hands = mirror_left_hand(torch.stack(answers, dim=1))
        wrists = wrist_from_hand(hands[:, :, 0], arrays['body'])
        for i, side in enumerate(SIDES):
            for name, value in ((f'pymafx_wrist_{side}', wrists[:, i]), (f'pymafx_fingers_{side}', hands[:, i, 1:])):
                if name in arrays:
                    yield compare(f'{name}{note}', value, arrays[name], ROTATION)
            yield from _axis_angles(arrays, f'mano2smplx_wrist_{side}', note, wrists[:, i:i + 1], ROTATION)
            yield from _axis_angles(arrays, f'mano2smplx_{side}_hand_pose', note, hands[:, i, 1:], RESIDUAL)
            if f'residual_{side}' in arrays:
                yield from _residuals(arrays, side, note, hands[:, i, 1:])


def _axis_angles(arrays: dict[str, Tensor], name: str, note: str, ours: Tensor, atol: float) -> Iterator[Row]:
    """Rotations (N, J, 3, 3) against axis-angle (N, 3 J): all as matrices; as numbers, away from half turns, in float64."""
    if name not in arrays:
        return
    expected = arrays[name].unflatten(-1, (-1, 3))
    yield compare(f'{name}{note} as matrices', ours, axis_angle_to_rotmat(expected), ROTATION)
    if ours.dtype == torch.float64:
        where = expected.norm(dim=-1) < LARGEST
        yield compare(f'{name} of {int(where.sum())}/{where.numel()} below half a turn', rotmat_to_axis_angle(ours)[where],
                      expected[where], atol)


def _residuals(arrays: dict[str, Tensor], side: str, note: str, ours: Tensor) -> Iterator[Row]:
    """Fingers (N, 15, 3, 3) to residuals and the stored residuals to fingers."""
    mean = arrays[f'hand_mean_{side}']
    expected = arrays[f'residual_{side}'].unflatten(-1, (-1, 3))
    yield compare(f'residual_{side}{note} back to fingers', fingers_from_residual(expected, mean), ours, ROTATION)
    if ours.dtype == torch.float64:
        where = (expected + mean.view(-1, 3)).norm(dim=-1) < LARGEST
        yield compare(f'residual_{side} of {int(where.sum())}/{where.numel()} below half a turn',
                      residual_from_fingers(ours, mean)[where], expected[where], RESIDUAL)


def check_crop_rays(folder: Path) -> Iterator[Row]:
    """Rays, their angles, corrections, and the hand's orientation and wrist with and without them."""
    for note, dtype in DTYPES.items():
        arrays = load(folder / 'crop_ray.npz', dtype)
        body = crop_ray(arrays['body_center'], arrays['K'])
        hand = crop_ray(arrays['hand_center'], arrays['K'].unsqueeze(1))
        seen = mirror_left_hand(arrays['hand_orient_expert'].unsqueeze(2)).squeeze(2)
        in_body = crop_from_crop(body.unsqueeze(1), hand) @ seen
        to_elbow = arrays['elbow_global'].transpose(-1, -2)
        axis = torch.tensor((0, 0, 1)).to(body)
        found = dict(ray_body=body, ray_hand=hand, correction_body=camera_from_crop(body),
                     correction_hand=camera_from_crop(hand), hand_orient_camera=camera_from_crop(hand) @ seen,
                     hand_orient_body_frame=in_body, wrist_local_corrected=to_elbow @ in_body,
                     wrist_local_uncorrected=to_elbow @ crop_from_crop(body.unsqueeze(1), hand, 0.0, 0.0) @ seen)
        angles = dict(angle_body_deg=_degrees(body, axis), angle_hand_deg=_degrees(hand, axis),
                      angle_body_to_hand_deg=_degrees(body.unsqueeze(1), hand))
        for values, limits in ((found, RAY), (angles, ANGLE)):
            for name in [name for name in values if name in arrays]:
                yield compare(f'{name}{note}', values[name], arrays[name], limits[dtype])


def _degrees(a: Tensor, b: Tensor) -> Tensor:
    """Angle between unit vectors (..., 3), exact for small ones, too."""
    a, b = torch.broadcast_tensors(a, b)
    return torch.rad2deg(torch.atan2(torch.linalg.cross(a, b, dim=-1).norm(dim=-1), (a * b).sum(-1)))
