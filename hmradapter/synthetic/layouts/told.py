"""What a layout can tell of a shot: a figure without what the data set has no label for, and the same picture from a camera
that has turned about itself."""
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hmradapter.body_models.smplx_layer import POSE_PARTS

from .shots import Figure, Shot, smplx_layer, to_world

_OPTIONAL = ('expression', 'jaw_pose', 'eye_pose', 'hand_pose')


def with_only(figure: Figure, body_model_root: str | Path, parts: tuple[str, ...]) -> Figure:
    """The figure with those `parts` of expression, jaw_pose, eye_pose, hand_pose; the others are 0, and vertices and joints
    those of such a body. `hands` stay as they are."""
    bare = {name: np.zeros_like(getattr(figure, name)) for name in _OPTIONAL if name not in parts}
    told = replace(figure, **bare)
    layer = smplx_layer(str(body_model_root), figure.gender)
    rotvecs = np.concatenate((told.global_orient[None], told.body_pose, told.jaw_pose[None], told.eye_pose,
                              told.hand_pose.reshape(30, 3)))
    turns = torch.from_numpy(Rotation.from_rotvec(rotvecs).as_matrix()[None]).float().split(tuple(POSE_PARTS.values()), dim=1)
    with torch.no_grad():
        out = layer(**dict(zip(POSE_PARTS, turns, strict=True)), betas=torch.from_numpy(told.betas[None]).float(),
                    expression=torch.from_numpy(told.expression[None]).float())
    return replace(told, **{name: getattr(out, name)[0].double().numpy() + told.transl for name in ('vertices', 'joints')})


def turned_camera(shot: Shot, rotvec: tuple[float, float, float]) -> tuple[Shot, np.ndarray]:
    """The shot from a camera turned about its own centre, X' = R X, and R (3, 3): every pixel moves by K R K^-1."""
    turn = Rotation.from_rotvec(rotvec).as_matrix()
    pixels = shot.K @ turn @ np.linalg.inv(shot.K)
    image = cv2.warpPerspective(shot.image, pixels, shot.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Shot(image, shot.K, [to_world(figure, turn.T, np.zeros(3)) for figure in shot.figures]), turn
