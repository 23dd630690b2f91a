"""Pictures of what a network predicts for its crops, for the training log. B crops, S side of a crop in pixels."""
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.visualization import Visualizer
from torch import Tensor

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.geometry.cameras import FOCAL_LENGTH, IMAGE_SIZE
from hmradapter.registry import VISUALIZERS
from hmradapter.structures import HMRDataSample
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.visualization.drawings import contact_sheet, draw_joints, draw_person_joints
from hmradapter.visualization.meshes import SIDE_COLORS, Mesh, overlay, side_view

PERSON_COLOR = (0.62, 0.80, 0.70)  # RGB
CAPTIONS = ('input', 'labels', 'prediction', 'side')


@VISUALIZERS.register_module()
class PredictionVisualizer(Visualizer):
    """MMEngine's visualizer that knows hands and persons: a sheet with a row per crop, showing input, labelled joints, mesh and
    side view.

    Left hands are shown unmirrored. Rendering is by ray casting on `device` and needs no display.

    Args:
        cell: side of each picture in the sheet, pixels.
    """

    def __init__(self, name: str = 'visualizer', cell: int = 192, device: str = 'cpu', **kwargs):
        super().__init__(name=name, **kwargs)
        self.cell, self.device = cell, device
        self._caster: RayCaster | None = None

    @property
    def caster(self) -> RayCaster:
        """The ray caster, made when first needed: compiling its kernels takes seconds."""
        if self._caster is None:
            self._caster = RayCaster(self.device)
        return self._caster

    def draw_batch(self, inputs: Tensor | Sequence[Tensor], samples: Sequence[HMRDataSample], faces: np.ndarray,
                   frame: BodyFrame | None = None) -> np.ndarray:
        """The sheet (H, W, 3) uint8 RGB of `inputs` (B, 3, H, W) RGB in 0..255 as the network saw them, and of the samples
        that `predict` returned for them (on their true side): of hands, or with `frame`, the expert's units, of persons."""
        rows = [self._row(crop, sample, faces, frame) for crop, sample in zip(inputs, samples, strict=True)]
        return contact_sheet(rows, self.cell, CAPTIONS)[:, :, ::-1].copy()

    def add_batch(self, name: str, inputs: Tensor | Sequence[Tensor], samples: Sequence[HMRDataSample], faces: np.ndarray,
                  step: int = 0, frame: BodyFrame | None = None) -> None:
        """Draw a batch and send the sheet to all backends (files, TensorBoard)."""
        self.add_image(name, self.draw_batch(inputs, samples, faces, frame), step)

    def add_datasample(self, name: str, image: Tensor, data_sample: HMRDataSample, faces: np.ndarray, step: int = 0,
                       frame: BodyFrame | None = None) -> None:
        """`add_batch` for one crop (3, H, W)."""
        self.add_batch(name, [image], [data_sample], faces, step, frame)

    def _row(self, crop: Tensor, sample: HMRDataSample, faces: np.ndarray, frame: BodyFrame | None) -> list[np.ndarray]:
        image = crop.detach().cpu().float().clamp(0, 255).round().to(torch.uint8).numpy()[::-1].transpose(1, 2, 0)  # RGB to BGR
        if frame is None and sample.hand == 'left':
            image = image[:, ::-1]
        image = np.ascontiguousarray(image)
        color = PERSON_COLOR if frame else SIDE_COLORS[sample.hand]
        mesh = Mesh((sample.pred.vertices + sample.pred.cam_t).detach().cpu().numpy(), faces, color)
        camera = person_camera(frame, image.shape[1]) if frame else crop_camera(image.shape[0])
        return [image, _labelled(image, sample, frame), overlay(image, [mesh], camera, self.caster),
                side_view(mesh, self.cell, self.caster)]


def _labelled(image: np.ndarray, sample: HMRDataSample, frame: BodyFrame | None) -> np.ndarray:
    """The crop with its labelled joints, or as it is where it has none."""
    if 'gt' not in sample:
        return image
    if frame is None:
        joints = sample.gt.keypoints_2d.detach().cpu().numpy()
        return draw_joints(image, len(image) * (joints[:, :2] + 0.5), joints[:, 2])
    joints = sample.gt.heatmap_joints.detach().cpu().numpy()
    pixels = joints[:, :2] * np.array(frame.cell) * (image.shape[1] / frame.img_size[1])
    return draw_person_joints(image, pixels, joints[:, 3])


def person_camera(frame: BodyFrame, width: int) -> np.ndarray:
    """K (3, 3) of the virtual camera for a person's crop `width` pixels wide, in which `pred.cam_t` places the body."""
    scale = width / frame.img_size[1]
    (fx, fy), (cx, cy) = frame.focal, frame.princpt
    return np.array([[fx * scale, 0, cx * scale], [0, fy * scale, cy * scale], [0, 0, 1]])


def crop_camera(size: int) -> np.ndarray:
    """K (3, 3) of HaMeR's virtual crop camera for a crop of `size` pixels, in which `pred.cam_t` places the hand."""
    focal = FOCAL_LENGTH / IMAGE_SIZE * size
    return np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
