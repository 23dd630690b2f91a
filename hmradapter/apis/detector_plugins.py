"""Detectors of other packages, which are imported when one is made and need not be there otherwise.

Both were tested against imitations of these packages' interfaces only (their documented arguments and results), not against the
packages themselves. Neither fetches weights from the network unless `download=True` says so.
"""
import importlib
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import torch
from mmengine.registry import DefaultScope

from hmradapter.apis.detectors import PersonDetector
from hmradapter.apis.loading import pick_device
from hmradapter.fileio import load_torch
from hmradapter.registry import DETECTORS


@DETECTORS.register_module(name='torchvision')
class TorchvisionDetector(PersonDetector):
    """A detection model of torchvision (0.14 or later).

    Args:
        model: its name there, such as 'fasterrcnn_resnet50_fpn'.
        weights: file with its state_dict, read without executing what is pickled in it.
        download: instead of `weights`, let torchvision fetch the weights it calls DEFAULT into its own cache.
        person_label: the class that is a person; 1 in weights trained on COCO.
        num_classes: of the weights, background included, where it is not the model's default (91, COCO).
        device: 'auto', 'cpu', 'cuda:0', ...
        score_thr: persons with a lower score are left out.
    """
    name = 'torchvision'

    def __init__(self, model: str = 'fasterrcnn_resnet50_fpn', weights: str | Path | None = None, download: bool = False,
                 person_label: int = 1, num_classes: int | None = None, device: str = 'auto', score_thr: float = 0.3):
        super().__init__(score_thr)
        models = _import('torchvision.models', 'torchvision', 'pip install torchvision')
        detection = _import('torchvision.models.detection', 'torchvision', 'pip install torchvision')
        known = models.list_models(module=detection)
        if model not in known:
            raise ValueError(f'torchvision has no detection model {model!r}; it has {sorted(known)}.')
        if (weights is None) != download:
            raise ValueError(f'detector torchvision:{model} needs either a file as weights (det_weights), or download=True, '
                             'with which torchvision itself fetches them.')
        options = {} if num_classes is None else dict(num_classes=num_classes)
        # weights_backbone has a default in torchvision, which would be downloaded
        network = models.get_model(model, weights='DEFAULT' if download else None, weights_backbone=None, **options)
        if weights is not None:
            _load_weights(network, _file(weights, 'det_weights'), model)
        self.device, self.person_label = pick_device(device), person_label
        self.network = network.to(self.device).eval()

    @torch.no_grad()
    def find(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rgb = torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).to(self.device)
        found, = self.network([rgb.permute(2, 0, 1).float() / 255])  # boxes (N, 4) xyxy px, labels (N,), scores (N,)
        person = found['labels'] == self.person_label
        return found['boxes'][person].cpu().numpy(), found['scores'][person].cpu().numpy()


@DETECTORS.register_module(name='mmdet')
class MMDetDetector(PersonDetector):
    """A detector of MMDetection (3.x), from a config and a checkpoint.

    MMDetection loads the checkpoint in its own way, which may execute what is pickled in it: give files that you trust.

    Args:
        config: of MMDetection.
        weights: its checkpoint (.pth), a file.
        person_label: the class that is a person; None looks for the name 'person' among the checkpoint's classes.
        device: 'auto', 'cpu', 'cuda:0', ...
        score_thr: persons with a lower score are left out.
    """
    name = 'mmdet'

    def __init__(self, config: str | Path, weights: str | Path | None = None, person_label: int | None = None,
                 device: str = 'auto', score_thr: float = 0.3):
        super().__init__(score_thr)
        self.apis = _import('mmdet.apis', 'mmdet', 'pip install mmdet, with an mmcv that it accepts')
        config = str(_file(config, 'det_model'))
        if weights is None:
            raise ValueError(f'the detector of {config} needs its checkpoint: give the file as weights (det_weights).')
        checkpoint, device = str(_file(weights, 'det_weights')), str(pick_device(device))
        with DefaultScope.overwrite_default_scope('mmdet'):  # init_detector sets a scope, in which our parts are not found
            self.network = self.apis.init_detector(config, checkpoint, device=device)
        self.person_label = self._label_of_persons() if person_label is None else person_label

    def find(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with DefaultScope.overwrite_default_scope('mmdet'):
            found = self.apis.inference_detector(self.network, image).pred_instances.cpu().numpy()
        person = found.labels == self.person_label
        return found.bboxes[person], found.scores[person]

    def _label_of_persons(self) -> int:
        classes = [str(name).lower() for name in self.network.dataset_meta.get('classes') or ()]
        if 'person' not in classes:
            raise ValueError(f"the detector's classes are {classes[:10]}, without 'person': give person_label, the number of "
                             'the class that is one.')
        return classes.index('person')


def _import(module: str, package: str, install: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(f"the detector '{package}' needs {package}, which is not installed ({error}): {install}. Or use "
                          "det_model='auto', which needs nothing.") from error
    except Exception as error:  # mmdet asserts versions when it is imported
        raise ImportError(f'{package} is installed, but cannot be imported: {type(error).__name__}: {error}') from error


def _file(path: str | Path, argument: str) -> Path:
    if not Path(path).is_file():
        raise FileNotFoundError(f'{argument} is {path}, and there is no such file (nothing is downloaded).')
    return Path(path)


def _load_weights(network: torch.nn.Module, path: Path, model: str) -> None:
    state = load_torch(path)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} does not hold the weights of torchvision model {model}: '
                         f'{" ".join(str(error).split())[:300]}') from error
