"""2D errors of hand crops, as HInt reports them.

B samples, J = 21 joints. Crop units: centre 0, side of the crop 1, a left hand's crop mirrored.
Source: HaMeR `utils/pose_utils.py`.
"""
import numpy as np
import torch
from torch import Tensor

from hmradapter.evaluation.errors import Points, as_double
from hmradapter.geometry.mirror import mirror_points

HINT_THRESHOLDS = (0.05, 0.1, 0.15)  # of the annotated box's longer side
MIN_CONFIDENCE = 0.5                 # a joint above it counts as visible


def crop_to_image_px(points: Points, box_center: Points, box_size: Points, is_right: Points) -> Tensor:
    """Crop units of the network (B, J, 2) -> pixels of the unmirrored image (B, J, 2). box_center (B, 2), box_size (B,) px."""
    points, side = as_double(points), as_double(is_right).view(-1, 1, 1)
    points = torch.where(side > 0, points, mirror_points(points))
    return points * as_double(box_size).view(-1, 1, 1) + as_double(box_center)[:, None]


def hint_pck(pred_px: Points, true_px: Points, confidence: Points, box_side_px: Points,
             thresholds: tuple[float, ...] = HINT_THRESHOLDS) -> dict[str, float]:
    """PCK by joint over the samples in which it is visible, then the mean over joints.

    Args:
        pred_px, true_px: (B, J, 2) pixels of the image.
        confidence: (B, J); visible means above 0.5.
        box_side_px: (B,) longer side of the annotated box (box_size divided by the factor it was enlarged with).
        thresholds: shares of the box side; a distance equal to the limit counts as correct.

    Returns:
        kp{j}_pck_{t} and kpAvg_pck_{t}; a joint that is never visible is NaN and so makes the mean NaN, as in HaMeR.
    """
    distance = torch.linalg.vector_norm(as_double(pred_px) - as_double(true_px), dim=-1) / as_double(box_side_px)[:, None]
    visible = as_double(confidence) > MIN_CONFIDENCE
    result = {}
    for threshold in thresholds:
        shares = ((distance <= threshold) & visible).sum(0).double() / visible.sum(0)
        result.update({f'kp{j}_pck_{threshold}': float(share) for j, share in enumerate(shares)})
        result[f'kpAvg_pck_{threshold}'] = float(shares.mean())
    return result


def keypoint_l2(pred: Points, true: Points, confidence: Points) -> np.ndarray:
    """Confidence-weighted squared distance in crop units, mean over joints: (B, J, 2) x 2, (B, J) -> (B,).
    HaMeR's `mode_kpl2` is the sum over samples, and as run together with PCK it mirrors left hands' predictions beforehand."""
    squared = (as_double(pred) - as_double(true)).square().sum(-1)
    return (as_double(confidence) * squared).mean(-1).numpy()
