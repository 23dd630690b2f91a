"""Round trips of cameras and crops."""
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hmradapter.geometry import boxes, cameras, mirror

from .strategies import rotmats, tensors

K = torch.tensor([[500.0, 0, 310], [0, 510, 250], [0, 0, 1]], dtype=torch.float64)
in_front = tensors(7, 3).map(lambda points: points + torch.tensor([0, 0, 9.0], dtype=torch.float64))


@given(in_front)
def test_unproject_undoes_project(points):
    assert_close(cameras.unproject(cameras.project(points, K), points[..., 2], K), points)


@given(in_front)
def test_a_camera_is_its_matrix_or_its_focal_length_and_centre(points):
    focal, princpt = torch.tensor([500.0, 510], dtype=torch.float64), torch.tensor([310.0, 250], dtype=torch.float64)
    assert_close(cameras.intrinsic_matrix(focal, princpt), K)
    assert_close(cameras.project(points, focal, princpt), cameras.project(points, K))


@given(in_front, rotmats(), tensors(3))
def test_hamers_projection_is_a_rigid_move_and_a_camera(points, rotation, translation):
    if rotation.dim() > 2 or translation.dim() > 1:
        rotation, translation = rotation.reshape(-1, 3, 3)[0], translation.reshape(-1, 3)[0]
    focal, center = K.diagonal()[:2], K[:2, 2]
    moved = cameras.transform_points(points, rotation, translation)
    assert_close(cameras.perspective_projection(points, translation, focal, center, rotation), cameras.project(moved, K))


@given(tensors(21, 3, scale=0.1), st.booleans())
def test_full_image_camera_sees_the_hand_where_the_crop_does(points, is_right):
    """The demo's placement: the weak camera seen with a long lens lands on the same pixels as the crop, up to perspective."""
    cam = torch.tensor([0.9, 0.02, -0.03], dtype=torch.float64)
    center, size = torch.tensor([320.0, 260], dtype=torch.float64), torch.tensor(180.0, dtype=torch.float64)
    img_size, focal = torch.tensor([640.0, 480], dtype=torch.float64), 1e7
    crop = cameras.perspective_projection(points, cameras.cam_t_from_cam(cam, focal),
                                          torch.full((2,), focal / 256, dtype=torch.float64))
    crop_px = size * (crop if is_right else mirror.mirror_points(crop)) + center
    side = torch.tensor(float(is_right), dtype=torch.float64)
    translation = cameras.full_image_translation(cam, center, size, img_size, side, focal)
    placed = (points if is_right else mirror.mirror_points(points)) + translation
    seen = cameras.project(placed, torch.full((2,), focal, dtype=torch.float64), img_size / 2)
    assert_close(seen, crop_px, rtol=0, atol=1e-2)


def test_crop_units_round_trip():
    pixels = torch.tensor([0.0, 128, 255])
    assert_close(cameras.crop_units_to_pixels(cameras.pixels_to_crop_units(pixels)), pixels)
    assert cameras.pixels_to_crop_units(torch.tensor(128.0)) == 0


@given(st.floats(20, 2000), st.floats(20, 2000))
def test_expanded_boxes_have_the_aspect_and_never_shrink(width, height):
    before = torch.tensor([width, height], dtype=torch.float64)
    after = boxes.expand_to_aspect(before)
    assert_close(after[0] / after[1], torch.tensor(0.75, dtype=torch.float64))
    assert (after >= before).all() and (after == before).any()
    assert boxes.expand_to_aspect(before, None) is before


@given(tensors(2, scale=300), st.floats(30, 900), st.floats(0.5, 2), st.floats(-180, 180), tensors(9, 2, scale=100))
def test_crop_affine_is_the_stated_map_and_invertible(center, size, scale, degrees, points):
    center, points = center.reshape(-1, 2)[0], points.reshape(-1, 2)
    matrix = boxes.crop_affine(center, torch.tensor(size, dtype=torch.float64), 256, scale, degrees)
    k, angle = 256 / (size * scale), torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    linear = k * torch.stack((torch.cos(angle), torch.sin(angle), -torch.sin(angle), torch.cos(angle))).view(2, 2)
    rounding = 4e-4  # px of the image: its three points are float32, as in the source
    assert_close(matrix[:, :2], linear, rtol=0, atol=k * rounding / (size * scale / 2))
    middle = torch.full((1, 2), 128, dtype=torch.float64)
    assert_close(boxes.apply_affine(center[None], matrix), middle, rtol=0, atol=k * rounding)
    assert_close(boxes.apply_affine(boxes.apply_affine(points, matrix), boxes.invert_affine(matrix)), points)
    assert_close(boxes.to_homogeneous(matrix) @ boxes.to_homogeneous(boxes.invert_affine(matrix)),
                 torch.eye(3, dtype=torch.float64), atol=1e-9, rtol=0)


@given(tensors(5, 2, scale=100))
def test_box_from_points_is_tight_and_ignores_invalid_points(points):
    box = boxes.box_from_points(points)
    assert_close(box[..., :2], points.min(-2).values)
    center, wh = boxes.box_center_size(box)
    assert_close(boxes.box_from_center_size(center, wh), box)
    valid = torch.tensor([True, True, False, True, True]).expand(points.shape[:-1])
    spoiled = points.clone()
    spoiled[..., 2, :] = torch.nan
    assert_close(boxes.box_from_points(spoiled, valid), boxes.box_from_points(points[..., [0, 1, 3, 4], :]))
    assert boxes.box_from_points(points, torch.zeros_like(valid)).isnan().all()


@pytest.mark.parametrize('box, clipped, area', [
    ((-5.0, 2, 30, 40), (0.0, 2, 19, 9), 19 * 7), ((30.0, 2, 40, 8), (19.0, 2, 19, 8), 0), ((3.0, 4, 5, 8), (3.0, 4, 5, 8), 8)])
def test_clip_box(box, clipped, area):
    found = boxes.clip_box(torch.tensor([box]), torch.tensor([[20, 10]]))
    assert found.tolist() == [list(clipped)]
    assert boxes.box_area(found).tolist() == [area]
