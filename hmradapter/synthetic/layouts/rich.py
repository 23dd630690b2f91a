"""RICH's layout, written; the files' facts are in `hmradapter.datasets.sources.rich_files`.

Train: a man and a woman in one sequence, cameras 0 and 3 (the second is the first, turned about itself) and the moving 10
without calibration. Val: a woman alone, images of an eighth of the size that their calibration is of. Planted: gendered bodies,
hands as 12 coefficients relative to the mean, zero padded names, an image without a body, .jpeg, .png and .bmp. Unlike RICH:
fits have no error, and camera 0's frame is not its own.
"""
import json
import pickle
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from .shots import Figure, Shot, read_hand_space, take_shots, to_world
from .told import turned_camera

PAIR, ALONE = 'Pavallion_003_018_tossball', 'LectureHall_019_wipingchairs1'
GENDERS = {'3': 'male', '18': 'female', '19': 'female', '0': 'male'}
SIZE, FULL, EIGHTH = (240, 180), (4112, 3008), (514, 376)
TURN = (0.03, -0.1, 0.1)  # camera 0 to camera 3
DIST = (0.01, -0.02)
_SIDES = ('left', 'right')


def write_rich(root: Path, body_model_root: Path, seed: int = 0) -> dict[str, dict]:
    """Write 'train' and 'val'. Returns {key of the record: dict(figure, K, size)}, camera frame, K of the stored image."""
    root, truth = Path(root), {}
    K = np.array([[300.0, 0, 122], [0, 303, 88], [0, 0, 1]])
    pairs = take_shots(body_model_root, 2, SIZE, seed, people=2, genders=('male', 'female'), hand_space='pca12', K=K)
    fitted = dict(body_model_root=body_model_root, truth=truth)
    _write_sequence(root, 'train', PAIR, (3, 18), pairs, ('.jpeg', '.bmp'), SIZE, seed, **fitted)
    K = np.array([[600.0, 0, 260], [0, 604, 185], [0, 0, 1]])
    alone = take_shots(body_model_root, 1, EIGHTH, seed + 1, genders=('female',), hand_space='pca12', K=K)
    _write_sequence(root, 'val', ALONE, (19,), alone, ('.png', '.png'), FULL, seed + 1, **fitted)
    moving = root / 'data' / 'images' / 'train' / PAIR / 'cam_10'
    moving.mkdir()
    cv2.imwrite(str(moving / '00007_10.bmp'), pairs[0].image)
    cv2.imwrite(str(moving.parent / 'cam_00' / '00009_00.jpeg'), pairs[0].image)  # nobody is fitted in this frame
    path = root / 'resource' / 'gender.json'
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(GENDERS))
    return truth


def _write_sequence(root: Path, split: str, sequence: str, subjects: tuple[int, ...], shots: list[Shot],
                    endings: tuple[str, str], calibrated: tuple[int, int], seed: int, body_model_root: Path,
                    truth: dict) -> None:
    """Frames 7, 8, ..; `endings` of the images of cameras 0 and 3; `calibrated`: the size that calibrations are of."""
    near, far = Rotation.random(random_state=seed).as_matrix(), np.array([0.3, -0.2, 0.5])
    for number, shot in enumerate(shots):
        frame = 7 + number
        other, turn = turned_camera(shot, TURN)
        for camera, view, ending, rotation, translation in ((0, shot, endings[0], near, far),
                                                            (3, other, endings[1], turn @ near, turn @ far)):
            path = root / 'data' / 'images' / split / sequence / f'cam_{camera:02d}' / f'{frame:05d}_{camera:02d}{ending}'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), view.image)
            scene = root / 'data' / 'scan_calibration' / sequence.split('_')[0]
            _write_calibration(scene / 'calibration' / f'{camera:03d}.xml', rotation, translation, shot.K,
                               np.array(calibrated) / shot.size)
            for subject, figure in zip(subjects, view.figures, strict=True):
                key = f'rich/{split}/{sequence}/{camera}/{frame:05d}/{subject:03d}'
                truth[key] = dict(figure=figure, K=shot.K, size=shot.size)
        for subject, figure in zip(subjects, shot.figures, strict=True):
            path = root / 'data' / 'bodies' / split / sequence / f'{frame:05d}' / f'{subject:03d}.pkl'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pickle.dumps(_body(to_world(figure, near, far), body_model_root), protocol=2))


def _body(figure: Figure, body_model_root: Path) -> dict[str, np.ndarray]:
    """Each (1, n) float32."""
    hands = {f'{side}_hand_pose': read_hand_space(body_model_root, side).coefficients(pose)
             for side, pose in zip(_SIDES, figure.hand_pose, strict=True)}
    values = dict(betas=figure.betas, transl=figure.transl, global_orient=figure.global_orient,
                  body_pose=figure.body_pose.ravel(), jaw_pose=figure.jaw_pose, leye_pose=figure.eye_pose[0],
                  reye_pose=figure.eye_pose[1], expression=figure.expression, **hands)
    return {name: np.float32(value)[None] for name, value in values.items()}


def _write_calibration(path: Path, rotation: np.ndarray, translation: np.ndarray, K: np.ndarray, scale: np.ndarray) -> None:
    """As OpenCV writes it; `scale` (2,) from K's image to the calibrated one, pixel centres at whole numbers."""
    grown = K.copy()
    grown[[0, 1], [0, 1]] *= scale
    grown[:2, 2] = (K[:2, 2] + 0.5) * scale - 0.5
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write('CameraMatrix', np.concatenate((rotation, translation[:, None]), axis=1))
    storage.write('Intrinsics', grown)
    storage.write('Distortion', np.array([DIST]))
    storage.release()
