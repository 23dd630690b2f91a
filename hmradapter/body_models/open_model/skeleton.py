"""From MakeHuman's 163 bones in an A-pose to SMPL-X's 55 joints in a T-pose with identity rest rotations."""
from itertools import pairwise

import numpy as np

from hmradapter.body_models.open_model.makehuman import BaseMesh
from hmradapter.structures.joints import BODY_NAMES, BODY_PARENTS, MANO_PARENTS

SIDES = (('left', 'L', 1.0), ('right', 'R', -1.0))  # name, suffix of MakeHuman's bones, sign of x
_FINGERS = (('index', 2), ('middle', 3), ('pinky', 5), ('ring', 4), ('thumb', 1))  # SMPL-X's order, MakeHuman's numbers
_TRUNK_BONES = {'pelvis': 'spine05', 'spine1': 'spine04', 'spine2': 'spine03', 'spine3': 'spine02', 'neck': 'neck01',
                'head': 'head', 'jaw': 'jaw'}
_LIMB_BONES = {'hip': 'upperleg01', 'knee': 'lowerleg01', 'ankle': 'foot', 'foot': 'toe2-1', 'collar': 'clavicle',
               'shoulder': 'upperarm01', 'elbow': 'lowerarm01', 'wrist': 'wrist', 'eye_smplhf': 'eye'}
_SPLAY = 0.6  # share of the fingers' sideways spread that the T-pose keeps


def _joint_names() -> tuple[str, ...]:
    fingers = [f'{side}_{finger}{k}' for side, *_ in SIDES for finger, _ in _FINGERS for k in (1, 2, 3)]
    return (*BODY_NAMES, 'jaw', 'left_eye_smplhf', 'right_eye_smplhf', *fingers)


JOINT_NAMES = _joint_names()  # SMPL-X's 55 in order
PARENTS = (*BODY_PARENTS, 15, 15, 15, *(wrist if p == 0 else first + p - 1
                                        for wrist, first in ((20, 25), (21, 40)) for p in MANO_PARENTS[1:]))
HAND_JOINTS = {'left': (20, *range(25, 40)), 'right': (21, *range(40, 55))}  # MANO's 16: wrist and fingers


def joint_bones() -> list[str]:
    """The MakeHuman bone whose head is each of the 55 joints."""
    bones = dict(_TRUNK_BONES)
    for side, suffix, _ in SIDES:
        bones.update({f'{side}_{joint}': f'{bone}.{suffix}' for joint, bone in _LIMB_BONES.items()})
        bones.update({f'{side}_{finger}{k}': f'finger{number}-{k}.{suffix}' for finger, number in _FINGERS for k in (1, 2, 3)})
    return [bones[name] for name in JOINT_NAMES]


def merged_weights(mesh: BaseMesh) -> np.ndarray:
    """Skinning weights (V, 55), rows summing to 1: each bone's go to the nearest ancestor that is a joint, else the pelvis."""
    joint_of = {bone: joint for joint, bone in enumerate(joint_bones())}
    merged = np.zeros((len(mesh.vertices), len(JOINT_NAMES)))
    for bone, pairs in mesh.weights.items():
        while bone and bone not in joint_of:
            bone = mesh.bones[bone]['parent']
        ids, values = np.array(pairs, float).reshape(-1, 2).T
        np.add.at(merged[:, joint_of.get(bone, 0)], ids.astype(int), values)
    return merged / np.maximum(merged.sum(axis=1, keepdims=True), 1e-12)


def bone_ends(mesh: BaseMesh, vertices: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Joints (N, 55, 3) of people (N, V, 3), and the tips (N, 3) of their last finger bones by joint name."""
    joints = np.stack([vertices[:, mesh.bone_end(bone)].mean(axis=1) for bone in joint_bones()], axis=1)
    tips = {f'{side}_{finger}3': vertices[:, mesh.bone_end(f'finger{number}-3.{suffix}', 'tail')].mean(axis=1)
            for side, suffix, _ in SIDES for finger, number in _FINGERS}
    return joints, tips


def t_pose(vertices: np.ndarray, joints: np.ndarray, tips: dict[str, np.ndarray],
           weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Skin people (N, V, 3) with joints (N, 55, 3) into the T-pose: arms along x, palms down, fingers straight.
    Returns vertices (N, V, 3) and joints (N, 55, 3); the pelvis stays."""
    turns = np.broadcast_to(np.eye(3), (*joints.shape, 3)).copy()  # world rotation of each joint's bone
    for side, _, sign in SIDES:
        _straighten_arm(turns, joints, tips, side, sign)
    posed = joints.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            offset = joints[:, joint] - joints[:, parent]
            posed[:, joint] = posed[:, parent] + np.einsum('nij,nj->ni', turns[:, parent], offset)
    shifts = posed - np.einsum('njab,njb->nja', turns, joints)
    out = np.empty_like(vertices)
    for person in range(len(vertices)):  # one at a time: (V, 3, 3) blends of 200 people would not fit in memory
        blend = np.tensordot(weights, turns[person], axes=1)
        out[person] = np.einsum('vab,vb->va', blend, vertices[person]) + weights @ shifts[person]
    return out, posed


def stretch_fingers(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, lengths: dict[str, np.ndarray]) -> None:
    """Lengthen fingers of T-posed people in place, along the finger from its first joint; lengths: factors (N,) by finger."""
    for side, *_ in SIDES:
        for finger, factor in lengths.items():
            chain = [JOINT_NAMES.index(f'{side}_{finger}{k}') for k in (1, 2, 3)]
            root, axis = joints[:, chain[0], None].copy(), _unit(joints[:, chain[2], None] - joints[:, chain[0], None])
            share = weights[:, chain].sum(axis=1)[:, None]
            for points, part in ((vertices, share), (joints, np.isin(np.arange(len(JOINT_NAMES)), chain)[:, None])):
                reach = ((points - root) * axis).sum(axis=-1, keepdims=True)
                points += part * np.clip(reach, 0, None) * (factor - 1)[:, None, None] * axis


def _straighten_arm(turns, joints, tips, side: str, sign: float) -> None:
    """Fill in the world rotations of one arm's joints. The roll of the hand is shared along the arm, as bones do it."""
    at = {name: joints[:, JOINT_NAMES.index(f'{side}_{name}')] for name in ('shoulder', 'elbow', 'wrist')}
    out = np.array([sign, 0.0, 0.0])
    hand = _hand_turn(joints, side, out)
    for name, end, share in (('shoulder', 'elbow', 0.3), ('elbow', 'wrist', 0.6)):
        shortest = _shortest_turn(_unit(at[end] - at[name]), out)
        roll = _roll_about_x(hand @ shortest.transpose(0, 2, 1))
        turns[:, JOINT_NAMES.index(f'{side}_{name}')] = _x_turn(share * roll) @ shortest
    turns[:, JOINT_NAMES.index(f'{side}_wrist')] = hand
    for finger, _ in _FINGERS:
        chain = [joints[:, JOINT_NAMES.index(f'{side}_{finger}{k}')] for k in (1, 2, 3)] + [tips[f'{side}_{finger}3']]
        bones = [_unit(np.einsum('nij,nj->ni', hand, b - a)) for a, b in pairwise(chain)]
        straight = _unit(bones[0] * (1, 0, _SPLAY))
        for k in (1, 2, 3):
            turn = hand if finger == 'thumb' else _shortest_turn(bones[k - 1], straight) @ hand
            turns[:, JOINT_NAMES.index(f'{side}_{finger}{k}')] = turn


def _hand_turn(joints, side: str, out: np.ndarray) -> np.ndarray:
    """World rotation (N, 3, 3) that brings wrist -> middle knuckle to `out` and the index side of the palm to +z."""
    wrist, index, middle, pinky = (joints[:, JOINT_NAMES.index(f'{side}_{name}')]
                                   for name in ('wrist', 'index1', 'middle1', 'pinky1'))
    along = _unit(middle - wrist)
    across = index - pinky
    across = _unit(across - (across * along).sum(-1, keepdims=True) * along)
    frame = np.stack([along, np.cross(across, along), across], axis=-1)
    forward = np.array([0.0, 0.0, 1.0])
    target = np.stack([out, np.cross(forward, out), forward], axis=-1)
    return target @ frame.transpose(0, 2, 1)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def _shortest_turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rotations (N, 3, 3) that bring unit vectors a (N, 3) to b (3,) or (N, 3) without roll; a is never opposite to b here."""
    b = np.broadcast_to(b, a.shape)
    axis = np.cross(a, b)
    skew = np.zeros((*a.shape, 3))
    skew[..., 0, 1], skew[..., 0, 2], skew[..., 1, 2] = -axis[..., 2], axis[..., 1], -axis[..., 0]
    skew -= skew.swapaxes(-1, -2)
    cosine = (a * b).sum(-1)[..., None, None]
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def _roll_about_x(turn: np.ndarray) -> np.ndarray:
    """Angle (N,) of the twist part about x of rotations (N, 3, 3) (swing-twist decomposition)."""
    return 2 * np.arctan2(turn[:, 2, 1] - turn[:, 1, 2], 1 + np.trace(turn, axis1=1, axis2=2))


def _x_turn(angle: np.ndarray) -> np.ndarray:
    turn = np.zeros((len(angle), 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 2, 1], turn[:, 1, 2] = np.sin(angle), -np.sin(angle)
    return turn
