"""SMPLer-X's virtual camera and its units, over any leading dimensions.

Convention: the encoder sees a crop of `img_size` pixels (256 x 192) through a camera with `focal` and `princpt` in those
pixels. Heat-map joints live in cells of `map_size`: x and y by the size of a cell (16 px), z by `depth_range` metres around the
root; integers are cell centres, and nothing is shifted by half a cell. A hand's box is cut out of the same crop and has cells
of its own. At cam = (0, 0, 0) the body stands 28.19 m away; the pixel (96, 128) is the cell (6, 8).
Source: SMPLer-X `main/config.py`, `main/SMPLer_X.py`, `common/utils/human_models.py`; the settings are the same for S, B, L and
H.
"""
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .boxes import expand_to_aspect
from .cameras import project

Z_GUARD = 1e-4  # SMPLer-X adds it to every depth before dividing


@dataclass(frozen=True)
class BodyFrame:
    """Sizes as (height, width) or (depth, height, width).

    Args:
        img_size: crop that the encoder sees, pixels; `crop_factor` times as large where the data loader cuts it.
        map_size: cells of the body's heat map.
        hand_map_size: cells of a hand's heat map.
        focal, princpt: virtual camera, pixels (x, y) of the encoder's crop.
        camera_size: metres of the camera head's scale.
        crop_factor: the data loader's crop over the encoder's.
        depth_range: metres that the depth cells of the body's map cover.
        hand_box_scale, face_box_scale: padding of the restored boxes, which are square.
    """
    img_size: tuple[int, int] = (256, 192)
    map_size: tuple[int, int, int] = (16, 16, 12)
    hand_map_size: tuple[int, int, int] = (16, 16, 16)
    focal: tuple[float, float] = (5000.0, 5000.0)
    princpt: tuple[float, float] = (96.0, 128.0)
    camera_size: float = 2.5
    crop_factor: int = 2
    depth_range: float = 2.0
    hand_box_scale: float = 2.0
    face_box_scale: float = 1.5

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of a cell of the body's map, pixels of the encoder's crop."""
        return self.img_size[1] / self.map_size[2], self.img_size[0] / self.map_size[1]

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width of the crop that the data loader cuts."""
        return self.img_size[0] * self.crop_factor, self.img_size[1] * self.crop_factor

    @property
    def camera_depth(self) -> float:
        """Metres at a camera output of 1: where `camera_size` metres fill the crop (56.38 for the released settings)."""
        return math.sqrt(self.focal[0] * self.focal[1] * self.camera_size ** 2 / (self.img_size[0] * self.img_size[1]))

    def cam_t_from_cam(self, cam: Tensor) -> Tensor:
        """Camera head's output (..., 3) -> translation of the body (..., 3) m: (x, y, camera_depth sigmoid(z))."""
        return torch.cat((cam[..., :2], torch.sigmoid(cam[..., 2:]) * self.camera_depth), dim=-1)

    def full_image_translation(self, cam_t: Tensor, box_center: Tensor, box_size: Tensor, focal: Tensor,
                               princpt: Tensor) -> Tensor:
        """Where a body stands in the camera of the whole image, (..., 3) m: what is added to its vertices there.
        cam_t (..., 3) of the virtual camera, box_center (..., 2) and box_size (..., 2) = (w, h) of the crop in pixels of the
        unmirrored image, focal and princpt (..., 2) of that image. The crop's centre is on the virtual camera's axis. As with
        HaMeR's camera, the body keeps the orientation that the crop shows (`crop_rays` says by how much that is off)."""
        step = box_size[..., 0] / self.img_size[1]  # px of the image to one of the encoder's crop
        depth = cam_t[..., 2] * focal[..., 0] / (self.focal[0] * step)
        offset = (box_center - princpt) * (depth / focal[..., 0]).unsqueeze(-1)
        ratio = focal[..., :1] / focal  # pixels that are not square
        return torch.cat(((cam_t[..., :2] + offset) * ratio, depth.unsqueeze(-1)), dim=-1)

    def cells_from_crop(self, pixels: Tensor) -> Tensor:
        """Pixels of the data loader's crop (..., 2) -> cells of the body's map."""
        height, width = self.crop_size
        return pixels * pixels.new_tensor((self.map_size[2] / width, self.map_size[1] / height))

    def project(self, points: Tensor) -> Tensor:
        """Points (..., N, 3) m of the virtual camera -> cells of the body's map (..., N, 2)."""
        guarded = torch.cat((points[..., :2], points[..., 2:] + Z_GUARD), dim=-1)
        pixels = project(guarded, points.new_tensor(self.focal), points.new_tensor(self.princpt))
        return pixels / points.new_tensor(self.cell)

    def restore_boxes(self, center: Tensor, size: Tensor, scale: float, aspect: tuple[float, float] = (1, 1)) -> Tensor:
        """Box head's centre (..., 2) and (w, h) (..., 2) in cells -> box (..., 4) as x0, y0, x1, y1 in pixels of the encoder's
        crop: one side grown to the aspect (w, h), both sides times `scale`. Not clipped; a negative size stays what it is."""
        cells, pixels = center.new_tensor(self.map_size[:0:-1]), center.new_tensor(self.img_size[::-1])
        # the reference's order of operations: hand joints amplify what boxes differ by, and so they agree to the last bit
        low, high = ((center + sign * size / 2) / cells * pixels for sign in (-1, 1))
        side = high - low
        grown = expand_to_aspect(side.flip(-1), aspect[::-1]).flip(-1) * scale  # h times the ratio, not over its inverse
        low = low + side / 2 - grown / 2
        return torch.cat((low, low + grown), dim=-1)

    def cells_in_box(self, points: Tensor, box: Tensor) -> Tensor:
        """Cells of the body's map (..., N, 2) -> cells of a hand's map that covers `box` (..., 4), pixels of the encoder's
        crop."""
        origin, side = self._box_cells(box)
        return (points - origin) * points.new_tensor(self.hand_map_size[:0:-1]) / side

    def cells_from_box(self, points: Tensor, box: Tensor) -> Tensor:
        """The way back of `cells_in_box`."""
        origin, side = self._box_cells(box)
        return points / points.new_tensor(self.hand_map_size[:0:-1]) * side + origin

    def mirror_left_hands(self, points: Tensor) -> Tensor:
        """Points (..., 2, N, C) of left and right hand, x first, in cells of their maps: x of the left hand's counted from the
        other end of its map, which networks see mirrored. Its own inverse; cell 0 becomes cell 15."""
        left, right = points.unbind(-3)
        left = torch.cat((self.hand_map_size[2] - 1 - left[..., :1], left[..., 1:]), dim=-1)
        return torch.stack((left, right), dim=-3)

    def _box_cells(self, box: Tensor) -> tuple[Tensor, Tensor]:
        """Origin (..., 1, 2) and (w, h) (..., 1, 2) of a box in cells of the body's map."""
        cell = box.new_tensor(self.cell)
        return (box[..., :2] / cell).unsqueeze(-2), ((box[..., 2:] - box[..., :2]) / cell).unsqueeze(-2)
