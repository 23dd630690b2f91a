"""What users import: a model from its files, predictions of hands, and predictions from disk."""
from .hand_mesh import HandModel
from .inference import adapter_off, infer_hands, make_camera
from .loading import init_model
from .prediction import Camera, HandPrediction
from .prediction_files import PredictionFileError, load_prediction, save_prediction

__all__ = ['Camera', 'HandModel', 'HandPrediction', 'PredictionFileError', 'adapter_off', 'infer_hands', 'init_model',
           'load_prediction', 'make_camera', 'save_prediction']
