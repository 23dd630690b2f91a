"""FreiHAND's layout, written: {training,evaluation}/rgb/%08d.jpg, training/mask, and {K,mano,xyz,verts,scale}.json of both.

Camera frame, metres. The MANO vector has 15 residual fingers and, for a translation, the middle knuckle by an orthographic
camera: uv = c + s (x, y), s = f / z with f the mean of both focal lengths. Tips of ring and little finger in xyz are other
vertices than our layers take, their neighbours (FreiHAND: 555, 672, `smplx`: 554, 671). Unlike FreiHAND, pictures are
rendered, and versions 1 to 3 show the same background in other colours.
Source: lmb-freiburg/freihand `utils/model.py`, `utils/mano_utils.py`, `utils/fh_utils.py`.
"""
import json
from pathlib import Path

import cv2
import numpy as np

from hmradapter.body_models.model_files import find_model_file, read_model_file
from hmradapter.synthetic.layouts.shots import Hand, Shot, read_hand_space, take_hand_shots

VERSIONS = 4
SIZE = (224, 224)
_KNUCKLE, _NEXT = 9, 10     # of the middle finger, in HAND21
_OTHER_TIPS = {3: 16, 4: 20}  # ring and little finger: number in tip_vertex_ids, joint of HAND21


def write_freihand(root, body_model_root, seed: int = 0, hands: int = 4, evaluation: int = 2) -> dict[str, dict]:
    """Write `hands` training hands in four versions and `evaluation` more; return {key of the sample: vertices (V, 3), joints
    (21, 3), K (3, 3) in the camera, metres and pixels}."""
    root = Path(root)
    shots = take_hand_shots(body_model_root, hands + evaluation, SIZE, seed=seed)
    space = read_hand_space(body_model_root, 'right')
    tips = _other_tips(body_model_root)
    truth = {}
    for folder, chosen, versions in (('training', shots[:hands], VERSIONS), ('evaluation', shots[hands:], 1)):
        lists = {name: [] for name in ('K', 'mano', 'xyz', 'verts', 'scale')}
        for base, shot in enumerate(chosen):
            hand = shot.figures[0].hands['right']
            joints = hand.keypoints.copy()
            for joint, vertex in tips.items():
                joints[joint] = hand.vertices[vertex]
            entries = dict(K=shot.K, mano=[_vector(hand, joints, shot.K, space)], xyz=joints, verts=hand.vertices.round(6),
                           scale=np.linalg.norm(joints[_NEXT] - joints[_KNUCKLE]))
            for name, value in entries.items():
                lists[name].append(np.asarray(value).tolist())
            for version in range(versions):
                number = base + version * len(chosen)
                _write_image(root / folder / 'rgb' / f'{number:08d}.jpg', _coloured(shot.image, version))
                truth[f'freihand/{folder}/{number:08d}'] = dict(vertices=hand.vertices, joints=joints, K=shot.K)
            if folder == 'training':
                _write_image(root / folder / 'mask' / f'{base:08d}.jpg', _mask(shot, hand))
        for name, entries in lists.items():
            (root / f'{folder}_{name}.json').write_text(json.dumps(entries))
    return truth


def _other_tips(body_model_root) -> dict[int, int]:
    """Vertices for the tips of ring and little finger: of those that share a face with the model's the furthest."""
    arrays = read_model_file(find_model_file(Path(body_model_root) / 'mano', 'MANO', 'MANO_RIGHT'), 'MANO')
    faces, template, found = arrays['f'], arrays['v_template'], {}
    for finger, joint in _OTHER_TIPS.items():
        tip = arrays['tip_vertex_ids'][finger]
        near = np.unique(faces[(faces == tip).any(axis=1)])
        found[joint] = near[np.linalg.norm(template[near] - template[tip], axis=1).argmax()]
    return found


def _vector(hand: Hand, joints: np.ndarray, K: np.ndarray, space) -> np.ndarray:
    """(61,) orientation, fingers, betas, root in the image, scale."""
    scale = (K[0, 0] + K[1, 1]) / 2 / joints[_KNUCKLE, 2]
    pixel = K[:2, 2] + scale * joints[_KNUCKLE, :2]
    return np.concatenate([hand.global_orient, space.residual(hand.hand_pose).ravel(), hand.betas, pixel, [scale]])


def _coloured(image: np.ndarray, version: int) -> np.ndarray:
    """The picture with its hues turned, so that versions can be told apart."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + 45 * version) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def _mask(shot: Shot, hand: Hand) -> np.ndarray:
    """(H, W) roughly the hand: the hull of its vertices."""
    mask = np.zeros(SIZE[::-1], np.uint8)
    return cv2.fillConvexPoly(mask, cv2.convexHull(shot.project(hand.vertices).round().astype(np.int32)), 255)


def _write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 85]):
        raise OSError(f'{path} could not be written')
