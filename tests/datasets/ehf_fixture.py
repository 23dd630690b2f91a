"""A small EHF folder: bodies of the open model go out into the scanner's frame, their truth in the camera kept aside."""
import json
from pathlib import Path

import cv2
import numpy as np
import torch
import trimesh

from hmradapter.body_models import SMPLXLayer
from hmradapter.geometry.rotations import axis_angle_to_rotmat

FRAMES = ('01', '02', '10')
# Written from the data set's own numbers, not from the reader's: the camera that EXPOSE and Multi-HMR use.
CAMERA = cv2.Rodrigues(np.array([-2.98747896, 0.01172457, -0.05704687]))[0]
OFFSET = np.array([-0.03609917, 0.43416458, 2.37101226])
F, CX, CY = 1498.22426237, 790.263706, 578.90334
NOSE, RIGHT_EYE, LEFT_WRIST, LEFT_THUMB_TIP, CHIN, BROW = 55, 56, 20, 66, 135, 76  # SMPLX144


def project(points):
    return points[:, :2] / points[:, 2:] * F + [CX, CY]


def write_ehf(root, body_model_root, boxes=True, seed=0) -> dict:
    """Write frames to `root`; return {name: dict(vertices (V, 3), joints (144, 3)) of the camera frame, metres}."""
    root, rng = Path(root), np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    layer = SMPLXLayer(Path(body_model_root) / 'smplx')
    truth, images, annotations = {}, [], []
    for number, name in enumerate(FRAMES):
        def turns(count, spread=0.2):
            return axis_angle_to_rotmat(torch.from_numpy(rng.normal(0, spread, (1, count, 3))).float())
        upright = turns(1, 0.1)
        upright = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ upright  # feet down in an OpenCV camera
        betas = torch.from_numpy(rng.normal(0, 1, (1, 10))).float()
        out = layer(upright, turns(21, 0.1), turns(15), turns(15), turns(1, 0.05), betas=betas,
                    transl=torch.tensor([[0.1 * number, 0.1, 2.9]]))
        vertices, joints = (points[0].double().numpy() for points in out[:2])
        truth[name] = dict(vertices=vertices, joints=joints)
        scanner = (vertices - OFFSET) @ CAMERA  # the inverse of X_c = R X + t
        trimesh.Trimesh(scanner, layer.faces, process=False).export(root / f'{name}_align.ply')
        picture = np.full((1200, 1600, 3), 40 * (number + 1), np.uint8)
        cv2.imwrite(str(root / f'{name}_img.png'), picture)
        cv2.imwrite(str(root / f'{name}_img.jpg'), picture)
        (root / f'{name}_2Djnt.json').write_text(json.dumps(openpose(joints)))
        low, high = project(vertices).min(0), project(vertices).max(0)
        images.append(dict(id=100 + number, file_name=f'{name}_img.jpg', width=1600, height=1200))
        annotations.append(dict(id=number, image_id=100 + number, body_bbox=[*(low - 7), *(high - low + 14)],
                                lefthand_bbox=[700 + number, 600, 50, 60], righthand_bbox=[0, 0, 0, 0],
                                face_bbox=[750, 200, 90, 110]))
    if boxes:
        (root / 'EHF.json').write_text(json.dumps(dict(images=images[::-1], annotations=annotations)))
    return truth


def openpose(joints) -> dict:
    """OpenPose's file for one person: every list flat, in its own orders; the right ear is not seen."""
    pixels = project(joints)
    body, face = np.zeros((25, 3)), np.zeros((70, 3))
    hands = {side: np.zeros((21, 3)) for side in ('left', 'right')}
    for row, joint in {0: NOSE, 7: LEFT_WRIST, 15: RIGHT_EYE}.items():
        body[row] = [*pixels[joint], 0.9]
    face[8], face[17] = [*pixels[CHIN], 0.8], [*pixels[BROW], 0.7]      # middle of the contour; end of the right brow
    face[69] = [1, 2, 0.9]                                               # a pupil, which SMPL-X has no landmark for
    hands['left'][0] = [5, 6, 1.0]                                       # the hand's own wrist is not the body's
    hands['left'][4] = [*pixels[LEFT_THUMB_TIP], 1.4]                    # confidence beyond 1
    person = dict(pose_keypoints_2d=body, face_keypoints_2d=face, hand_left_keypoints_2d=hands['left'],
                  hand_right_keypoints_2d=hands['right'])
    return dict(version=1.2, people=[{name: value.ravel().tolist() for name, value in person.items()}])
