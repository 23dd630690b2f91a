"""Losses on positions: 2D joints, 3D joints, vertices (L_2D, L_3D, L_v of eq. 5). The paper names no norm; L1 is HaMeR's."""
from torch import Tensor

from hmradapter.registry import LOSSES

from .base import SampleLoss, check_kind, distance, over_sample


@LOSSES.register_module()
class Keypoint2DLoss(SampleLoss):
    """Joints in crop units: pred (B, K, 2), target (B, K, 3), the last column a confidence. `kind` is 'l1' (HaMeR) or 'l2'."""

    def __init__(self, kind: str = 'l1', weight: float = 1.0, reduction: str = 'sum'):
        super().__init__(weight, reduction)
        self.kind = check_kind(kind)

    def per_sample(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Confidence-weighted distance, (B,)."""
        return distance(pred, target[..., :2], target[..., 2:] * over_sample(valid, pred), self.kind)


@LOSSES.register_module()
class Keypoint3DLoss(SampleLoss):
    """Joints relative to the wrist, metres: pred (B, K, 3), target (B, K, 4) whose last column is the confidence.

    Args:
        kind: 'l1' (HaMeR) or 'l2'.
        root: joint that is subtracted from both.
        root_needs_label: a sample whose root has no label counts as unlabelled, since nothing can be relative to it. HaMeR does
            not look at the root's confidence: False.
    """

    def __init__(self, kind: str = 'l1', root: int = 0, root_needs_label: bool = True, weight: float = 1.0,
                 reduction: str = 'sum'):
        super().__init__(weight, reduction)
        self.kind, self.root, self.root_needs_label = check_kind(kind), root, root_needs_label

    def per_sample(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Confidence-weighted distance, (B,)."""
        points, confidence = target[..., :3], target[..., 3:]
        if self.root_needs_label:
            valid = valid * (confidence[:, self.root, 0] > 0)
        root = slice(self.root, self.root + 1)
        return distance(pred - pred[:, root], points - points[:, root], confidence * over_sample(valid, pred), self.kind)


@LOSSES.register_module()
class VertexLoss(SampleLoss):
    """Vertices in metres, relative to the wrist on both sides: pred and target (B, V, 3). HaMeR has none; L1 as its joints."""

    def __init__(self, kind: str = 'l1', weight: float = 1.0, reduction: str = 'sum'):
        super().__init__(weight, reduction)
        self.kind = check_kind(kind)

    def per_sample(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Distance over all vertices, (B,)."""
        return distance(pred, target, over_sample(valid, pred), self.kind)
