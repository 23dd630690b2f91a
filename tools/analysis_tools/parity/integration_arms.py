"""Hands on arms: our handover, twist and integrators against main.npz and edge.npz, which PyMAF-X's code has made.

Everything is computed in float64 and again in the float32 that users run; the second's rows say so after the array's name.
The integrator compared is `elbow_twist` without what it adds to PyMAF-X (`ORIGINAL`); further rows show that its defaults give
the same where nothing added acts. Where the twist is rounding noise (see `comparable_*` of edge.npz, and the same
rule for main.npz, which has no such array) the product of elbow and wrist is compared instead.
"""
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hmradapter.geometry.handover import ELBOWS, SIDES, WRISTS, mirror_left_hand, wrist_from_hand
from hmradapter.geometry.kinematics import global_rotations
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.geometry.twist import bounded_twist, twist_angle
from hmradapter.models.estimators.integrators import FADE, PYMAFX_LIMIT, UNCERTAIN, IntegratedBody, PosedBody, PosedHands
from hmradapter.registry import INTEGRATORS
from hmradapter.structures.joints import BODY_PARENTS

from .report import Row, compare

ORIGINAL = dict(type='elbow_twist', fade=0.0, uncertain=(0.0, 0.0))
ARM_INPUTS = ('rest_joints', 'body', 'mano_orient_*')
MAIN_INPUTS = (*ARM_INPUTS, 'group', 'visibility*')
EDGE_INPUTS = ('names', '*.comparable_*', 'axis_sum.wrist', *(f'*.{name}' for name in ARM_INPUTS))
ROTATION, TWIST, EDGE_TWIST = 1e-5, 1e-5, 5e-5  # the fixtures' README
LARGEST_EXCESS = math.pi - PYMAFX_LIMIT + 1e-5
NEAR_HALF_TURN = 1e-3  # rad to half a turn of twist within which its sign is rounding
NEAR_HALF_BEND = 0.02  # cos(bend / 2) below which float32 does not give the twist to 1e-5 rad
DTYPES = {'': torch.float64, ' float32': torch.float32}
JOINTS = dict(elbow=ELBOWS, wrist=WRISTS)


class Arms(NamedTuple):
    """The body that PyMAF-X is given, with the forearms' axes (N, 2, 3), the copied wrists (N, 2, 3, 3), their twist (N, 2)
    and its certainty (N, 2)."""
    body: PosedBody
    hands: PosedHands
    rest_joints: Tensor
    axis: Tensor
    copied: Tensor
    twist: Tensor
    certainty: Tensor

    def integrate(self, integrator: dict, present: Tensor | None = None) -> IntegratedBody:
        """The result of an integrator of the registry, for all hands or those that are `present` (N, 2)."""
        hands = self.hands if present is None else self.hands._replace(present=present)
        return INTEGRATORS.build(integrator)(self.body, hands, self.rest_joints)


def read_arms(body: Tensor, orient_right: Tensor, orient_left_mirrored: Tensor, rest_joints: Tensor) -> Arms:
    """body (22, 3, 3) or (N, 22, 3, 3), orientations (N, 3, 3) as a network of right hands gives them, joints likewise, m."""
    hands = torch.stack((orient_left_mirrored, orient_right), dim=1).unsqueeze(2)
    hands = mirror_left_hand(hands).squeeze(2)
    body, rest_joints = (x.expand(len(hands), *x.shape[-n:]) for x, n in ((body, 3), (rest_joints, 2)))
    fingers = torch.eye(3).to(body).expand(len(hands), 2, 15, 3, 3)
    axis = torch.nn.functional.normalize(rest_joints[:, WRISTS] - rest_joints[:, ELBOWS], dim=-1)
    copied = wrist_from_hand(hands, body)
    present = torch.ones(hands.shape[:2], dtype=torch.bool)
    return Arms(PosedBody(body, fingers), PosedHands(hands, fingers, present), rest_joints, axis, copied,
                *twist_angle(copied, axis))


def check_main(folder: Path) -> Iterator[Row]:
    """main.npz, of any number of poses."""
    for note, dtype in DTYPES.items():
        arrays = load(folder / 'main.npz', dtype)
        arms = read_arms(*(arrays[name] for name in ('body', 'mano_orient_right', 'mano_orient_left_mirrored', 'rest_joints')))
        visible = arrays['visibility'] > arrays['visibility_threshold']  # strictly
        sure = (arms.twist.abs() < math.pi - NEAR_HALF_TURN) & (arms.certainty > NEAR_HALF_BEND ** 2)
        world = global_rotations(arms.body.body_pose, BODY_PARENTS)
        if 'global_rotations' in arrays:
            yield compare(f'global_rotations{note}', world, arrays['global_rotations'], ROTATION)
        poses = {'adapt_': arms.integrate(ORIGINAL).body_pose, 'adapt_vis_': arms.integrate(ORIGINAL, visible).body_pose,
                 'copy_vis_': arms.integrate(dict(type='wrist_copy'), visible).body_pose}
        after = global_rotations(poses['adapt_'], BODY_PARENTS)
        for side, name in enumerate(SIDES):
            found = {f'{kind}{joint}_{name}': pose[:, joints[side]] for kind, pose in poses.items()
                     for joint, joints in JOINTS.items()}
            found |= {f'axis_{name}': arms.axis[:, side], f'wrist_copy_{name}': arms.copied[:, side]}
            found |= {f'global_{joint}_after_{name}': after[:, joints[side]] for joint, joints in JOINTS.items()}
            found |= _twists(arms, side, name)
            yield from _compare_arms(arrays, found, sure[:, side], note, TWIST)
            yield from _product(arrays, arms, side, '', note)
            yield from _defaults(arrays, arms, side, '', note, sure[:, side])


def _twists(arms: Arms, side: int, name: str) -> dict[str, Tensor]:
    """Twist, its matrix and the axis times the excess of one side, under the fixtures' names."""
    twist, axis = arms.twist[:, side], arms.axis[:, side]
    excess = twist - bounded_twist(twist, PYMAFX_LIMIT)
    return {f'twist_{name}': twist, f'twist_rotmat_{name}': axis_angle_to_rotmat(twist.unsqueeze(-1) * axis),
            f'excess_rotvec_{name}': excess.unsqueeze(-1) * axis}


def _compare_arms(arrays: dict[str, Tensor], found: dict[str, Tensor], sure: Tensor, note: str, twist: float) -> Iterator[Row]:
    """The hands that are `sure` (N,) of every array that is there."""
    for name, value in found.items():
        if name not in arrays:
            continue
        base = name.rpartition('.')[2]
        # nothing in these depends on the twist
        where = torch.ones_like(sure) if base.startswith(('axis', 'wrist_copy', 'copy_vis', 'global_wrist')) else sure
        atol = twist if base.startswith(('twist', 'excess')) else ROTATION
        count = '' if where.all() else f' of {int(where.sum())}/{len(where)} comparable'
        yield compare(f'{name}{note}{count}', value[where], arrays[name][where], atol)


def _product(arrays: dict[str, Tensor], arms: Arms, side: int, prefix: str, note: str) -> Iterator[Row]:
    """What holds for every hand: elbow times wrist is the body's elbow times the copied wrist, in the reference and here; what
    went into the elbow is at most 108 degrees; all are finite rotations."""
    elbow, wrist = (f'{prefix}adapt_{joint}_{SIDES[side]}' for joint in ('elbow', 'wrist'))
    if elbow not in arrays or wrist not in arrays:
        return
    copied = arms.body.body_pose[:, ELBOWS[side]] @ arms.copied[:, side]
    out = arms.integrate(ORIGINAL)
    ours = out.body_pose[:, ELBOWS[side]], out.body_pose[:, WRISTS[side]]
    yield compare(f'{elbow}{note} times wrist, all', ours[0] @ ours[1], arrays[elbow] @ arrays[wrist], ROTATION)
    yield compare(f'{wrist}{note} times elbow, against the copy', ours[0] @ ours[1], copied, ROTATION)
    eye = torch.eye(3).to(copied)
    for name, rotmat in zip((elbow, wrist), ours, strict=True):
        yield compare(f'{name}{note} from a rotation, all', rotmat @ rotmat.transpose(-1, -2), eye.expand_as(rotmat), ROTATION)
    beyond = (out.elbow_twist[:, side].abs() - LARGEST_EXCESS).clamp(min=0).max()
    yield compare(f'{elbow}{note} beyond 108 degrees', beyond, 0.0)


def _defaults(arrays: dict[str, Tensor], arms: Arms, side: int, prefix: str, note: str, sure: Tensor) -> Iterator[Row]:
    """`elbow_twist` as it comes, for comparable hands where it neither fades nor counts a twist as uncertain."""
    where = sure & (arms.twist[:, side].abs() <= math.pi - FADE) & (arms.certainty[:, side] >= UNCERTAIN[1] ** 2)
    pose = arms.integrate(dict(type='elbow_twist')).body_pose
    for joint, joints in JOINTS.items():
        name = f'{prefix}adapt_{joint}_{SIDES[side]}'
        if name in arrays:
            yield compare(f'{name}{note} by defaults, {int(where.sum())}/{len(where)}', pose[where, joints[side]],
                          arrays[name][where], ROTATION)


def check_edge(folder: Path) -> Iterator[Row]:
    """edge.npz: every body by its prefix, and the skeletons with bent forearms."""
    for note, dtype in DTYPES.items():
        arrays = load(folder / 'edge.npz', dtype)
        for prefix in sorted({name.partition('.')[0] + '.' for name in arrays if name.endswith('.mano_orient_right')}):
            arms = read_arms(*(arrays[prefix + name] for name in ('body', 'mano_orient_right', 'mano_orient_left_mirrored',
                                                                  'rest_joints')))
            pose = arms.integrate(ORIGINAL).body_pose
            for side, name in enumerate(SIDES):
                sure = arrays[f'{prefix}comparable_{name}'].bool()
                found = {f'adapt_{joint}_{name}': pose[:, joints[side]] for joint, joints in JOINTS.items()}
                found |= _twists(arms, side, name)
                yield from _compare_arms(arrays, {prefix + key: value for key, value in found.items()}, sure, note, EDGE_TWIST)
                yield from _product(arrays, arms, side, prefix, note)
                yield from _defaults(arrays, arms, side, prefix, note, sure)
        if 'axis_sum.wrist' in arrays:
            yield from _check_axis_sum(arrays, note)


def _check_axis_sum(arrays: dict[str, Tensor], note: str) -> Iterator[Row]:
    """Bodies at rest with forearms of any direction, both wrists turned alike; the reference is NaN for some of them."""
    rest_joints, wrist = arrays['axis_sum.rest_joints'], arrays['axis_sum.wrist']
    orient = wrist.unsqueeze(1).expand(-1, 2, 3, 3)
    mirrored = mirror_left_hand(orient.unsqueeze(2)).squeeze(2)[:, 0]
    arms = read_arms(torch.eye(3).to(wrist).expand(22, 3, 3), wrist, mirrored, rest_joints)
    pose = arms.integrate(ORIGINAL).body_pose
    found = {f'reference_twist_{name}': arms.twist[:, side] for side, name in enumerate(SIDES)}
    found |= {'true_twist': arms.twist[:, 0], 'reference_adapt_wrist_left': pose[:, WRISTS[0]]}
    for name, value in found.items():
        expected = arrays.get(f'axis_sum.{name}')
        if expected is not None:
            known = torch.isfinite(expected.flatten(1) if expected.dim() > 1 else expected.unsqueeze(1)).all(1)
            count = '' if known.all() else f' of {int(known.sum())}/{len(known)} not NaN'
            yield compare(f'axis_sum.{name}{note}{count}', value[known], expected[known],
                          EDGE_TWIST if 'twist' in name else ROTATION)
    yield compare(f'axis_sum.wrist{note} that gives no finite body', (~torch.isfinite(pose)).sum(), 0)


def load(path: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """Numbers of a file as tensors of one dtype, flags included; texts are left out."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    return {name: torch.from_numpy(np.asarray(value)).to(dtype) for name, value in arrays.items() if value.dtype.kind in 'biuf'}
