"""BEDLAM's layout, written; the files' facts are in `hmradapter.datasets.sources.bedlam`.

A scene of two people in each image, a close-up scene whose images lie on their side, a scene of 30 frames a second, and labels
without images. Planted: a translation that is split between trans_cam and a cam_ext of each person's own, absolute hands, 11
betas (the open model has 10, the last means nothing to it), rows out of order, a third column of ones in gtkps, and arrays that
are not read, one of them of objects. Unlike BEDLAM: the people in the pictures also have expressions, which labels and truth do
not have.
"""
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from .shots import Figure, Shot, take_shots
from .told import with_only

PLAIN, CLOSE = '20221010_3_1000_batch01hand_6fps', '20221011_1_250_batch01hand_closeup_suburb_a_6fps'
FAST, UNSEEN = '20221024_10_100_batch01handhair_zoom_suburb_d_30fps', '20221012_3-10_500_batch01hand_zoom_highSchoolGym_6fps'
SIZE = (256, 144)


def write_bedlam(root: Path, body_model_root: Path, seed: int = 0) -> dict[str, dict]:
    """Write four scenes. Returns {key of the record: dict(figure, K, size, image)}, camera frame, of the upright image."""
    root, rng, truth = Path(root), np.random.default_rng(seed), {}
    plans = {PLAIN: (SIZE, 3, 2), CLOSE: (SIZE[::-1], 2, 1), FAST: (SIZE, 1, 1)}
    for number, (scene, (size, count, people)) in enumerate(plans.items()):
        K = np.array([[1.2 * max(size), 0, size[0] / 2], [0, 1.2 * max(size), size[1] / 2], [0, 0, 1]])
        shots = take_shots(body_model_root, count, size, seed + number, people=people, K=K)
        rows = []
        for frame, shot in enumerate(shots):
            name = f'seq_{frame // 2:06d}/seq_{frame // 2:06d}_{5 * (frame % 2):04d}.png'  # two images a sequence
            path = root / 'training_images' / scene / 'png' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.rot90(shot.image) if scene == CLOSE else shot.image)
            for person, figure in enumerate(shot.figures):
                told = with_only(figure, body_model_root, ('jaw_pose', 'eye_pose', 'hand_pose'))
                truth[f'bedlam/{scene}/{path.stem}/{person}'] = dict(figure=told, K=K, size=size, image=shot.image)
                rows.append(_row(name, told, shot, rng))
        rows = rows[1:] + rows[:1] if people == 1 else rows[-people:] + rows[:-people]
        _write_labels(root, scene, rows)
        if scene == FAST:
            _write_labels(root, UNSEEN, rows)
    return truth


def _row(name: str, figure: Figure, shot: Shot, rng: np.random.Generator) -> dict:
    pose = np.concatenate((figure.global_orient, figure.body_pose.ravel(), figure.jaw_pose, figure.eye_pose.ravel(),
                           figure.hand_pose.ravel()))
    ext = np.eye(4)
    ext[:3, :3], ext[:3, 3] = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix(), rng.normal(0, 1, 3)
    joints = shot.project(figure.joints[:127])
    world = pose.copy()
    world[:3] = (Rotation.from_matrix(ext[:3, :3]).inv() * Rotation.from_rotvec(pose[:3])).as_rotvec()
    low, high = joints[:22].min(0), joints[:22].max(0)
    return dict(imgname=name, pose_cam=pose, pose_world=world, shape=np.append(figure.betas, rng.normal()),
                trans_cam=figure.transl - ext[:3, 3], cam_ext=ext, cam_int=shot.K, center=(low + high) / 2,
                gtkps=np.concatenate((joints, np.ones((127, 1))), axis=1), scale=1.2 * (high - low).max() / 200,
                gender='male', sub='rp_open_0001', trans_world=rng.normal(0, 1, 3))


def _write_labels(root: Path, scene: str, rows: list[dict]) -> None:
    path = root / 'training_labels' / 'all_npz_12_training' / f'{scene}.npz'
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    np.savez_compressed(path, **dict(arrays, sub=arrays['sub'].astype(object)))
