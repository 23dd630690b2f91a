"""What users import: pictures to persons or hands, a model from its files, and predictions from disk."""
from .body_mesh import BodyModel
from .hand_mesh import HandModel
from .inference import adapter_off, infer_hands, make_camera
from .inferencer import FrameResult, HMRInferencer
from .loading import init_model
from .prediction import Camera, HandPrediction, PersonPrediction
from .prediction_files import PredictionFileError, load_prediction, save_prediction

__all__ = ['BodyModel', 'Camera', 'FrameResult', 'HMRInferencer', 'HandModel', 'HandPrediction', 'PersonPrediction',
           'PredictionFileError', 'adapter_off', 'infer_hands', 'init_model', 'load_prediction', 'make_camera',
           'save_prediction']
