"""A small ARCTIC release: bodies of the open model go out through ARCTIC's own conventions, with known ground truth kept aside.

2 subjects (s01 male, s05 female), one sequence each, T = 24, ioi_offset 3, 8 cameras of 140x100, images 10 .. 13.
"""
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from hmradapter.body_models import MANOLayer, SMPLXLayer
from hmradapter.geometry.kinematics import chain_product
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from hmradapter.structures.joints import ARM_CHAIN

FRAMES, OFFSET, SIZE = 24, 3, (140, 100)
IMAGES = range(10, FRAMES - 10)
SUBJECTS = dict(s01='male', s05='female')
SEQUENCES = dict(s01='s01/box_grab_01', s05='s05/phone_use_02')


def look_at(eye, target):
    """World (y up) to OpenCV camera (4, 4)."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0, 1.0, 0])
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    matrix[:3, 3] = -matrix[:3, :3] @ eye
    return matrix


def write_arctic(root, body_model_root, seed=0) -> dict:
    """Write the release to `root`; return per subject the world-frame truth: hand vertices and keypoints, body joints."""
    root, rng = Path(root), np.random.default_rng(seed)
    misc, truth = {}, {}
    for subject, gender in SUBJECTS.items():
        truth[subject] = _write_sequence(root, Path(body_model_root), subject, gender, rng)
        misc[subject] = dict(gender=gender, ioi_offset=OFFSET, image_size=[[280, 200]] + [list(SIZE)] * 8,
                             **truth[subject]['cameras'])
        _write_images(root, SEQUENCES[subject], rng)
    (root / 'splits_json').mkdir()
    (root / 'splits_json' / 'protocol_p1.json').write_text(json.dumps(dict(
        train=[SEQUENCES['s01']], val=[SEQUENCES['s05']], test=['s03/box_use_01'])))
    (root / 'meta' / 'misc.json').write_text(json.dumps(misc))
    return truth


def _write_sequence(root: Path, models: Path, subject: str, gender: str, rng) -> dict:
    neutral = SMPLXLayer(models / 'smplx', gender=gender)
    betas = torch.from_numpy(rng.normal(0, 1, (1, 10))).float()
    template = neutral(betas=betas).vertices[0].numpy()
    (root / 'meta' / 'subject_vtemplates').mkdir(parents=True, exist_ok=True)
    (root / 'meta' / 'subject_vtemplates' / f'{subject}.obj').write_text(
        ''.join(f'v {x:.9f} {y:.9f} {z:.9f}\n' for x, y, z in template) + 'f 1 2 3\n')
    body_model = neutral.with_template(template)

    def motion(size, spread):
        return rng.normal(0, spread, size) + rng.normal(0, 0.03, (FRAMES, size))

    body = dict(transl=motion(3, 0.05) + [0.1, 0.9, 0.2], global_orient=motion(3, 0.3), body_pose=motion(63, 0.15),
                **{f'{part}_pose': motion(3, 0.1) for part in ('jaw', 'leye', 'reye')},
                **{f'{side}_hand_pose': motion(45, 0.2) for side in ('left', 'right')})
    rotations = {name: axis_angle_to_rotmat(torch.from_numpy(value).unflatten(-1, (-1, 3))).float()
                 for name, value in body.items() if name != 'transl'}
    joints = body_model(**rotations, transl=torch.from_numpy(body['transl']).float()).joints
    chain = torch.cat((rotations['global_orient'], rotations['body_pose']), dim=1)

    mano, hands = {}, {}
    for side, wrist in (('left', 20), ('right', 21)):
        layer = MANOLayer(models / 'mano', side=side)
        shape = rng.normal(0, 0.5, 10)
        orient = chain_product(chain, ARM_CHAIN[side])
        root_joint = layer.root_joint(torch.from_numpy(shape[None]).float())
        transl = joints[:, wrist] - root_joint
        absolute = torch.from_numpy(body[f'{side}_hand_pose'])
        betas = torch.from_numpy(shape).float().expand(FRAMES, 10)
        out = layer(orient[:, None], rotations[f'{side}_hand_pose'], betas, transl)
        hands[side] = dict(vertices=out.vertices.numpy(), keypoints=out.keypoints.numpy(), shape=shape)
        mano[side] = dict(rot=rotmat_to_axis_angle(orient).numpy(), pose=(absolute - layer.hand_mean.double()).numpy(),
                          trans=transl.numpy(), shape=shape, fitting_err=np.zeros(FRAMES))

    folder = root / 'raw_seqs' / subject
    folder.mkdir(parents=True)
    name = SEQUENCES[subject].split('/')[1]
    np.save(folder / f'{name}.mano.npy', mano, allow_pickle=True)
    np.save(folder / f'{name}.smplx.npy', body, allow_pickle=True)
    np.save(folder / f'{name}.object.npy', np.zeros((FRAMES, 7)))
    target = joints[:, [20, 21]].mean((0, 1)).double().numpy()
    angles = rng.uniform(0, 2 * np.pi, 8)
    eyes = target + np.stack([1.6 * np.cos(angles), rng.uniform(-0.3, 0.8, 8), 1.6 * np.sin(angles)], 1)
    cameras = dict(world2cam=[look_at(eye, target).tolist() for eye in eyes],
                   intris_mat=[[[95 + v, 0, 68 + v], [0, 97 + v, 51], [0, 0, 1]] for v in range(8)])
    return dict(hands=hands, joints=joints.numpy(), cameras=cameras, template=template)


def _write_images(root: Path, sequence: str, rng) -> None:
    for view in range(9):
        folder = root / 'images' / sequence / str(view)
        folder.mkdir(parents=True)
        for number in IMAGES:
            noise = rng.integers(0, 256, (13, 18, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f'{number:05d}.jpg'), cv2.resize(noise, SIZE))
