"""Metrics and named protocols: what a number is, and what it was measured on."""
from .hand_metric import HandMeshMetric
from .protocols import PROTOCOLS, Protocol, get_protocol
from .scores import Scores
from .scoring import score
from .tables import format_scores

__all__ = ['PROTOCOLS', 'HandMeshMetric', 'Protocol', 'Scores', 'format_scores', 'get_protocol', 'score']
