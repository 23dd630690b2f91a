"""Pinhole cameras and HaMeR's weak camera, over any leading dimensions.

Convention: OpenCV camera, x right, y down, z forward, metres; pixels with integers at centres. HaMeR's camera is (s, tx, ty)
of a crop of `image_size` pixels seen with focal length `focal` pixels; its 2D unit is the crop's side, 0 at the crop's centre:
pixel = image_size * (u + 0.5). At s = 0.9, f = 5000, 256 px the hand stands 43.4 m away.
Source: HaMeR `utils/geometry.py`, `utils/renderer.py`.
"""
import torch
from torch import Tensor

FOCAL_LENGTH = 5000.0  # pixels of the crop (HaMeR, EXTRA.FOCAL_LENGTH)
IMAGE_SIZE = 256       # pixels of the crop's side (HaMeR, MODEL.IMAGE_SIZE)


def intrinsic_matrix(focal: Tensor, princpt: Tensor) -> Tensor:
    """focal (..., 2) and principal point (..., 2) in pixels -> K (..., 3, 3)."""
    focal, princpt = torch.broadcast_tensors(focal, princpt)
    matrix = torch.zeros(*focal.shape[:-1], 3, 3, dtype=focal.dtype, device=focal.device)
    matrix[..., 0, 0], matrix[..., 1, 1], matrix[..., 2, 2] = focal[..., 0], focal[..., 1], 1.0
    matrix[..., :2, 2] = princpt
    return matrix


def project(points: Tensor, camera: Tensor, princpt: Tensor | None = None) -> Tensor:
    """Points (..., N, 3) of the camera frame, metres -> pixels (..., N, 2).
    `camera` is K (..., 3, 3), or the focal length (..., 2) when `princpt` (..., 2) is given."""
    if princpt is None:
        uvw = points @ camera.transpose(-1, -2)
        return uvw[..., :2] / uvw[..., 2:]
    return points[..., :2] / points[..., 2:] * camera.unsqueeze(-2) + princpt.unsqueeze(-2)


def unproject(pixels: Tensor, depth: Tensor, camera: Tensor) -> Tensor:
    """Pixels (..., N, 2) at depth (..., N) metres along z, K (..., 3, 3) -> points (..., N, 3)."""
    rays = torch.cat((pixels, torch.ones_like(pixels[..., :1])), dim=-1) @ torch.linalg.inv(camera).transpose(-1, -2)
    return rays * depth.unsqueeze(-1)


def transform_points(points: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """X' = R X + t: points (..., N, 3), R (..., 3, 3), t (..., 3) -> (..., N, 3)."""
    return points @ rotation.transpose(-1, -2) + translation.unsqueeze(-2)


def perspective_projection(points: Tensor, translation: Tensor, focal_length: Tensor, camera_center: Tensor | None = None,
                           rotation: Tensor | None = None) -> Tensor:
    """HaMeR's projection: rotate (..., 3, 3), move by `translation` (..., 3), divide by z, scale by `focal_length` (..., 2).
    points (..., N, 3) metres -> (..., N, 2) in the unit of the focal length: f / image_size gives crop units."""
    if rotation is not None:
        points = points @ rotation.transpose(-1, -2)
    center = torch.zeros_like(focal_length) if camera_center is None else camera_center
    return project(points + translation.unsqueeze(-2), focal_length, center)


def cam_t_from_cam(cam: Tensor, focal: Tensor | float = FOCAL_LENGTH, image_size: Tensor | float = IMAGE_SIZE) -> Tensor:
    """(s, tx, ty) (..., 3) -> translation of the crop's camera (..., 3), metres: (tx, ty, 2 f / (image_size s))."""
    depth = 2 * focal / (image_size * cam[..., 0] + 1e-9)
    return torch.stack((cam[..., 1], cam[..., 2], depth), dim=-1)


def full_image_focal(img_size: Tensor, focal: float = FOCAL_LENGTH, image_size: float = IMAGE_SIZE) -> Tensor:
    """The demo's guess for a whole image (W, H) (..., 2) of unknown camera: 5000 / 256 * max(W, H), pixels (...)."""
    return focal / image_size * img_size.amax(dim=-1)


def full_image_translation(cam: Tensor, box_center: Tensor, box_size: Tensor, img_size: Tensor, is_right: Tensor | float = 1.0,
                           focal: Tensor | float = FOCAL_LENGTH, princpt: Tensor | None = None) -> Tensor:
    """Where the hand stands in the camera of the whole, unmirrored image, (..., 3) metres.
    cam (..., 3) as the network gave it (mirrored frame for left hands), box_center (..., 2) and box_size (...) in pixels of the
    unmirrored image, img_size (..., 2) as (W, H), is_right (...) 1 or 0, focal (...) pixels of the whole image,
    princpt (..., 2) or the image centre. A left hand's vertices need x -> -x (`mirror.mirror_points`) before this is added."""
    princpt = img_size / 2 if princpt is None else princpt
    side = 2 * torch.as_tensor(is_right, dtype=cam.dtype, device=cam.device) - 1
    scaled = box_size * cam[..., 0] + 1e-9
    offset = 2 * (box_center - princpt) / scaled.unsqueeze(-1)
    return torch.stack((side * cam[..., 1] + offset[..., 0], cam[..., 2] + offset[..., 1], 2 * focal / scaled), dim=-1)


def crop_units_to_pixels(points: Tensor, image_size: float = IMAGE_SIZE) -> Tensor:
    """Crop units, centre 0, side 1 -> pixels of the crop, any shape."""
    return image_size * (points + 0.5)


def pixels_to_crop_units(pixels: Tensor, image_size: float = IMAGE_SIZE) -> Tensor:
    """Pixels of the crop -> crop units, centre 0, side 1, any shape."""
    return pixels / image_size - 0.5
