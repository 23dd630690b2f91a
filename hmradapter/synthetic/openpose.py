"""What OpenPose would say about a person, from the exact joints: keypoints in its orders, pixels, confidence 0 or 1."""
import numpy as np

from hmradapter.structures.joints import HAND21_FROM_SMPLX144

# Of SMPLX144. BODY_25: nose, neck, right arm, left arm, middle of the hips, right leg, left leg, eyes, ears, feet.
BODY25_FROM_SMPLX144 = (55, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65)
# COCO-18: as before without hips' middle and feet.
COCO18_FROM_SMPLX144 = (55, 12, 17, 19, 21, 16, 18, 20, 2, 5, 8, 1, 4, 7, 56, 57, 58, 59)
# 70 of the face: contour, the 51 inner ones, pupils (right, left).
FACE70_FROM_SMPLX144 = (*range(127, 144), *range(76, 127), 24, 23)


def keypoints(pixels: np.ndarray, order, size: tuple[int, int]) -> np.ndarray:
    """(K, 3) x, y, confidence of joints (144, 2); what lies outside the image (width, height) is 0, 0, 0 as undetected."""
    chosen = pixels[list(order)]
    inside = ((chosen >= 0) & (chosen <= np.array(size) - 1)).all(axis=1, keepdims=True)
    return np.concatenate([chosen, np.ones((len(chosen), 1))], axis=1) * inside


def person_json(pixels: np.ndarray, size: tuple[int, int]) -> dict:
    """One entry of an OpenPose file's `people`, from joints (144, 2)."""
    parts = {'pose': BODY25_FROM_SMPLX144, 'face': FACE70_FROM_SMPLX144, 'hand_left': HAND21_FROM_SMPLX144['left'],
             'hand_right': HAND21_FROM_SMPLX144['right']}
    return {f'{name}_keypoints_2d': keypoints(pixels, order, size).round(4).ravel().tolist() for name, order in parts.items()}
