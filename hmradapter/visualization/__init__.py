"""Pictures, mesh files and web pages of results; everything works without a display."""
from .prediction_visualizer import PredictionVisualizer

__all__ = ['PredictionVisualizer']
