"""Whole models: experts with or without their adapter."""
from .hand_expert import HandExpert

__all__ = ['HandExpert']
