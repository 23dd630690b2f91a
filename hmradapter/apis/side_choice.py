"""Choosing the side of a hand that came without one: the network looks at the crop as a right and as a left hand.

A wrong side makes the network explain a mirrored hand, which then fills its box less well; and where there is a body, its wrist
of that side points elsewhere. How often the choice is right stands in docs/outputs.md
(measured by tools/analysis_tools/measure_side_choice.py).
"""
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hmradapter.apis.prediction import HandPrediction
from hmradapter.geometry.kinematics import chain_product
from hmradapter.geometry.rotations import geodesic_angle
from hmradapter.structures.joints import ARM_CHAIN


def choose_side(options: Sequence[HandPrediction], body: Tensor | None = None) -> HandPrediction:
    """The most plausible of several predictions of one hand, marked as chosen by the program."""
    return replace(min(options, key=lambda prediction: implausibility(prediction, body)), side_given=False)


def implausibility(prediction: HandPrediction, body: Tensor | None = None) -> float:
    """Box mismatch, plus the wrist's disagreement with the body (22, 3, 3) where there is one."""
    cost = box_mismatch(prediction)
    return cost if body is None else cost + wrist_disagreement(prediction, body)


def box_mismatch(prediction: HandPrediction) -> float:
    """1 - intersection over union of the asked box and the box around the predicted mesh in the image, 0..1."""
    points = prediction.vertices_camera
    if (points[:, 2] <= 0).any():
        return 1.0
    pixels = points[:, :2] / points[:, 2:] * prediction.camera.focal + prediction.camera.princpt
    low, high = pixels.min(0), pixels.max(0)
    box = prediction.box_xyxy
    inside = float(np.clip(np.minimum(high, box[2:]) - np.maximum(low, box[:2]), 0, None).prod())
    union = float((high - low).prod() + (box[2:] - box[:2]).prod()) - inside
    return 1 - inside / max(union, 1e-9)


def wrist_disagreement(prediction: HandPrediction, body: Tensor) -> float:
    """Angle in radians between the predicted hand's orientation and that of the body's wrist on its side: MANO's wrist is
    SMPL-X's, no offset between them. body (22, 3, 3), pelvis in the camera frame, the others parent-relative."""
    wrist = chain_product(body, ARM_CHAIN[prediction.hand])
    return float(geodesic_angle(torch.from_numpy(prediction.global_orient).to(wrist), wrist))
