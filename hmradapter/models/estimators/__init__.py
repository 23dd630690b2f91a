"""Whole models: experts with or without their adapter."""
from .adapted_expert import AdaptedExpert
from .hand_expert import HandExpert
from .whole_body_expert import WholeBodyExpert

__all__ = ['AdaptedExpert', 'HandExpert', 'WholeBodyExpert']
