"""HaMeR's crop: a square around the hand, seen as a right hand. S side of the crop in pixels.

Source: HaMeR `datasets/vitdet_dataset.py` (inference: blur against aliasing) and `datasets/image_dataset.py` with
`utils.py:get_example` (training and evaluation: no blur, augmentation). One departure: only the part of the image that the crop
reads is mirrored, blurred and warped.
"""
import math

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from hmradapter.geometry import boxes, cameras, mirror, rotations
from hmradapter.registry import TRANSFORMS

BLUR_FROM = 1.1      # shrinking beyond this factor (box side / S / 2) is blurred first
BLUR_TRUNCATE = 4.0  # standard deviations


@TRANSFORMS.register_module()
class HandCrop(BaseTransform):
    """Cut the hand out of the image and turn everything that belongs to it into a right hand's view; `undo` takes points back.

    A left hand is mirrored once, here: picture, 2D, 3D, wrist, fingers and the body that guides. A draw of
    `RandomHandAugmentation` is applied to all of them: an in-plane turn turns the camera's frame, so also the guiding root.

    Reads: img (H, W, 3) uint8 BGR, box_center (2,) and box_wh (2,) px of the tight box, hand, augmentation if drawn.
    Changes: img (S, S, 3), uint8, or float32 when blurred; if there, keypoints_2d (21, 3) px -> crop widths,
        keypoints_3d (21, 4) m, global_orient (1, 3, 3), hand_pose (15, 3, 3), body_pose (22, 3, 3); box_center, still px of the
        unmirrored image.
    Adds: box_size px, crop_from_image (3, 3), is_right.

    Args:
        image_size: S; HaMeR has 256.
        rescale_factor: side of the crop over the side of the tight box; HaMeR's demo has 2, its stored boxes want 1.
        aspect: (w, h) that the rescaled box is grown to before its longer side is taken, or None.
        blur: HaMeR's inference rule. Training and evaluation in HaMeR do without.
    """

    def __init__(self, image_size: int = 256, rescale_factor: float = 2.0, aspect: tuple[int, int] | None = boxes.HAMER_ASPECT,
                 blur: bool = False):
        self.image_size, self.rescale_factor, self.aspect, self.blur = image_size, rescale_factor, aspect, blur

    def transform(self, results: dict) -> dict:
        draw = results.get('augmentation') or dict(scale=1.0, degrees=0.0, shift=(0.0, 0.0))
        is_left = results['hand'] == 'left'
        height, width = results['img'].shape[:2]
        side = float(self.box_size(results['box_wh']))
        center = np.asarray(results['box_center'], np.float64) + side * np.asarray(draw['shift'])
        seen = np.array([mirror.mirror_pixels_x(center[0], width), center[1]]) if is_left else center
        matrix = boxes.crop_affine(seen, side, self.image_size, draw['scale'], draw['degrees'])

        sigma = self.blur_sigma(side) if self.blur else 0.0
        results['img'] = warp_region(results['img'], matrix.numpy(), self.image_size, is_left, sigma)
        crop_from_image = boxes.to_homogeneous(matrix)
        if is_left:
            crop_from_image = crop_from_image @ mirror.mirror_affine(width)
        results.update(box_center=torch.from_numpy(center).float(), box_size=torch.tensor(side * draw['scale']),
                       crop_from_image=crop_from_image.float(), is_right=float(not is_left))
        if 'keypoints_2d' in results:
            keypoints = torch.as_tensor(results['keypoints_2d'])
            pixels = boxes.apply_affine(keypoints[:, :2].double(), crop_from_image).float()
            crop_units = cameras.pixels_to_crop_units(pixels, self.image_size)
            results['keypoints_2d'] = torch.cat((crop_units, keypoints[:, 2:]), dim=-1)
        if is_left:
            _mirror_labels(results)
        if draw['degrees']:
            _turn_labels(results, draw['degrees'])
        return results

    def box_size(self, box_wh) -> Tensor:
        """Side () of the crop in pixels of the image, float64, from the tight box's (w, h)."""
        width, height = (float(length) for length in box_wh)
        if not (math.isfinite(width + height) and min(width, height) >= 0 and max(width, height) > 0):
            raise ValueError(f'a hand box is {width} px wide and {height} px high: it must be finite and cover something; '
                             'correct the box or leave it out.')
        rescaled = torch.tensor((self.rescale_factor * width, self.rescale_factor * height), dtype=torch.float64)
        return boxes.expand_to_aspect(rescaled, self.aspect).amax()

    def blur_sigma(self, side: float) -> float:
        """Standard deviation in pixels of the image, 0 where HaMeR does not blur."""
        factor = float(side) / self.image_size / 2
        return (factor - 1) / 2 if factor > BLUR_FROM else 0.0

    def undo(self, keypoints_2d: Tensor, crop_from_image: Tensor) -> Tensor:
        """Crop units (..., N, 2) -> pixels of the unmirrored image (..., N, 2), whatever was mirrored or turned."""
        pixels = cameras.crop_units_to_pixels(keypoints_2d, self.image_size)
        return boxes.apply_affine(pixels, boxes.invert_affine(crop_from_image[..., :2, :]))


def _mirror_labels(results: dict) -> None:
    """A left hand's labels and guidance as those of a right hand (2D is mirrored by `crop_from_image`)."""
    laws = dict(keypoints_3d=mirror.mirror_points, global_orient=mirror.mirror_rotmat, hand_pose=mirror.mirror_rotmat,
                body_pose=mirror.mirror_body_pose)
    for name, law in laws.items():
        if name in results:
            results[name] = law(results[name])


def _turn_labels(results: dict, degrees: float) -> None:
    """The scene seen by a camera turned about its axis: Rz(-degrees) on points, wrist and the root of the guiding body."""
    turn = rotations.rotation_about_z(rotations.degrees_to_radians(torch.tensor(-float(degrees))))
    if 'keypoints_3d' in results:
        points = results['keypoints_3d']
        results['keypoints_3d'] = torch.cat((points[:, :3] @ turn.T, points[:, 3:]), dim=-1)
    if 'global_orient' in results:
        results['global_orient'] = turn @ results['global_orient']
    if 'body_pose' in results:
        body = results['body_pose']
        results['body_pose'] = torch.cat((turn @ body[:1], body[1:]))


def warp_region(image: np.ndarray, matrix: np.ndarray, out_size: int | tuple[int, int], mirrored: bool = False,
                sigma: float = 0.0, as_float: bool = False) -> np.ndarray:
    """Bilinear warp of (H, W, 3) uint8 to a square or (width, height), black outside; `matrix` (2, 3) maps the (mirrored) image
    to the crop.

    Same values as mirroring, blurring and warping the whole image, which tests hold it to. Blurred crops are float32 and not
    rounded: the blur runs in float64 with replicated edges, as in the reference. `as_float` warps float32 without a blur.
    """
    height, width = image.shape[:2]
    out_wh = (out_size, out_size) if isinstance(out_size, int) else tuple(out_size)
    radius = int(BLUR_TRUNCATE * sigma + 0.5)
    low, high = zip(*(_needed(row, out_wh, length, radius) for row, length in
                      zip(cv2.invertAffineTransform(matrix).tolist(), (width, height), strict=True)), strict=True)
    dtype = np.float32 if sigma or as_float else np.uint8
    if high[0] <= low[0] or high[1] <= low[1]:  # the crop lies outside the image
        return np.zeros((*out_wh[::-1], 3), dtype)
    left = width - high[0] if mirrored else low[0]
    region = image[low[1]:high[1], left:left + high[0] - low[0]]
    if mirrored:
        region = cv2.flip(region, 1)
    if sigma:
        offsets = np.arange(-radius, radius + 1)
        kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
        kernel /= kernel.sum()
        region = cv2.sepFilter2D(region.astype(np.float64), cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    elif as_float:
        region = region.astype(np.float32)
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ low
    crop = cv2.warpAffine(region, shifted, out_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return crop.astype(dtype, copy=False)


def _needed(row: list[float], out_wh: tuple[int, int], length: int, radius: int) -> tuple[int, int]:
    """First pixel and the one behind the last, along one axis of an image of `length`, that a crop of `out_wh` reads when it is
    blurred as far as `radius`. `row` (3,) maps the crop to this axis."""
    ends = [row[0] * x + row[1] * y + row[2] for x in (0, out_wh[0] - 1) for y in (0, out_wh[1] - 1)]
    return max(math.floor(min(ends)) - 2 - radius, 0), min(math.ceil(max(ends)) + 3 + radius, length)
