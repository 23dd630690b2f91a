"""From hand boxes that a whole-body model finds in its crop to the crops of a hand model, over any leading dimensions.

Convention: cells and pixels of `body_frame`; boxes are tight ones, x0, y0, x1, y1, pixels of the whole, unmirrored image.
A box of 2 x 2 cells in a crop that shows the image at twice its size (512 x 384) is 32 x 32 px of the image.
"""
import torch
from torch import Tensor

from .body_frame import BodyFrame
from .boxes import (
    HAMER_ASPECT,
    apply_affine,
    box_area,
    box_center_size,
    box_from_points,
    clip_box,
    expand_to_aspect,
    invert_affine,
)

MIN_SIDE = 16.0   # px of the image that the longer side of a tight box must have
MIN_INSIDE = 0.5  # share of a tight box that must lie inside the image


def boxes_in_image(center: Tensor, size: Tensor, crop_from_image: Tensor, frame: BodyFrame) -> Tensor:
    """Centres and (w, h) (..., 2, 2) of both hands' boxes as the head reads them out, in cells of the body's map
    -> boxes (..., 2, 4) px of the image that the crop (..., 3, 3) was cut from. A side that is not positive counts as 0."""
    cell = center.new_tensor(frame.cell) * frame.crop_factor  # px of the crop that the data loader cuts
    half = size.clamp(min=0) / 2
    steps = center.new_tensor(((-1, -1), (1, -1), (1, 1), (-1, 1)))
    corners = (center.unsqueeze(-2) + steps * half.unsqueeze(-2)) * cell
    return box_from_points(apply_affine(corners, invert_affine(crop_from_image[..., :2, :]).unsqueeze(-3)))


def are_usable(boxes: Tensor, img_size: Tensor, min_side: float = MIN_SIDE, min_inside: float = MIN_INSIDE) -> Tensor:
    """Which boxes (..., 2, 4) are worth a hand model: (..., 2) bool. False where the longer side is below `min_side` px, where
    less than `min_inside` of the box lies in the image (W, H) (..., 2), and where a number is not finite."""
    wh = box_center_size(boxes)[1]
    inside = box_area(clip_box(boxes, img_size.unsqueeze(-2))) >= min_inside * box_area(boxes)
    return (wh.amax(-1) >= min_side) & (wh.amin(-1) > 0) & inside & torch.isfinite(boxes).all(-1)


def crop_squares(boxes: Tensor, rescale_factor: float = 2.0,
                 aspect: tuple[int, int] | None = HAMER_ASPECT) -> tuple[Tensor, Tensor]:
    """HaMeR's crops of tight boxes (..., 4): centres (..., 2) and sides (...), px of the image. A box of 30 x 40 gets a side
    of 80."""
    center, wh = box_center_size(boxes)
    return center, expand_to_aspect(rescale_factor * wh, aspect).amax(-1)
