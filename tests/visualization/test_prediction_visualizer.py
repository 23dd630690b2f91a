"""The sheets of training logs."""
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.registry import VISUALIZERS
from hmradapter.structures import HMRDataSample

CORNERS = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], np.float32) * 0.05
FACES = np.array([[0, 2, 1], [1, 2, 3], [4, 5, 6], [5, 7, 6], [0, 1, 4], [1, 5, 4], [2, 6, 3], [3, 6, 7]])


def sample(hand: str, x: float) -> HMRDataSample:
    joints = torch.zeros(21, 3)
    joints[:, 2] = 1
    return HMRDataSample(
        metainfo=dict(hand=hand, key='k', sample_idx=0), gt=BaseDataElement(keypoints_2d=joints),
        pred=BaseDataElement(vertices=torch.from_numpy(CORNERS), cam_t=torch.tensor([x, 0., 43.])))


@pytest.fixture(scope='module')
def visualizer():
    return VISUALIZERS.build(dict(type='PredictionVisualizer', name='test_visualizer', cell=64))


def test_sheets_have_a_row_per_crop_and_draw_the_mesh_where_the_crop_camera_sees_it(visualizer):
    crops = torch.full((2, 3, 128, 128), 50, dtype=torch.uint8)
    sheet = visualizer.draw_batch(crops, [sample('right', 0.3), sample('left', -0.3)], FACES)
    assert sheet.dtype == np.uint8 and sheet.shape == (22 + 2 * 64 + 4, 4 * 64 + 3 * 4, 3)
    right, left = sheet[22:86, 136:200], sheet[90:154, 136:200]  # third column
    # x = 0.3 m at 43 m with f = 2500 px: 17 px of 128 to the right of the centre, 9 of 64
    drawn = [np.flatnonzero((np.abs(cell.astype(int) - 50) > 20).any((0, 2))) for cell in (right, left)]
    assert drawn[0].mean() == pytest.approx(32 + 8.7, abs=2)
    assert drawn[1].mean() == pytest.approx(32 - 8.7, abs=2)
    assert right.reshape(-1, 3).max(0)[2] > right.reshape(-1, 3).max(0)[0]  # RGB: right hands are blue


def test_left_crops_are_shown_unmirrored(visualizer):
    crop = torch.zeros(3, 64, 64)
    crop[0, :, :8] = 255  # red, left edge of the mirrored crop
    sheet = visualizer.draw_batch([crop], [sample('left', 0.)], FACES)
    assert sheet[50, 60, 0] > 200 and sheet[50, 3, 0] < 50


def test_persons_are_drawn_through_the_camera_of_their_crop(visualizer):
    frame = BodyFrame(img_size=(128, 96), map_size=(8, 8, 6), focal=(2500.0, 2500.0), princpt=(48.0, 64.0))
    joints = torch.zeros(137, 4)
    joints[0] = torch.tensor([1.5, 4.0, 4.0, 1.0])  # cells of 16 px: 24 of 96 px from the left, half-way down
    person = HMRDataSample(metainfo=dict(key='k', sample_idx=0), gt=BaseDataElement(heatmap_joints=joints),
                           pred=BaseDataElement(vertices=torch.from_numpy(CORNERS), cam_t=torch.tensor([0.4, 0., 50.])))
    crops = torch.full((1, 3, 128, 96), 50, dtype=torch.uint8)
    sheet = visualizer.draw_batch(crops, [person], FACES, frame)
    labels, drawn = (np.abs(sheet[22:86, x:x + 64].astype(int) - 50) > 20 for x in (68, 136))
    inside = np.s_[:, 8:56]                             # 48 of 64 columns, the rest is paper
    across = [np.flatnonzero(cell[inside].any((0, 2))).mean() for cell in (labels, drawn)]
    assert across[0] == pytest.approx(12, abs=1)        # half of 24
    assert across[1] == pytest.approx(24 + 10, abs=1)   # 0.4 m at 50 m with f = 2500 px: 20 px, half of it here


def test_sheets_reach_the_backends(tmp_path):
    built = VISUALIZERS.build(dict(type='PredictionVisualizer', name='saving', cell=32, save_dir=str(tmp_path),
                                   vis_backends=[dict(type='LocalVisBackend')]))
    built.add_batch('val', torch.zeros(1, 3, 64, 64), [sample('right', 0.)], FACES, step=3)
    assert [p.name for p in tmp_path.rglob('*.png')] == ['val_3.png']
