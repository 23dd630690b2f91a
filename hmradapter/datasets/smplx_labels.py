"""From SMPL-X parameters in a source's frame to all labels of persons and their hands: what sources of such parameters share.
N records; frames and units as in `labels`."""
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hmradapter.body_models import BodyModelOutput, SMPLXLayer
from hmradapter.geometry.kinematics import chain_product
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures.joints import ARM_CHAIN, HAND21_FROM_SMPLX144

from .labels import View, set_body, set_hand_of_body
from .record import GENDERS, MODELS, SIDES, set_flag

CHUNK = 64  # bodies posed at once, about 1 MB each while they are
ROTATIONS = ('global_orient', 'body_pose', 'left_hand_pose', 'right_hand_pose', 'jaw_pose', 'leye_pose', 'reye_pose')


def set_smplx_persons(records: np.ndarray, layer: SMPLXLayer, params: dict[str, Tensor], view: View, *,
                      rows: np.ndarray | None = None, joint_valid: np.ndarray | None = None,
                      body_pose_valid: np.ndarray | None = None, hands: tuple[str, ...] = SIDES) -> Tensor:
    """Label every record's person and both hands from SMPL-X's parameters in the source's frame.

    Args:
        layer: the body model that the parameters are of, without the face's contour (which no single pose has for all views).
        params: axis-angle, radians, metres: global_orient, transl (N, 3), body_pose (N, 63); where known left_hand_pose,
            right_hand_pose (N, 45) ABSOLUTE, jaw_pose, leye_pose, reye_pose (N, 3), betas (N, up to 16), expression (N, 10).
        rows: (N,) whose body each record shows, where cameras share bodies: `params` then has each body once, (M, ..).
        joint_valid: (127,) which of SMPLX144's joints may be believed, all by default.
        body_pose_valid: (21,) which rotations of body_pose may be believed, all by default.
        hands: sides whose fingers may be believed, of those given; the other gets no labels of its own.

    Returns:
        (N,) bool: who is labelled; a person with a value that is not finite gets nothing at all. A hand's global orientation is
        the product of the arm's rotations; it has no MANO betas and no MANO translation.
    """
    params = {name: value.double() for name, value in params.items()}
    joints, root = pose_smplx(layer, params)
    if rows is not None:
        joints, root, params = joints[rows], root[rows], {name: value[rows] for name, value in params.items()}
    # as float32, which records hold
    valid = torch.stack([value.float().flatten(1).isfinite().all(1) for value in (joints, *params.values())]).all(0)
    face = {name: params[name] for name in ('jaw_pose', 'leye_pose', 'reye_pose', 'expression') if name in params}
    body = {name: params[name] for name in ('global_orient', 'transl', 'body_pose')} | face
    set_body(records, body, root, joints, valid, view)
    known = torch.ones(joints.shape[1]) if joint_valid is None else torch.as_tensor(joint_valid, dtype=torch.float32)
    for name in ('kpts2d', 'kpts3d'):
        records[name][:, :len(known)] *= known.numpy()[:, None]
    if body_pose_valid is not None:
        records['body_pose_valid'] *= np.asarray(body_pose_valid, np.uint8)
    rotations = axis_angle_to_rotmat(torch.cat((params['global_orient'], params['body_pose']), 1).unflatten(1, (22, 3)))
    for side in SIDES:
        if side in hands and f'{side}_hand_pose' in params:
            orient = view.rotation @ chain_product(rotations, ARM_CHAIN[side])
            points = joints[:, list(HAND21_FROM_SMPLX144[side])]
            set_hand_of_body(records, side, params[f'{side}_hand_pose'].unflatten(1, (15, 3)), orient, points, valid, view)
    records['model'], records['gender'] = MODELS.index('smplx'), GENDERS.index(layer.gender)
    if 'betas' in params:
        count = params['betas'].shape[1]
        records['betas'][:, :count] = torch.where(valid[:, None], params['betas'], 0.0).numpy()
        records['num_betas'] = count
        set_flag(records, 'has_betas', valid.numpy())
    return valid


@torch.no_grad()
def pose_smplx(layer: SMPLXLayer, params: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Parameters as above -> joints (N, J, 3) and rest pelvises (N, 3), float64, metres of the source's frame."""
    joints = torch.cat([out.joints.double() for out in _posed(layer, params)])
    betas = params['betas'][:, :layer.num_betas].float() if 'betas' in params else None
    return joints, layer.root_joint(betas).double().expand(len(joints), 3)


@torch.no_grad()
def smplx_meshes(layer: SMPLXLayer, params: dict[str, Tensor]) -> np.ndarray:
    """Parameters as above -> vertices (N, V, 3) float32, metres of the source's frame."""
    return torch.cat([out.vertices for out in _posed(layer, params)]).numpy()


def _posed(layer: SMPLXLayer, params: dict[str, Tensor]) -> Iterator[BodyModelOutput]:
    """Bodies posed a chunk at a time."""
    for start in range(0, len(params['transl']), CHUNK):
        piece = {name: value[start:start + CHUNK].float() for name, value in params.items()}
        rotations = {name: axis_angle_to_rotmat(piece[name].unflatten(-1, (-1, 3))) for name in ROTATIONS if name in piece}
        betas = piece['betas'][:, :layer.num_betas] if 'betas' in piece else None
        yield layer(**rotations, betas=betas, expression=piece.get('expression'), transl=piece['transl'])
