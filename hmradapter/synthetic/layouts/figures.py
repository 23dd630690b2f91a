"""Persons, hands and pictures with the whole truth, and the same in another frame.

Camera frame: OpenCV (x right, y down, z forward), metres; the centre of the top left pixel is (0, 0). Poses are axis-angle,
radians, hands absolute, all float64.
A figure's vertices and joints are those of SMPLXLayer for its parameters, a hand's those of MANOLayer, to 5e-6 m (float32).
A body turns about its rest root joint J0, pelvis or wrist for its betas, so a root joint lies at J0 + transl however it turns.
"""
import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hmradapter.body_models.model_files import find_model_file, read_model_file
from hmradapter.synthetic.cameras import Camera

PCA = 12  # components of a hand that files keep


@dataclass(frozen=True)
class Hand:
    """A MANO hand. side 'left' or 'right'; betas (10,), global_orient (3,), hand_pose (15, 3) absolute, transl (3,);
    vertices (Vh, 3), keypoints (21, 3) in HAND21."""
    side: str
    betas: np.ndarray
    global_orient: np.ndarray
    hand_pose: np.ndarray
    transl: np.ndarray
    vertices: np.ndarray
    keypoints: np.ndarray


@dataclass(frozen=True)
class Figure:
    """An SMPL-X person. betas (10,), expression (10,), global_orient (3,), body_pose (21, 3), jaw_pose (3,), eye_pose (2, 3)
    and hand_pose (2, 15, 3), absolute, of left and right, transl (3,); vertices (V, 3), joints (144, 3) in SMPLX144;
    hands {side: Hand}, which turn and lie as the body's wrists do."""
    gender: str
    betas: np.ndarray
    expression: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    jaw_pose: np.ndarray
    eye_pose: np.ndarray
    hand_pose: np.ndarray
    transl: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    hands: dict[str, Hand]


@dataclass(frozen=True)
class Shot:
    """A picture: image (H, W, 3) uint8 BGR, K (3, 3) px, and who is in it."""
    image: np.ndarray
    K: np.ndarray
    figures: list[Figure]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.image.shape[1], self.image.shape[0]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Camera points (..., 3) -> pixels (..., 2)."""
        return Camera(self.K, np.eye(4), self.size).project(points)


@dataclass(frozen=True)
class HandSpace:
    """mean (45,) and components (n, 45), orthonormal rows: hand poses as `mean + coefficients @ components`."""
    mean: np.ndarray
    components: np.ndarray

    def residual(self, hand_pose: np.ndarray) -> np.ndarray:
        """Absolute (15, 3) -> (15, 3) less the mean hand: what files with flat_hand_mean=False say."""
        return hand_pose - self.mean.reshape(15, 3)

    def coefficients(self, hand_pose: np.ndarray) -> np.ndarray:
        """Absolute (15, 3) -> (n,); exact for hands taken in this space, else the nearest."""
        return self.components @ self.residual(hand_pose).reshape(45)

    def pose(self, coefficients: np.ndarray) -> np.ndarray:
        """(n,) -> absolute (15, 3)."""
        return (self.mean + coefficients @ self.components).reshape(15, 3)


@functools.lru_cache(maxsize=8)
def read_hand_space(body_model_root: str | Path, side: str, count: int = PCA) -> HandSpace:
    """The model file's own first `count` components of one hand."""
    arrays = read_model_file(find_model_file(str(Path(body_model_root) / 'mano'), 'MANO', f'MANO_{side.upper()}'), 'MANO')
    return HandSpace(np.array(arrays['hands_mean'], float), np.array(arrays['hands_components'], float)[:count])


def to_world(who: Figure | Hand, rotation: np.ndarray, translation: np.ndarray) -> Figure | Hand:
    """The same person or hand, parameters and points, in another frame.
    Convention: X_c = R X_w + t with R = rotation (3, 3), t = translation (3,) metres, so X_w = R^T (X_c - t). J0 stays:
    orient_w = log(R^T exp(orient_c)), transl_w = R^T (J0 + transl_c - t) - J0.
    With R = 1 and t = (0, 0, 1), whoever stands at z = 3 in the camera stands at z = 2 in the world.
    Joints 127..143, the face's contour, stay the same points; a layer posed in the world takes others, since `smplx` chooses
    them by the head's yaw in the frame it is given."""
    rotation, translation = np.asarray(rotation, float), np.asarray(translation, float)
    if rotation.shape != (3, 3) or not np.allclose(rotation @ rotation.T, np.eye(3)) or np.linalg.det(rotation) < 0:
        raise ValueError(f'rotation is {rotation.tolist()}, but a frame is turned by a matrix (3, 3) with R R^T = 1, det 1.')
    root = (who.joints if isinstance(who, Figure) else who.keypoints)[0]  # J0 + transl
    rest = root - who.transl
    orient = Rotation.from_matrix(rotation.T) * Rotation.from_rotvec(who.global_orient)

    def moved(points: np.ndarray) -> np.ndarray:
        return (points - translation) @ rotation

    same = dict(global_orient=orient.as_rotvec(), transl=moved(root) - rest, vertices=moved(who.vertices))
    if isinstance(who, Hand):
        return replace(who, **same, keypoints=moved(who.keypoints))
    hands = {side: to_world(hand, rotation, translation) for side, hand in who.hands.items()}
    return replace(who, **same, joints=moved(who.joints), hands=hands)
