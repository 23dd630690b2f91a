"""HumanData files of open-world people, in the conventions of MMHuman3D's converters, with every trap of the format once.

    images/%03d.jpg      the last shows two persons
    relative_train.npz   keypoints compressed, fingers relative to the mean hand, misc says so
    absolute_val.npz     fingers absolute, keypoints in full, neutral betas beside gendered ones, meshes in meshes/%06d.npy
Source: MMHuman3D `docs/human_data.md`, converters.
"""
from pathlib import Path

import cv2
import numpy as np

from .shots import Figure, Shot, take_shots

JOINTS, LABELLED = 190, 127  # the face's contour has no label
NO_LABEL = 22                # the jaw's joint: not in the mask, so columns behind it move
EXTRA = 150                  # one of the 46 joints behind SMPL-X's, in the mask
NO_LEFT_BOX, NO_FINGERS, FAILED_SHAPE, NOT_FINITE = 0, 1, 2, 3  # rows of the traps
BODY_PADDING = 1.25


def write_humandata(root, body_model_root, seed: int = 0, size: tuple[int, int] = (160, 128)) -> dict:
    """Write both files; return {row: (Figure, Shot)} in their order, the camera's truth."""
    root = Path(root)
    shots = [*take_shots(body_model_root, 4, size, seed), *take_shots(body_model_root, 1, size, seed, people=2)]
    with np.load(Path(body_model_root) / 'smplx' / 'SMPLX_NEUTRAL.npz') as model:
        mean = np.stack([model['hands_meanl'], model['hands_meanr']]).reshape(2, 15, 3)
    people = [(figure, shot, f'images/{i:03d}.jpg') for i, shot in enumerate(shots) for figure in shot.figures]
    for folder in ('images', 'meshes'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for i, shot in enumerate(shots):
        cv2.imwrite(str(root / f'images/{i:03d}.jpg'), shot.image)
    common = _common(people)
    np.savez_compressed(root / 'relative_train.npz', **common, **_keypoints(people, compressed=True),
                        smplx=_smplx(people, mean),
                        misc=dict(flat_hand_mean=False, bbox_body_scale=BODY_PADDING, bbox_facehand_scale=1.0,
                                  kps3d_root_aligned=False))
    smplx = _smplx(people, np.zeros_like(mean))
    smplx['betas_neutral'], smplx['betas'] = smplx['betas'], smplx['betas'][:, ::-1].copy()
    for i, (figure, *_) in enumerate(people):
        np.save(root / f'meshes/{i:06d}.npy', figure.vertices.astype(np.float32))
    np.savez_compressed(root / 'absolute_val.npz', **common, **_keypoints(people, compressed=False), smplx=smplx,
                        vertices3d_path=np.array([f'meshes/{i:06d}.npy' for i in range(len(people))]),
                        misc=dict(flat_hand_mean=True, bbox_body_scale=BODY_PADDING))
    return {row: (figure, shot) for row, (figure, shot, _) in enumerate(people)}


def _common(people: list[tuple[Figure, Shot, str]]) -> dict:
    """Paths, boxes and what is said of the images. One path begins with a slash, as in some converted sets."""
    boxes = {name: [] for name in ('bbox_xywh', 'lhand_bbox_xywh', 'rhand_bbox_xywh', 'face_bbox_xywh')}
    for figure, shot, _ in people:
        joints = shot.project(figure.joints[:LABELLED])
        parts = [joints, *(shot.project(figure.hands[side].keypoints) for side in ('left', 'right')), joints[76:]]
        for name, points, padding in zip(boxes, parts, (BODY_PADDING, 1, 1, 1), strict=True):
            low, high = points.min(0), points.max(0)
            center, size = (low + high) / 2, (high - low) * padding
            boxes[name].append([*(center - size / 2), *size, 1.0])
    boxes['lhand_bbox_xywh'][NO_LEFT_BOX] = [0, 0, 0, 0, 0]
    meta = dict(height=[shot.size[1] for _, shot, _ in people], width=[shot.size[0] for _, shot, _ in people],
                gender=[figure.gender for figure, *_ in people],
                focal_length=np.array([np.diag(shot.K)[:2] for _, shot, _ in people]),
                principal_point=np.array([shot.K[:2, 2] for _, shot, _ in people]))
    paths = [path for *_, path in people]
    paths[-1] = '/' + paths[-1]
    return dict({name: np.float32(value) for name, value in boxes.items()}, image_path=np.array(paths), meta=meta,
                __data_len__=len(people), __key_strict__=False)


def _keypoints(people: list[tuple[Figure, Shot, str]], compressed: bool) -> dict:
    """Joints in HUMAN_DATA's order, and a set that comes later in SMPLer-X's order and is wrong."""
    mask = np.zeros(JOINTS, np.uint8)
    mask[:LABELLED], mask[NO_LABEL], mask[EXTRA] = 1, 0, 1
    points_2d, points_3d = np.zeros((len(people), JOINTS, 3)), np.zeros((len(people), JOINTS, 4))
    for row, (figure, shot, _) in enumerate(people):
        points_2d[row, :LABELLED, :2], points_3d[row, :LABELLED, :3] = (
            shot.project(figure.joints[:LABELLED]), figure.joints[:LABELLED])
        points_2d[row, EXTRA], points_3d[row, EXTRA] = 77, 77
    points_2d[..., 2], points_3d[..., 3] = mask, mask
    points_3d[NOT_FINITE, 5, 2] = np.nan
    columns = mask > 0 if compressed else slice(None)
    return dict(keypoints2d_smplx=np.float32(points_2d[:, columns]), keypoints2d_smplx_mask=mask,
                keypoints3d_smplx=np.float32(points_3d[:, columns]), keypoints3d_smplx_mask=mask,
                keypoints2d_original=np.float32(points_2d[:, columns] + 5), keypoints2d_original_mask=mask,
                __keypoints_compressed__=compressed)


def _smplx(people: list[tuple[Figure, Shot, str]], mean: np.ndarray) -> dict:
    """Parameters with `mean` (2, 15, 3) taken off the fingers."""
    figures = [figure for figure, *_ in people]
    hands = np.stack([figure.hand_pose - mean for figure in figures])
    hands[NO_FINGERS, 0] = 0
    betas = np.stack([figure.betas for figure in figures])
    betas[FAILED_SHAPE, 3] = 3.5
    eyes = np.stack([figure.eye_pose for figure in figures])
    fields = {name: np.stack([getattr(figure, name) for figure in figures])
              for name in ('global_orient', 'transl', 'body_pose', 'jaw_pose', 'expression')}
    fields |= dict(betas=betas, left_hand_pose=hands[:, 0], right_hand_pose=hands[:, 1], leye_pose=eyes[:, 0],
                   reye_pose=eyes[:, 1])
    return {name: np.float32(value) for name, value in fields.items()}
