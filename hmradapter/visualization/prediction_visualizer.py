"""Pictures of what a network predicts for its crops, for the training log. B crops, S side of a crop in pixels."""
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.visualization import Visualizer
from torch import Tensor

from hmradapter.geometry.cameras import FOCAL_LENGTH, IMAGE_SIZE
from hmradapter.registry import VISUALIZERS
from hmradapter.structures import HMRDataSample
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.visualization.drawings import contact_sheet, draw_joints
from hmradapter.visualization.meshes import SIDE_COLORS, Mesh, overlay, side_view

CAPTIONS = ('input', 'labels', 'prediction', 'side')


@VISUALIZERS.register_module()
class PredictionVisualizer(Visualizer):
    """MMEngine's visualizer that knows hands: a sheet with a row per crop, showing input, labelled joints, mesh and side view.

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

    def draw_batch(self, inputs: Tensor | Sequence[Tensor], samples: Sequence[HMRDataSample], faces: np.ndarray) -> np.ndarray:
        """The sheet (H, W, 3) uint8 RGB of `inputs` (B, 3, S, S) RGB in 0..255 as the network saw them, and of the samples
        that `predict` returned for them (on their true side)."""
        rows = [self._row(crop, sample, faces) for crop, sample in zip(inputs, samples, strict=True)]
        return contact_sheet(rows, self.cell, CAPTIONS)[:, :, ::-1].copy()

    def add_batch(self, name: str, inputs: Tensor | Sequence[Tensor], samples: Sequence[HMRDataSample], faces: np.ndarray,
                  step: int = 0) -> None:
        """Draw a batch and send the sheet to all backends (files, TensorBoard)."""
        self.add_image(name, self.draw_batch(inputs, samples, faces), step)

    def add_datasample(self, name: str, image: Tensor, data_sample: HMRDataSample, faces: np.ndarray, step: int = 0) -> None:
        """`add_batch` for one crop (3, S, S)."""
        self.add_batch(name, [image], [data_sample], faces, step)

    def _row(self, crop: Tensor, sample: HMRDataSample, faces: np.ndarray) -> list[np.ndarray]:
        hand = sample.hand
        image = crop.detach().cpu().float().clamp(0, 255).round().to(torch.uint8).numpy()[::-1].transpose(1, 2, 0)  # RGB to BGR
        if hand == 'left':
            image = image[:, ::-1]
        image = np.ascontiguousarray(image)
        size = image.shape[0]
        labels = image
        if 'gt' in sample:
            joints = sample.gt.keypoints_2d.detach().cpu().numpy()
            labels = draw_joints(image, size * (joints[:, :2] + 0.5), joints[:, 2])
        vertices = (sample.pred.vertices + sample.pred.cam_t).detach().cpu().numpy()
        mesh = Mesh(vertices, faces, SIDE_COLORS[hand])
        return [image, labels, overlay(image, [mesh], crop_camera(size), self.caster), side_view(mesh, self.cell, self.caster)]


def crop_camera(size: int) -> np.ndarray:
    """K (3, 3) of HaMeR's virtual crop camera for a crop of `size` pixels, in which `pred.cam_t` places the hand."""
    focal = FOCAL_LENGTH / IMAGE_SIZE * size
    return np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
