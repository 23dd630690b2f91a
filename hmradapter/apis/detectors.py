"""Where persons are in an image: detectors, of which DETECTORS holds the named ones.

A detector is called with an image (H, W, 3) uint8 BGR and gives `Detections`: boxes (N, 4) float32 x0, y0, x1, y1 px, inside
the image (0 <= x <= W - 1, 0 <= y <= H - 1, integers at pixel centres), the surest first, the same ones every time.
Write one of your own as a subclass of `PersonDetector` with a `find`; the rest is done here.

Source of 'hog': N. Dalal, B. Triggs, Histograms of oriented gradients for human detection, CVPR 2005, with OpenCV's weights.
"""
import importlib
import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hmradapter.registry import DETECTORS

WHOLE_IMAGE = 'whole_image'  # the flag of a box that nobody detected
ROUNDING = 1e-3              # of scores near 1, as half precision gives them


@dataclass(frozen=True)
class Detections:
    """Persons of one image: boxes (N, 4) float32 px, scores (N,) float32 in 0..1, name of the detector that gave them, flags
    ('whole_image': no person was looked for or found, the box is the image)."""
    boxes: np.ndarray
    scores: np.ndarray
    origin: str
    flags: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.boxes)


class PersonDetector(ABC):
    """Base of all detectors: subclasses say `find`, this class checks, clips, thresholds and sorts.

    Args:
        score_thr: persons with a lower score are left out.
    """
    name = 'custom'
    flags: tuple[str, ...] = ()

    def __init__(self, score_thr: float = 0.3):
        if not 0 <= score_thr <= 1:
            raise ValueError(f'score_thr is {score_thr}; scores lie between 0 and 1.')
        self.score_thr = score_thr

    @abstractmethod
    def find(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 BGR -> boxes (N, 4) x0, y0, x1, y1 px and scores (N,) in 0..1 of persons, in any order."""

    def __call__(self, image: np.ndarray) -> Detections:
        """(H, W, 3) uint8 BGR -> `Detections`. What lies outside the image, or covers nothing of it, is left out.

        Raises:
            ValueError: the image is none, or the detector gave something else than boxes and scores.
        """
        if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f'the image is {getattr(image, "shape", type(image).__name__)} {getattr(image, "dtype", "")}; '
                             'a detector takes (H, W, 3) uint8 BGR.')
        boxes, scores = self._checked(*self.find(image))
        limit = np.float32([image.shape[1] - 1, image.shape[0] - 1])
        boxes = np.clip(boxes, 0, np.tile(limit, 2))
        kept = (boxes[:, 2:] > boxes[:, :2]).all(1) & (scores >= self.score_thr)
        boxes, scores = boxes[kept], scores[kept]
        order = np.lexsort((*boxes.T[::-1], -scores))  # ties by place, so that the order is always the same
        return Detections(boxes[order], scores[order], self.name, self.flags)

    def _checked(self, boxes, scores) -> tuple[np.ndarray, np.ndarray]:
        boxes, scores = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
        if boxes.size == 0 and scores.size == 0:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
            raise ValueError(f'detector {self.name!r} gave boxes {boxes.shape} and scores {scores.shape}; they must be (N, 4) '
                             'and (N,).')
        if not np.isfinite(boxes).all() or not ((scores >= 0) & (scores < 1 + ROUNDING)).all():
            raise ValueError(f'detector {self.name!r} gave boxes that are not finite, or scores that are not in 0..1.')
        return boxes, scores.clip(max=1)


@DETECTORS.register_module(name=WHOLE_IMAGE)
class WholeImage(PersonDetector):
    """Looks for nobody: the whole image is one person's box, with score 0 and the flag 'whole_image'. An image that is one
    pixel wide or high has no box."""
    name = WHOLE_IMAGE
    flags = (WHOLE_IMAGE,)

    def __init__(self):
        super().__init__(score_thr=0)

    def find(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = image.shape[:2]
        return np.float32([[0, 0, width - 1, height - 1]]), np.zeros(1, np.float32)


@DETECTORS.register_module(name='hog')
class HOGDetector(PersonDetector):
    """OpenCV's histogram-of-gradients pedestrian detector of 2005. Needs no download, and is not a good detector by today's
    measure: it finds people who stand upright and are seen from head to foot, at least about 100 px high after the image was
    brought to `max_side`. It misses close-ups, sitting, bent, lying and cut-off people, and takes tall things for people.
    docs/outputs.md has its measured rate.

    The score is 1 - exp(-m), m the sum of the classifier's margins over all windows that agree on the person. It ranks; it is
    no probability.

    Args:
        score_thr: persons with a lower score are left out.
        max_side: larger images are shrunk to this longer side (px) before the search, for speed.
        overlap: windows that overlap more than this (intersection over union) see the same person.
    """
    name = 'hog'
    # A window's person, from its centre in window heights (left, top, right, bottom): without the margin of 16 px of 128 that
    # the training pictures had, and wider than their 32 px of 64, for arms. Medians of 100 images of the open world's training
    # split are -0.21, -0.35, 0.21, 0.43.
    PERSON = np.array([-0.21, -0.36, 0.21, 0.42])
    MARGIN = 16  # px around the image, at every scale: people may touch its border

    def __init__(self, score_thr: float = 0.3, max_side: int = 640, overlap: float = 0.4):
        super().__init__(score_thr)
        if max_side < 128:
            raise ValueError(f'max_side is {max_side}; the detector looks for people of about 100 px, so give at least 128.')
        self.max_side, self.overlap = max_side, overlap
        self.descriptor = cv2.HOGDescriptor()
        self.descriptor.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    def find(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes and scores by OpenCV's HOG of pedestrians, on the picture shrunk to `max_side`."""
        height, width = image.shape[:2]
        shrink = min(1.0, self.max_side / max(height, width))
        small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        if shrink < 1:
            image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        window = self.descriptor.winSize
        if any(side + 2 * self.MARGIN < least for side, least in zip(small, window, strict=True)):
            return np.zeros((0, 4)), np.zeros(0)
        found, margins = self.descriptor.detectMultiScale(image, hitThreshold=0, winStride=(8, 8), padding=(self.MARGIN,) * 2,
                                                          scale=1.05, groupThreshold=0)
        windows = np.asarray(found, float).reshape(-1, 4)  # x, y, w, h
        center, tall = windows[:, :2] + windows[:, 2:] / 2, windows[:, 3:]
        people, margins = merge_boxes(np.tile(center, 2) + tall * self.PERSON, np.ravel(margins), self.overlap)
        return people * np.tile([width / small[0], height / small[1]], 2), 1 - np.exp(-margins)


@DETECTORS.register_module(name='auto')
class AutoDetector(HOGDetector):
    """The default, which needs no download: 'hog', and where that finds nobody 'whole_image', whose flag tells so.
    Arguments as of `HOGDetector`; it asks for surer persons, since a wrong box is worse here than the whole image."""

    def __init__(self, score_thr: float = 0.6, max_side: int = 640, overlap: float = 0.4):
        super().__init__(score_thr, max_side, overlap)
        self.whole_image = WholeImage()

    def __call__(self, image: np.ndarray) -> Detections:
        found = super().__call__(image)
        return found if len(found) else self.whole_image(image)


def build_detector(det_model='auto', det_weights: str | Path | None = None, device: str = 'auto') -> PersonDetector:
    """A detector from what a user says; names as in MMPose.

    Args:
        det_model: a name of DETECTORS ('auto', 'hog', 'whole_image'); 'torchvision:MODEL', a detection model of torchvision by
            name; an .py file, a config of MMDetection; 'module:Class', a `PersonDetector` of the user's; dict(type=name, ...);
            or a detector that is ready.
        det_weights: file with the weights, of the detectors that take one.
        device: 'auto', 'cpu', 'cuda:0', ... of the detectors that take one.

    Raises:
        ValueError, ImportError, FileNotFoundError: name what was given and what can be given.
    """
    if isinstance(det_model, PersonDetector):
        if det_weights is not None:
            raise ValueError('det_weights belongs to a detector that is given by name; this one is ready.')
        return det_model
    if isinstance(det_model, str | Path):
        options = _options_of(str(det_model))
    elif isinstance(det_model, dict) and 'type' in det_model:
        options = dict(det_model)
    else:
        raise ValueError(f'det_model is {det_model!r}; it must be a name, a dict with a "type", or a PersonDetector.')
    kind = options.pop('type')
    builder = kind if inspect.isclass(kind) else _class_of(str(kind))
    if not (inspect.isclass(builder) and issubclass(builder, PersonDetector)):
        raise ValueError(f'{kind} is no detector: derive it from hmradapter.apis.detectors.PersonDetector.')
    if inspect.isabstract(builder):
        raise ValueError(f'detector {kind!r} has no find(image), which says where the persons are.')
    taken = inspect.signature(builder).parameters
    if det_weights is not None:
        if 'weights' not in taken:
            raise ValueError(f'detector {kind!r} takes no weights, but det_weights is {det_weights}.')
        options['weights'] = det_weights
    if 'device' in taken:
        options.setdefault('device', device)
    try:
        inspect.signature(builder).bind(**options)
    except TypeError as error:
        raise ValueError(f'detector {kind!r} cannot be made: {error}; its arguments are {list(taken)}.') from error
    return builder(**options)


def merge_boxes(boxes: np.ndarray, weights: np.ndarray, overlap: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) with weights (N,) >= 0 -> a box (M, 4) a group, their weighted mean, and the sum (M,) of its weights. A
    group is the heaviest box that is left and those that overlap it by more than `overlap` (intersection over union). The
    result does not depend on the boxes' order."""
    boxes, weights = np.asarray(boxes, float).reshape(-1, 4), np.asarray(weights, float)
    order = np.lexsort((*boxes.T[::-1], -weights))
    boxes, weights = boxes[order], weights[order]
    merged, sums = [], []
    while len(boxes):
        same = box_iou(boxes[:1], boxes)[0] > overlap
        same[0] = True
        sums.append(weights[same].sum())
        merged.append(weights[same] @ boxes[same] / sums[-1] if sums[-1] > 0 else boxes[0])
        boxes, weights = boxes[~same], weights[~same]
    return np.array(merged).reshape(-1, 4), np.array(sums)


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) and (M, 4) x0, y0, x1, y1 -> (N, M); 0 where both cover nothing."""
    first, second = np.asarray(first, float)[:, None], np.asarray(second, float)[None]
    shared = (np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])).clip(min=0).prod(-1)
    union = (first[..., 2:] - first[..., :2]).prod(-1) + (second[..., 2:] - second[..., :2]).prod(-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _options_of(text: str) -> dict:
    """What a string says about a detector."""
    if text.endswith('.py'):
        return dict(type='mmdet', config=text)
    if text.startswith('torchvision:'):
        return dict(type='torchvision', model=text.partition(':')[2])
    return dict(type=text)


def _class_of(name: str) -> type:
    """A registered name, or 'module:Class'."""
    module, colon, attribute = name.partition(':')
    if colon:
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ImportError(f'detector {name!r} cannot be imported ({error}); it must be MODULE:CLASS, with the module on '
                              'the PYTHONPATH.') from error
    found = DETECTORS.get(name) if name.isidentifier() else None
    if found is None:
        raise ValueError(f'det_model is {name!r}; known are {sorted(DETECTORS.module_dict)}, torchvision:MODEL, a config of '
                         'MMDetection (.py), and MODULE:CLASS.')
    return found
