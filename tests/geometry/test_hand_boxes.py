"""Hand boxes from a person's crop to the image, and which of them are worth a crop of their own."""
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hmradapter.datasets.transforms import HandCrop
from hmradapter.geometry import boxes, mirror
from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.geometry.hand_boxes import are_usable, boxes_in_image, crop_squares

FRAME = BodyFrame()
IMAGE = torch.tensor([640.0, 480], dtype=torch.float64)  # width, height


def person_crop(center, wh, degrees=0.0):
    """Image to the crop of 512 x 384 that the data loader cuts, (3, 3)."""
    size = FRAME.crop_size[::-1]
    return boxes.to_homogeneous(boxes.crop_affine(torch.tensor(center, dtype=torch.float64),
                                                  torch.tensor(wh, dtype=torch.float64), size, degrees=degrees))


@given(st.floats(100, 500), st.floats(60, 400), st.integers(0, 2**32))
def test_a_box_of_the_image_comes_back_from_its_cells(x, width, seed):
    """The way there: image -> data loader's crop -> every second pixel -> cells of 16 px."""
    crop = person_crop((x, 200.0), (width, width / 0.75))
    corner = 400 * torch.rand(3, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    box = torch.cat((corner, corner + 30), dim=-1)
    points = boxes.apply_affine(box.unflatten(-1, (2, 2)), crop) / FRAME.crop_factor / torch.tensor(FRAME.cell)
    center, size = boxes.box_center_size(points.flatten(-2))
    assert_close(boxes_in_image(center, size, crop.expand(3, 3, 3), FRAME), box, rtol=0, atol=1e-6)


def test_it_agrees_with_the_boxes_that_the_head_restores():
    """Up to padding: `restore_boxes` grows to a square in pixels of the encoder's crop."""
    center, size = torch.tensor([[[3.0, 9], [8, 8]]]), torch.tensor([[[2.0, 2], [3, 3]]])
    crop = person_crop((300.0, 250.0), (200.0, 200 / 0.75)).float()
    restored = FRAME.restore_boxes(center, size, 1.0) * FRAME.crop_factor
    expected = boxes.apply_affine(restored.unflatten(-1, (2, 2)), boxes.invert_affine(crop[:2])).flatten(-2)
    assert_close(boxes_in_image(center, size, crop[None], FRAME), expected, rtol=0, atol=1e-3)


def test_the_worked_example_a_turned_crop_and_a_negative_size():
    crop = torch.diag(torch.tensor([2.0, 2, 1]))
    center, size = torch.tensor([[4.0, 5], [4, 5]]), torch.tensor([[2.0, 2], [-1, 3]])
    found = boxes_in_image(center, size, crop, FRAME)
    assert found.tolist() == [[48, 64, 80, 96], [64, 56, 64, 104]]
    quarter = person_crop((300.0, 250.0), (150.0, 200.0), degrees=90.0).float()
    upright = person_crop((300.0, 250.0), (150.0, 200.0)).float()
    size = torch.tensor([[2.0, 3], [2, 3]])
    turned = boxes.box_center_size(boxes_in_image(center, size, quarter, FRAME))[1]
    straight = boxes.box_center_size(boxes_in_image(center, size, upright, FRAME))[1]
    assert_close(turned, straight.flip(-1), rtol=0, atol=1e-2)


def test_the_hands_of_the_mirrored_photo_are_the_mirrored_hands():
    """A person at the mirrored place: cells mirror about the map's middle and the hands exchange."""
    crop = person_crop((200.0, 220.0), (180.0, 240.0))
    mirrored_crop = person_crop((639.0 - 200, 220.0), (180.0, 240.0))
    center, size = torch.tensor([[3.0, 9], [8, 8]]).double(), torch.tensor([[2.0, 3], [3, 1]]).double()
    other = torch.stack((FRAME.map_size[2] - center[:, 0], center[:, 1]), dim=-1).flip(0)
    found = boxes_in_image(other, size.flip(0), mirrored_crop, FRAME)
    expected = boxes_in_image(center, size, crop, FRAME).flip(0)
    points = mirror.mirror_pixels(expected.unflatten(-1, (2, 2)), 640.0)
    assert_close(found, boxes.box_from_points(points), rtol=0, atol=1e-3)


@pytest.mark.parametrize('box, usable', [
    ((100, 100, 140, 150), True), ((100, 100, 110, 114), False), ((100, 100, 110, 116), True), ((100, 100, 140, 100), False),
    ((-30, 100, 10, 140), False), ((-10, 100, 30, 140), True), ((700, 100, 740, 140), False), ((620, 460, 660, 500), False),
    ((100, float('nan'), 140, 140), False), ((-float('inf'), 0, 40, 40), False)])
def test_boxes_out_of_frame_or_too_small_are_not_usable(box, usable):
    box = torch.tensor([box, (100, 100, 140, 150)], dtype=torch.float64)
    assert are_usable(box, IMAGE).tolist() == [usable, True]
    assert are_usable(box[None], IMAGE[None], min_side=51.0).tolist() == [[False, False]]


@given(st.floats(17, 300), st.floats(17, 300))
def test_squares_are_those_of_the_hand_crop(width, height):
    box = torch.tensor([50.0, 60, 50 + width, 60 + height], dtype=torch.float64)
    center, side = crop_squares(box)
    assert_close(side, HandCrop().box_size(box[2:] - box[:2]))
    assert_close(center, (box[:2] + box[2:]) / 2)
    assert crop_squares(torch.tensor([0.0, 0, 30, 40]))[1] == 80
