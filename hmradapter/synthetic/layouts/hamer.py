"""HaMeR's training tars and evaluation files, and HMR 2.0's, of open-world people; every trap of the forms once.

    hands-train/000000.tar   a left hand; both hands in one image; hands that HaMeR's filters leave out
    hands-train/000001.tar   a right hand (PNG) without a shape to believe; one whose fit has no loss
    freihand_val.npz, TEST_newdays_img_all.npz, images/...     HaMeR's evaluation
    3dpw_test.npz, images/...                                  HMR 2.0's
Source: HaMeR `datasets/image_dataset.py`, 4D-Humans `datasets/image_dataset.py`.
"""
import io
import pickle
import tarfile
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hmradapter.body_models import SMPLLayer

from .shots import Hand, Shot, take_hand_shots, take_shots

PADDING = 2.0  # of the tars' and FreiHAND's boxes
PERSON_PADDING = 1.2
UNSURE = 7     # a joint whose confidence is too low to count
OPENPOSE25_BODY = (55, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65)  # of SMPLX144


def write_hamer(root, body_model_root, seed: int = 0, size: tuple[int, int] = (96, 96)) -> dict:
    """Write the tars; return {key of the sample: dict(hand Hand, shot Shot, center (2,), side px of the padded square)}."""
    root, (left, right, both) = Path(root) / 'hands-train', _hand_shots(body_model_root, seed, size)
    few = hand_record(left, 'left')
    few['keypoints_2d'][4:, 2] = 0
    bad = hand_record(left, 'left', extra_info=dict(fitting_loss=np.array(dict(reprojection_loss=31000.0))))
    failed = hand_record(right, 'right')
    failed['betas'][3] = -3.2
    write_tar(root / '000000.tar', [
        ('a/left', 'jpg', encoded(left.image), [hand_record(left, 'left')]),
        ('a/both', 'JPEG', encoded(both.image), [hand_record(both, 'left'), hand_record(both, 'right')]),
        ('a/filtered', 'jpg', encoded(left.image), [few, bad]),
        ('a/few_and_good', 'jpg', encoded(left.image), [few, hand_record(left, 'left')])])
    write_tar(root / '000001.tar', [
        ('right', 'png', encoded(right.image, '.png'), [failed]),
        ('k' * 90, 'jpg', encoded(right.image), [hand_record(right, 'right', extra_info={})])])
    given = {'000000/a/left/0': (left, 'left'), '000000/a/both/0': (both, 'left'), '000000/a/both/1': (both, 'right'),
             '000000/a/few_and_good/1': (left, 'left'), '000001/right/0': (right, 'right'), '000001/~/0': (right, 'right')}
    return {f'hamer/hands-train/{key}': _truth(*one) for key, one in given.items()}


def write_hamer_eval(root, body_model_root, seed: int = 0, size: tuple[int, int] = (96, 96)) -> dict:
    """FreiHAND's form (names are text, one number for a box, right hands only) and HInt's (bytes, two numbers, tight boxes, no
    3D); returns as `write_hamer`."""
    root, (left, right, both) = Path(root), _hand_shots(body_model_root, seed, size)
    (root / 'images').mkdir(parents=True, exist_ok=True)
    for name, shot in (('left', left), ('right', right), ('both', both)):
        cv2.imwrite(str(root / 'images' / f'{name}.jpg'), shot.image)
    shown = [hand_record(shot, 'right') for shot in (right, both)]
    np.savez(root / 'freihand_val.npz', imgname=np.array(['images/right.jpg', 'images/both.jpg']),
             scale=[200 * r['scale'][0] for r in shown], hand_keypoints_2d=[r['keypoints_2d'] for r in shown],
             hand_keypoints_3d=[r['keypoints_3d'] for r in shown],
             **{name: [r[name] for r in shown] for name in ('center', 'hand_pose', 'betas', 'has_hand_pose', 'has_betas')})
    shown = [hand_record(left, 'left'), hand_record(both, 'left'), hand_record(both, 'right')]
    np.savez(root / 'TEST_newdays_img_all.npz',
             imgname=np.array([b'images/left.jpg', b'images/both.jpg', b'images/both.jpg']),
             center=[r['center'] for r in shown], scale=[200 * r['scale'] / PADDING for r in shown],
             right=[r['right'] for r in shown], hand_keypoints_2d=[r['keypoints_2d'] for r in shown])
    return {'hamer_eval/freihand/000000': _truth(right, 'right'), 'hamer_eval/freihand/000001': _truth(both, 'right'),
            'hamer_eval/newdays_all/000000': _truth(left, 'left'), 'hamer_eval/newdays_all/000001': _truth(both, 'left'),
            'hamer_eval/newdays_all/000002': _truth(both, 'right')}


def write_hmr2_eval(root, body_model_root, seed: int = 0, size: tuple[int, int] = (128, 96)) -> dict:
    """SMPL with the body's own pose; the second person has none. OpenPose's 3D body joints are wrong, as HMR 2.0 has it.
    Returns {key: dict(shot, vertices (V, 3) about the rest root, joints (25, 3), low and high (2,) px)}."""
    root, rows, truth = Path(root), [], {}
    layer = SMPLLayer(Path(body_model_root) / 'smpl')
    (root / 'images').mkdir(parents=True, exist_ok=True)
    for i, shot in enumerate(take_shots(body_model_root, 2, size, seed)):
        figure = shot.figures[0]
        cv2.imwrite(str(root / 'images' / f'person{i}.jpg'), shot.image)
        pose = np.concatenate((figure.global_orient[None], figure.body_pose, np.zeros((2, 3))))
        turns = torch.from_numpy(Rotation.from_rotvec(pose).as_matrix()).float()[None]
        with torch.no_grad():
            vertices = layer(turns[:, :1], turns[:, 1:], torch.from_numpy(figure.betas[None]).float()).vertices[0].numpy()
        joints, pixels = figure.joints[list(OPENPOSE25_BODY)], shot.project(figure.vertices)
        low, high = pixels.min(0), pixels.max(0)
        points_3d = np.column_stack((joints, np.ones(25)))
        points_3d[1:15, :3] += 0.3
        rows.append(dict(imgname=f'images/person{i}.jpg', center=[(low + high) / 2], scale=PERSON_PADDING * (high - low),
                         body_pose=pose.reshape(72), has_body_pose=float(i == 0), betas=figure.betas, has_betas=float(i == 0),
                         body_keypoints_2d=np.column_stack((shot.project(joints), np.ones(25))), body_keypoints_3d=points_3d,
                         extra_keypoints_3d=np.ones((19, 4))))
        truth[f'hmr2_eval/3dpw_test/{i:06d}'] = dict(shot=shot, vertices=vertices, joints=joints, low=low, high=high)
    np.savez(root / '3dpw_test.npz', **{name: np.array([row[name] for row in rows]) for name in rows[0]})
    return truth


def hand_record(shot: Shot, side: str, **changes) -> dict:
    """What a tar says of one hand; numbers are float32, flags 0-d arrays, as HaMeR's are."""
    hand = shot.figures[0].hands[side]
    center, length = padded_square(shot, hand)
    points_2d = np.column_stack((shot.project(hand.keypoints), np.ones(21)))
    points_2d[UNSURE, 2] = 0.2
    pose = np.concatenate((hand.global_orient[None], hand.hand_pose)).reshape(48)
    return dict(keypoints_2d=np.float32(points_2d), keypoints_3d=np.float32(np.column_stack((hand.keypoints, np.ones(21)))),
                center=np.float32(center), scale=np.float32([length, length]) / 200, hand_pose=np.float32(pose),
                betas=np.float32(hand.betas), right=np.array(float(side == 'right')), has_hand_pose=np.array(1.0),
                has_betas=np.array(1.0), personid=np.array(0),
                extra_info=dict(fitting_loss=np.array(dict(reprojection_loss=np.float32(812))), detection_npz_idx=0)) | changes


def padded_square(shot: Shot, hand: Hand) -> tuple[np.ndarray, float]:
    """Centre and side of the square around a hand's joints, padded."""
    points = shot.project(hand.keypoints)
    low, high = points.min(0), points.max(0)
    return (low + high) / 2, PADDING * float((high - low).max())


def encoded(image: np.ndarray, ending: str = '.jpg') -> bytes:
    """The image as a file's bytes."""
    return cv2.imencode(ending, image)[1].tobytes()


def write_tar(path, samples: list[tuple[str, str, bytes, list]]) -> None:
    """A tar of (key, ending, encoded image, list of dicts); each has masks beside it that nobody reads."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, 'w') as tar:
        for key, ending, image, hands in samples:
            masks = io.BytesIO()
            np.savez(masks, masks=np.zeros((len(hands), 2, 2), bool))
            for name, data in ((f'{key}.data.pyd', pickle.dumps(hands)), (f'{key}.detection.npz', masks.getvalue()),
                               (f'{key}.{ending}', image)):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def _hand_shots(body_model_root, seed: int, size: tuple[int, int]) -> list[Shot]:
    """A left hand, a right hand, both hands."""
    return [take_hand_shots(body_model_root, 1, size, sides, seed)[0] for sides in (('left',), ('right',), ('left', 'right'))]


def _truth(shot: Shot, side: str) -> dict:
    hand = shot.figures[0].hands[side]
    center, length = padded_square(shot, hand)
    return dict(hand=hand, shot=shot, center=center, side=length)
