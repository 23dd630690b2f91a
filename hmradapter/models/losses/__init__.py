"""Losses, each a registered module forward(pred, target, valid) -> weighted scalar."""
from .base import SampleLoss
from .parameters import BetasLoss, HandPoseLoss, RotationMatrixLoss
from .points import Keypoint2DLoss, Keypoint3DLoss, VertexLoss

__all__ = ['BetasLoss', 'HandPoseLoss', 'Keypoint2DLoss', 'Keypoint3DLoss', 'RotationMatrixLoss', 'SampleLoss', 'VertexLoss']
