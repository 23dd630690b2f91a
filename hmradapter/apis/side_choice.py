"""Choosing the side of a hand that came without one: the network looks at the crop as a right and as a left hand.

A wrong side makes the network explain a mirrored hand, which costs plausibility. The rule takes the side with the smaller
`implausibility`; docs/outputs.md says how often it is right, and where that was measured.
"""
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from hmradapter.apis.hand_mesh import HandModel
from hmradapter.apis.prediction import HandPrediction
from hmradapter.geometry.rotations import geodesic_angle


def choose_side(options: Sequence[HandPrediction], hand_model: HandModel) -> HandPrediction:
    """The most plausible of several predictions of one hand, marked as chosen by the program."""
    best = min(options, key=lambda prediction: implausibility(prediction, hand_model.relaxed_pose(prediction.hand)))
    return replace(best, side_given=False)


def finger_bend(prediction: HandPrediction, mean_pose: np.ndarray) -> float:
    """Mean angle in radians between the fingers' rotations and the relaxed hand's (15, 3, 3)."""
    angles = geodesic_angle(torch.from_numpy(prediction.hand_pose), torch.from_numpy(mean_pose))
    return float(angles.mean())


def box_mismatch(prediction: HandPrediction) -> float:
    """1 - intersection over union of the asked box and the box around the predicted mesh in the image, 0..1."""
    points = prediction.vertices_camera
    if (points[:, 2] <= 0).any():
        return 1.0
    pixels = points[:, :2] / points[:, 2:] * prediction.camera.focal + prediction.camera.princpt
    low, high = pixels.min(0), pixels.max(0)
    box = prediction.box_xyxy
    sides = np.clip(np.minimum(high, box[2:]) - np.maximum(low, box[:2]), 0, None)
    inside = float(sides.prod())
    union = float((high - low).prod() + (box[2:] - box[:2]).prod()) - inside
    return 1 - inside / max(union, 1e-9)


def implausibility(prediction: HandPrediction, mean_pose: np.ndarray) -> float:
    """What the rule compares: box mismatch plus finger bend."""
    return box_mismatch(prediction) + finger_bend(prediction, mean_pose)
