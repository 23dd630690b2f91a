"""Human3.6M's layout in Moon's form, written; the files' facts are in `hmradapter.datasets.sources.h36m_files`.

Seven subjects, one sequence each, cameras 1 and 4 (the second is the first, turned about itself; 2 and 3 have no images).
Planted: cameras and mocap joints in mm beside fits in m; string keys; images numbered from frame_idx + 1; boxes 1.2 times the
joints'; a frame that no stride takes (3); of subject 6 a height announced 2 pixels off. Unlike Human3.6M: fits have no error
but for 1 cm in the mocap joints, images are small, frames few.
"""
import json
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from .shots import Figure, take_shots, to_world
from .told import turned_camera, with_only

SIZE = (200, 200)
FRAMES = {1: (0, 3, 5), 5: (0,), 6: (0,), 7: (0,), 8: (0,), 9: (0, 64), 11: (0,)}  # of each subject
TEST = (9, 11)
TURN = (0.02, 0.1, 0.15)  # camera 1 to camera 4
K = np.array([[260.0, 0, 101.0], [0, 262.0, 98.5]] + [[0, 0, 1.0]])
# Of the 17 mocap joints those that SMPLX144 has; torso, neck, nose and head's top from spine2, neck, nose and head.
_MOCAP = (0, 2, 5, 8, 1, 4, 7, 6, 12, 55, 15, 16, 18, 20, 17, 19, 21)


def write_h36m(root: Path, body_model_root: Path, seed: int = 0) -> dict[str, dict]:
    """Write both splits. Returns {key of the record: dict(figure, K, size)}, camera frame, bodies without fingers and face."""
    root, rng = Path(root), np.random.default_rng(seed)
    shots = iter(take_shots(body_model_root, sum(map(len, FRAMES.values())), SIZE, seed, framings=('whole', 'upper'), K=K,
                            subjects=4))
    truth = {}
    for subject, frames in FRAMES.items():
        near, far = Rotation.random(random_state=seed + subject).as_matrix(), rng.normal((3, -2, 4), 1)  # world to camera 1
        files = dict(data=dict(images=[], annotations=[]), camera={}, joint_3d={}, SMPLX_NeuralAnnot={})
        for frame in frames:
            shot = next(shots)
            other, turn = turned_camera(shot, TURN)
            for camera, view, rotation, translation in ((1, shot, near, far), (4, other, turn @ near, turn @ far)):
                figure = with_only(view.figures[0], body_model_root, ())
                _add_image(root, files['data'], subject, camera, frame, view.image, view.project(figure.joints[list(_MOCAP)]))
                files['camera'][str(camera)] = _camera(rotation, translation)
                key = f'h36m/{"test" if subject in TEST else "train"}/s_{subject:02d}_act_02_subact_01/{camera}/{frame:06d}'
                truth[key] = dict(figure=figure, K=K, size=SIZE)
            world = to_world(with_only(shot.figures[0], body_model_root, ()), near, far)
            files['SMPLX_NeuralAnnot'].setdefault('2', {}).setdefault('1', {})[str(frame)] = _fit(world)
            mocap = 1000 * (world.joints[list(_MOCAP)] + rng.normal(0, 0.01, (17, 3)))
            files['joint_3d'].setdefault('2', {}).setdefault('1', {})[str(frame)] = mocap.tolist()
        for camera in ('2', '3'):
            files['camera'][camera] = _camera(np.eye(3), np.zeros(3))
        for kind, content in files.items():
            path = root / 'annotations' / f'Human36M_subject{subject}_{kind}.json'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
    return truth


def _add_image(root: Path, data: dict, subject: int, camera: int, frame: int, image: np.ndarray, joints: np.ndarray) -> None:
    folder = f's_{subject:02d}_act_02_subact_01_ca_{camera:02d}'
    name = f'{folder}/{folder}_{frame + 1:06d}.jpg'
    path = root / 'images' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    number = len(data['images']) + 1000 * subject
    data['images'].append(dict(id=number, file_name=name, width=SIZE[0], height=SIZE[1] + 2 * (subject == 6), subject=subject,
                               action_name='Directions', action_idx=2, subaction_idx=1, cam_idx=camera, frame_idx=frame))
    low, high = joints.min(0), joints.max(0)
    size = 1.2 * (high - low - 1)
    data['annotations'].append(dict(id=number, image_id=number, bbox=[*((low + high - size) / 2).tolist(), *size.tolist()],
                                    keypoints_vis=[True] * 17))


def _camera(rotation: np.ndarray, translation: np.ndarray) -> dict:
    """Millimetres."""
    return dict(R=rotation.tolist(), t=(1000 * translation).tolist(), f=[K[0, 0], K[1, 1]], c=[K[0, 2], K[1, 2]])


def _fit(figure: Figure) -> dict:
    """Metres, world frame; nothing beyond the wrists."""
    return dict(root_pose=figure.global_orient.tolist(), body_pose=figure.body_pose.ravel().tolist(),
                shape=figure.betas.tolist(), trans=figure.transl.tolist())
