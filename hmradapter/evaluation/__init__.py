"""Metrics and named protocols: what a number is, and what it was measured on."""
from .body_regions import load_body_regions
from .body_scoring import BodyScorer, score_bodies
from .coco_metric import CocoWholeBodyMetric
from .hand_metric import HandMeshMetric
from .protocols import PROTOCOLS, BodyProtocol, HandProtocol, KeypointProtocol, Protocol, get_protocol
from .scores import Scores
from .scoring import score
from .tables import format_scores
from .whole_body_metric import WholeBodyMetric

__all__ = ['PROTOCOLS', 'BodyProtocol', 'BodyScorer', 'CocoWholeBodyMetric', 'HandMeshMetric', 'HandProtocol',
           'KeypointProtocol', 'Protocol', 'Scores', 'WholeBodyMetric', 'format_scores', 'get_protocol', 'load_body_regions',
           'score', 'score_bodies']
