"""Joints, boxes and captions over pictures, and pictures side by side. Images are (H, W, 3) uint8 BGR."""
from collections.abc import Sequence

import cv2
import numpy as np

from hmradapter.structures.joints import HAND21_PARENTS, WHOLE137_PARTS

# thumb, index, middle, ring, pinky (RGB)
FINGER_COLORS = ((230, 80, 60), (240, 180, 40), (80, 180, 80), (60, 130, 230), (160, 90, 200))
WRIST_COLOR = (240, 240, 240)
PART_COLORS = dict(body=(245, 245, 245), left_hand=(60, 160, 250), right_hand=(250, 140, 40), face=(170, 170, 170))  # RGB
MARGIN = 4


def draw_joints(image: np.ndarray, keypoints_px: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
    """A copy with the hand's 21 joints (21, 2) px as a skeleton, one colour a finger; bones need both ends `visible` (21,)."""
    result = image.copy()
    shown = np.isfinite(keypoints_px).all(1)
    if visible is not None:
        shown &= np.asarray(visible) > 0
    shown &= (np.abs(np.nan_to_num(keypoints_px)) < 1e5).all(1)  # OpenCV draws 32 bit integers
    thickness = max(1, round(max(image.shape[:2]) / 400))
    points = [tuple(int(round(float(value) * 16)) for value in point) if ok else None
              for point, ok in zip(keypoints_px, shown, strict=True)]
    for joint, parent in enumerate(HAND21_PARENTS):
        if parent >= 0 and points[joint] and points[parent]:
            cv2.line(result, points[parent], points[joint], _bgr(joint), thickness, cv2.LINE_AA, shift=4)
    for joint, point in enumerate(points):
        if point:
            cv2.circle(result, point, 16 * (thickness + 1), _bgr(joint), -1, cv2.LINE_AA, shift=4)
    return result


def draw_person_joints(image: np.ndarray, keypoints_px: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """A copy with a person's 137 joints (137, 2) px as dots, one colour a part, those that are `visible` (137,)."""
    result = image.copy()
    radius = max(1, max(image.shape[:2]) // 300)
    near = (np.asarray(visible) > 0) & (np.abs(keypoints_px) < 1e4).all(1)  # false for NaN
    for name, part in WHOLE137_PARTS.items():
        for x, y in keypoints_px[part][near[part]]:
            cv2.circle(result, (round(float(x)), round(float(y))), radius, PART_COLORS[name][::-1], -1, cv2.LINE_AA)
    return result


def _bgr(joint: int) -> tuple[int, int, int]:
    color = WRIST_COLOR if joint == 0 else FINGER_COLORS[(joint - 1) // 4]
    return color[::-1]


def draw_box(image: np.ndarray, xyxy: np.ndarray, color: tuple[int, int, int], label: str = '') -> np.ndarray:
    """A copy with a box (4,) px in `color` (RGB) and a label above it."""
    result = image.copy()
    thickness = max(1, round(max(image.shape[:2]) / 400))
    x0, y0, x1, y1 = (int(round(float(np.clip(value, -1e4, 1e5)))) for value in xyxy)
    cv2.rectangle(result, (x0, y0), (x1, y1), color[::-1], thickness, cv2.LINE_AA)
    if label:
        scale = max(0.4, max(image.shape[:2]) / 1200)
        cv2.putText(result, label, (x0 + 2, max(y0 - 4, int(14 * scale))), cv2.FONT_HERSHEY_SIMPLEX, scale, color[::-1],
                    thickness, cv2.LINE_AA)
    return result


def side_by_side(images: Sequence[np.ndarray], height: int | None = None) -> np.ndarray:
    """Pictures in a row at one height (that of the first by default), white gaps between them."""
    height = height or images[0].shape[0]
    scaled = [cv2.resize(image, (max(1, round(image.shape[1] * height / image.shape[0])), height),
                         interpolation=cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR)
              for image in images]
    gap = np.full((height, MARGIN, 3), 255, np.uint8)
    row = [part for image in scaled for part in (gap, image)][1:]
    return np.concatenate(row, axis=1)


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], cell: int = 192, captions: Sequence[str] = ()) -> np.ndarray:
    """Pictures in a grid of square cells, letterboxed on white; `captions` stand above the columns."""
    if not rows or not rows[0]:
        raise ValueError('a contact sheet needs at least one picture.')
    columns = max(len(row) for row in rows)
    top = 22 if captions else 0
    pitch = cell + MARGIN
    sheet = np.full((top + pitch * len(rows) - MARGIN, pitch * columns - MARGIN, 3), 255, np.uint8)
    for column, caption in enumerate(captions[:columns]):
        cv2.putText(sheet, caption, (column * pitch + 3, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            factor = cell / max(image.shape[:2])
            wh = tuple(min(cell, max(1, round(side * factor))) for side in image.shape[1::-1])
            small = cv2.resize(image, wh, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
            y, x = top + i * pitch + (cell - wh[1]) // 2, j * pitch + (cell - wh[0]) // 2
            sheet[y:y + wh[1], x:x + wh[0]] = small
    return sheet
