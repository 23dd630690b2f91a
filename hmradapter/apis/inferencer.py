"""`HMRInferencer`: whatever holds pictures of people, to persons; names and arguments as MMPose's users know them.

    from hmradapter.apis import HMRInferencer
    inferencer = HMRInferencer('configs/open/dual_path_open.py')
    for result in inferencer('photos/'):
        print(result.frame.name, [person.translation for person in result.persons], result.errors)
"""
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import nn

from hmradapter.apis.body_mesh import BodyModel
from hmradapter.apis.detectors import PersonDetector, build_detector
from hmradapter.apis.inference import make_camera
from hmradapter.apis.inputs import is_wide_enough, person_boxes_of
from hmradapter.apis.loading import init_model
from hmradapter.apis.persons import OURS, PersonRequest, check_batch_size, check_rays, infer_persons
from hmradapter.apis.prediction import Camera, PersonPrediction
from hmradapter.apis.sources import Frame, FrameSource, open_source
from hmradapter.engine.config import load_config
from hmradapter.models.estimators import DualPathEstimator, WholeBodyExpert
from hmradapter.registry import INFERENCERS
from hmradapter.structures.data_sample import ROWS

WEIGHT_NAMES = ('body_expert', 'hand_expert', 'body_adapter', 'hand_adapter')


@dataclass(eq=False)
class FrameResult:
    """What was found in one picture.

    frame: the picture, or why there is none.  camera: of it, None without a picture.
    rows: predictions by row, 'ours' and those that were asked for to compare with, persons in the same order in each.
    boxes_from: 'given', or the name of the detector.  errors: what could not be used, the picture itself or single boxes.
    timings: seconds, 'detect' of this picture, 'predict' its persons' share of their batches.
    """
    frame: Frame
    camera: Camera | None = None
    boxes_from: str = ''
    rows: dict[str, list[PersonPrediction]] = field(default_factory=lambda: {OURS: []})
    errors: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=lambda: dict(detect=0.0, predict=0.0))

    @property
    def persons(self) -> list[PersonPrediction]:
        """The result: a prediction for each person."""
        return self.rows[OURS]


@INFERENCERS.register_module()
class HMRInferencer:
    """Detector, model and cameras behind one call.

    Args:
        model: path of a config of a DualPathEstimator or a WholeBodyExpert, or a model of `init_model`.
        weights: files by name, of WEIGHT_NAMES, instead of those that the config names; None for an adapter leaves it out. A
            WholeBodyExpert has body_expert and body_adapter.
        device: 'auto', 'cpu', 'cuda:0', ...
        det_model, det_weights: who finds the people, see `detectors.build_detector`.
        rows: what to predict beside the result, 'expert' and 'combined' (`DualPathEstimator`).
        batch_size: persons that go through the network at once, of however many pictures.
        cfg_options: dotted keys of the config -> values.
    """

    def __init__(self, model: str | Path | nn.Module, weights: dict | None = None, device: str = 'auto',
                 det_model: str | dict | PersonDetector = 'auto', det_weights: str | Path | None = None,
                 rows: Sequence[str] = (), batch_size: int = 8, cfg_options: dict | None = None):
        unknown = set(weights or {}) - set(WEIGHT_NAMES)
        if unknown:
            raise ValueError(f'weights has {sorted(unknown)}; it may name {WEIGHT_NAMES}.')
        check_batch_size(batch_size)
        if isinstance(model, nn.Module):
            if weights or cfg_options:
                raise ValueError('weights and cfg_options belong to a model that is given by its config.')
            self.model = model
        else:
            self.model = _model_of(model, weights or {}, device, cfg_options or {})
        if not isinstance(self.model, (DualPathEstimator, WholeBodyExpert)) or self.model.body_model is None:
            raise ValueError(f'{self.model.cfg.filename} is a {type(self.model).__name__}'
                             f'{"" if self.model.body_model is not None else " without a body_model"}; persons need a '
                             'DualPathEstimator or a WholeBodyExpert with one. For boxes of hands alone there is infer_hands.')
        if isinstance(rows, str) or not set(rows) <= set(ROWS):
            raise ValueError(f'rows is {rows!r}; it must be a list of {ROWS}.')
        if rows and not isinstance(self.model, DualPathEstimator):
            raise ValueError(f'rows is {tuple(rows)}; only a DualPathEstimator has rows to compare with.')
        self.rows = tuple(rows)
        self.detector = build_detector(det_model, det_weights, device)
        self.body_model = BodyModel.of(self.model.body_model)
        self.batch_size = batch_size

    def __call__(self, inputs, bboxes: dict[str, Sequence] | Sequence | None = None, intrinsics: np.ndarray | None = None,
                 focal: float | None = None, batch_size: int | None = None) -> Iterator[FrameResult]:
        """Results one by one, in the order of the pictures, while the next ones are still being read.

        Args:
            inputs: path of a picture, folder or video, an array (H, W, 3) uint8 BGR, 'webcam', or a list of such; or a
                `FrameSource`.
            bboxes: persons' boxes (N, 4) x0, y0, x1, y1 px for every picture, or such lists by file name; None detects.
            intrinsics: K (3, 3) px of all pictures, or `focal` px alone; else 5000 / 256 of the longer side is assumed.
            batch_size: of this call.

        Raises:
            ValueError: a camera that is none. What is wrong with single pictures or boxes is in their results' `errors`.
        """
        check_rays(self.model, make_camera((100, 100), intrinsics, focal))  # tells now, not at every picture
        source = inputs if isinstance(inputs, FrameSource) else open_source(inputs)
        if batch_size is None:
            batch_size = 1 if source.is_stream and source.fps is None else self.batch_size  # a camera does not wait
        check_batch_size(batch_size)
        return self._results(source, bboxes, (intrinsics, focal), batch_size)

    def predict(self, inputs, **options) -> list[FrameResult]:
        """All results as a list; arguments as of a call."""
        return list(self(inputs, **options))

    def _results(self, source: FrameSource, bboxes, camera: tuple, batch_size: int) -> Iterator[FrameResult]:
        waiting: deque[tuple[FrameResult, int]] = deque()  # with the number of persons that each waits for

        def requests() -> Iterator[PersonRequest]:
            for frame in source:
                result, persons = self._look(frame, bboxes, camera)
                waiting.append((result, len(persons)))
                yield from persons

        def complete() -> Iterator[FrameResult]:
            while waiting and len(waiting[0][0].persons) == waiting[0][1]:
                yield waiting.popleft()[0]

        if isinstance(self.model, DualPathEstimator):
            self.model.rows = self.rows  # another inferencer may have asked the same model for others
        for person in infer_persons(self.model, requests(), batch_size, self.body_model):
            yield from complete()
            result = waiting[0][0]
            result.timings['predict'] += person.seconds
            for row, prediction in person.rows.items():
                result.rows.setdefault(row, []).append(prediction)
            yield from complete()
        yield from complete()

    def _look(self, frame: Frame, bboxes, camera: tuple) -> tuple[FrameResult, list[PersonRequest]]:
        """A result without its persons yet, and who is to be looked at."""
        if frame.image is None:
            return FrameResult(frame, errors=[frame.error]), []
        size = frame.image.shape[1::-1]
        result = FrameResult(frame, make_camera(size, *camera))
        if bboxes is not None:
            boxes, result.errors = person_boxes_of(bboxes, frame.path.name if frame.path else frame.name, size)
            result.boxes_from, scores, flags = 'given', np.ones(len(boxes)), ()
        else:
            start = time.perf_counter()
            found = self.detector(frame.image)
            result.timings['detect'] = time.perf_counter() - start
            usable = [is_wide_enough(box, size) for box in found.boxes]
            boxes, scores, flags, result.boxes_from = found.boxes[usable], found.scores[usable], found.flags, found.origin
        return result, [PersonRequest(frame.image, box, result.camera, float(score), flags)
                        for box, score in zip(boxes, scores, strict=True)]


def _model_of(config: str | Path, weights: dict, device: str, cfg_options: dict) -> nn.Module:
    """The model of a config with other weights; none with random ones, which would look at people in vain."""
    files = {name: None if path is None else str(path) for name, path in weights.items()}
    cfg = load_config(config, cfg_options)
    if cfg.model.type == 'WholeBodyExpert':
        keys = dict(body_expert='model.expert', body_adapter='model.adapter_file')
        if not files.keys() <= keys.keys():
            raise ValueError(f'{config} is a WholeBodyExpert, whose weights are {tuple(keys)}, not {tuple(files)}.')
        files = {keys[name]: path for name, path in files.items()}
    cfg = load_config(config, cfg_options | files)
    parts = [cfg.model.body, cfg.model.hand] if cfg.model.type == 'DualPathEstimator' else [cfg.model]
    for part in parts:
        if not part.get('expert'):
            raise ValueError(f'{config} names no weights for its {part.type}: give them by `weights` or in the config.')
    return init_model(cfg, device=device)
