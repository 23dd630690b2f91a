"""A body in the camera of the whole image looks as it does in its crop."""
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.geometry.cameras import project

FRAME = BodyFrame()


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-3, 1), st.floats(60, 900), st.floats(0, 1920), st.floats(0, 1080),
       st.floats(500, 40_000), st.floats(0.8, 1.25))
def test_the_root_projects_to_the_same_pixel(x, y, depth, height, u, v, focal, squeeze):
    cam_t = FRAME.cam_t_from_cam(torch.tensor([x, y, depth], dtype=torch.float64))
    box, size = (torch.tensor(pair, dtype=torch.float64) for pair in ((u, v), (0.75 * height, height)))
    intrinsics = torch.tensor([focal, squeeze * focal], dtype=torch.float64), torch.tensor([960.0, 540], dtype=torch.float64)
    place = FRAME.full_image_translation(cam_t, box, size, *intrinsics)
    seen = project(place[None], *intrinsics)[0]
    in_crop = project(cam_t[None], box.new_tensor(FRAME.focal), box.new_tensor(FRAME.princpt))[0]
    step = size[0] / FRAME.img_size[1]
    expected = box + (in_crop - box.new_tensor(FRAME.princpt)) * step
    assert_close(seen, expected)
    # a metre at the body's depth is as many pixels as in the crop
    assert_close(intrinsics[0][0] / place[2], FRAME.focal[0] / cam_t[2] * step)


def test_an_example():
    # twice as large in the image as in the encoder's crop, seen through the same lens: half as far away
    place = FRAME.full_image_translation(torch.tensor([0.1, 0.0, 20.0]), torch.tensor([500.0, 300]), torch.tensor([384.0, 512]),
                                         torch.tensor([5000.0, 5000]), torch.tensor([400.0, 300]))
    assert_close(place, torch.tensor([0.1 + 100 * 10 / 5000, 0.0, 10.0]))
