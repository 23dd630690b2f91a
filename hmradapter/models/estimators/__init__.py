"""Whole models: experts with or without their adapter, and how a hand joins a body."""
from .adapted_expert import AdaptedExpert
from .dual_path import DualPathEstimator
from .hand_expert import HandExpert
from .integrators import BodyWrist, ElbowTwist, IntegratedBody, PosedBody, PosedHands, WristCopy
from .whole_body_expert import WholeBodyExpert

__all__ = ['AdaptedExpert', 'BodyWrist', 'DualPathEstimator', 'ElbowTwist', 'HandExpert', 'IntegratedBody', 'PosedBody',
           'PosedHands', 'WholeBodyExpert', 'WristCopy']
