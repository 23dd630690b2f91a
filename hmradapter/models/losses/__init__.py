"""Losses, each a registered module forward(pred, target, valid) -> weighted scalar."""
from .base import SampleLoss
from .keypoint_map import KeypointMapLoss
from .parameters import BetasLoss, HandPoseLoss, RotationMatrixLoss
from .points import Keypoint2DLoss, Keypoint3DLoss, VertexLoss
from .whole_body import BoxL1Loss, MaskedL1Loss, align_parts, move_hands_into_boxes, part_relative, whole_body_terms

__all__ = ['BetasLoss', 'BoxL1Loss', 'HandPoseLoss', 'Keypoint2DLoss', 'Keypoint3DLoss', 'KeypointMapLoss', 'MaskedL1Loss',
           'RotationMatrixLoss', 'SampleLoss', 'VertexLoss', 'align_parts', 'move_hands_into_boxes', 'part_relative',
           'whole_body_terms']
