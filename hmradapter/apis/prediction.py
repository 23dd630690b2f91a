"""What the package says about one hand or one person in one image, as users see it.

Convention: metres, radians, pixels with integers at pixel centres; OpenCV camera (x right, y down, z forward) of the whole,
unmirrored image. Left hands are left hands: nothing here is mirrored. V vertices of the mesh.
"""
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Camera:
    """Pinhole camera of the whole image. focal (2,), princpt (2,) px; size (width, height);
    source is 'given' by the user, or 'assumed': 5000 / 256 * longer side, principal point at the centre (HaMeR's demo)."""
    focal: np.ndarray
    princpt: np.ndarray
    size: tuple[int, int]
    source: str = 'assumed'

    @property
    def K(self) -> np.ndarray:
        """(3, 3) intrinsic matrix."""
        return np.array([[self.focal[0], 0, self.princpt[0]], [0, self.focal[1], self.princpt[1]], [0, 0, 1]], np.float64)


class Placed:
    """A mesh with joints and the translation that places both before the camera."""
    vertices: np.ndarray
    keypoints_3d: np.ndarray
    translation: np.ndarray

    @property
    def vertices_camera(self) -> np.ndarray:
        """(V, 3) in the camera frame."""
        return self.vertices + self.translation

    @property
    def keypoints_camera(self) -> np.ndarray:
        """(J, 3) in the camera frame."""
        return self.keypoints_3d + self.translation


@dataclass(frozen=True, eq=False)
class HandPrediction(Placed):
    """One hand: MANO parameters, its place before the camera, and the mesh that follows from them.

    hand: 'right' or 'left'.  box_xyxy (4,): the box that was asked for, px.  crop_center (2,), crop_size: the square that the
        network saw, px.  crop_cam (3,): weak camera (s, tx, ty) of that crop.
    global_orient (3, 3): the hand's rotation in the camera frame.  hand_pose (15, 3, 3): finger rotations relative to their
        parents, absolute (the flat hand is zero, no mean to add), MANO order.  betas (10,).
    translation (3,): added to vertices and joints it places the hand before the camera.
    vertices (V, 3), keypoints_3d (21, 3): mesh and HAND21 joints without the translation.  keypoints_2d (21, 2): px.
    faces (F, 3): triangles of this side's mesh.
    guided: whether a body pose guided an adapter.  side_given: False where the side was chosen by the program.
    flags: 'behind_camera' (the mesh has no picture).
    """
    hand: str
    box_xyxy: np.ndarray
    crop_center: np.ndarray
    crop_size: float
    crop_cam: np.ndarray
    global_orient: np.ndarray
    hand_pose: np.ndarray
    betas: np.ndarray
    translation: np.ndarray
    vertices: np.ndarray
    keypoints_3d: np.ndarray
    keypoints_2d: np.ndarray
    faces: np.ndarray
    camera: Camera
    guided: bool = False
    side_given: bool = True
    flags: tuple[str, ...] = field(default=())


@dataclass(frozen=True, eq=False)
class PersonPrediction(Placed):
    """One person: SMPL-X parameters, the place before the camera, both hands as MANO has them, and the mesh that follows.

    box_xyxy (4,): the box that was asked for, px.  score: the detector's, 1 for a box that was given.
    crop_center (2,), crop_size (2,): centre and (w, h) of what the network saw, px.
    global_orient (3, 3): rotation of the root as the crop shows it, taken for the camera frame.
    body_pose (21, 3, 3), jaw_pose (3, 3), left_hand_pose and right_hand_pose (15, 3, 3): relative to their parents, hands
        absolute (the flat hand is zero, no mean to add).
    betas (10,), expression (10,).  translation (3,): added to vertices and joints it places the person before the camera.
    vertices (V, 3), keypoints_3d (137, 3): mesh and joints without the translation.  keypoints_2d (137, 2): px.
    Hands, left then right, as the hand expert read them: hand_boxes (2, 4) tight, px; mano_global_orient (2, 3, 3) in the frame
        of the hand's crop, mano_hand_pose (2, 15, 3, 3), mano_betas (2, 10), mano_translation (2, 3); elbow_twist (2,) rad that
        went from a wrist into its elbow. Of a hand that the hand expert did not see they are zero, rotations the identity.
    faces (F, 3): triangles.
    flags: 'behind_camera' (the mesh has no picture), 'left_hand_missing', 'right_hand_missing' (no usable box: the whole-body
        expert's own hand), 'left_wrist_uncertain', 'right_wrist_uncertain' (bent so far that its twist is undefined),
        'whole_image' (nobody was detected: the image is the box).
    """
    box_xyxy: np.ndarray
    score: float
    crop_center: np.ndarray
    crop_size: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    jaw_pose: np.ndarray
    left_hand_pose: np.ndarray
    right_hand_pose: np.ndarray
    betas: np.ndarray
    expression: np.ndarray
    translation: np.ndarray
    hand_boxes: np.ndarray
    mano_global_orient: np.ndarray
    mano_hand_pose: np.ndarray
    mano_betas: np.ndarray
    mano_translation: np.ndarray
    elbow_twist: np.ndarray
    keypoints_2d: np.ndarray
    keypoints_3d: np.ndarray
    vertices: np.ndarray
    faces: np.ndarray
    camera: Camera
    flags: tuple[str, ...] = field(default=())
