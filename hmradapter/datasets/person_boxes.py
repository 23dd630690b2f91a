"""Boxes of persons as SMPLer-X takes them. Source: SMPLer-X `common/utils/preprocessing.py`."""
from collections.abc import Sequence

import numpy as np
import torch

PERSON_ASPECT = 0.75  # width over height of the crop
PARTS = ('left hand', 'right hand', 'face')
PART_RATIO = 1.2      # what SMPLer-X pads boxes of parts by


def person_box(box_xywh, img_size: Sequence[float], ratio: float, aspect: float = PERSON_ASPECT) -> np.ndarray | None:
    """Crop (4,) float32 xywh for a box (4,) xywh in pixels of an image (W, H): cut to the image (and one pixel less wide and
    high, as there), grown about its centre to the aspect, then times `ratio`. None for a box that does not cover anything."""
    x, y, w, h = (float(value) for value in box_xywh)
    x0, y0 = max(0.0, x), max(0.0, y)
    x1, y1 = min(img_size[0] - 1, x0 + max(0.0, w - 1)), min(img_size[1] - 1, y0 + max(0.0, h - 1))
    if not (w * h > 0 and x1 > x0 and y1 > y0):  # also where a value is NaN
        return None
    w, h = x1 - x0, y1 - y0
    size = np.array((max(w, aspect * h), max(h, w / aspect))) * ratio
    return np.concatenate((np.array((x0 + w / 2, y0 + h / 2)) - size / 2, size)).astype(np.float32)


def part_boxes(boxes_xywh: Sequence, img_size: Sequence[float]) -> dict:
    """Tight boxes (4,) xywh px of the PARTS, or None where there is none -> part_boxes (3, 4) x0 y0 x1 y1 px, padded, and
    has_part_boxes (3,). They get the body's aspect, as in SMPLer-X."""
    corners, valid = torch.zeros(len(PARTS), 4), torch.zeros(len(PARTS))
    for part, tight in enumerate(boxes_xywh):
        box = None if tight is None else person_box(tight, img_size, PART_RATIO)
        if box is not None:
            corners[part], valid[part] = torch.from_numpy(np.concatenate((box[:2], box[:2] + box[2:]))), 1
    return dict(part_boxes=corners, has_part_boxes=valid)
