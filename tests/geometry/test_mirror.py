"""Laws of mirroring: an involution, and conjugation by M for rotations."""
import numpy as np
import torch
from hypothesis import given
from torch.testing import assert_close

from hmradapter.geometry import mirror
from hmradapter.geometry.cameras import project
from hmradapter.geometry.kinematics import chain_product, global_rotations
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_rot6d
from hmradapter.structures.joints import ARM_CHAIN, BODY_PARENTS

from .strategies import rotmats, rotvecs, tensors

M = torch.diag(torch.tensor([-1.0, 1, 1], dtype=torch.float64))


@given(rotvecs())
def test_mirroring_a_rotation_is_conjugation(rotvec):
    mirrored = M @ axis_angle_to_rotmat(rotvec) @ M
    assert_close(axis_angle_to_rotmat(mirror.mirror_axis_angle(rotvec)), mirrored)
    assert_close(mirror.mirror_rotmat(axis_angle_to_rotmat(rotvec)), mirrored)
    assert_close(mirror.mirror_rot6d(rotmat_to_rot6d(axis_angle_to_rotmat(rotvec))), rotmat_to_rot6d(mirrored))


@given(rotmats(22))
def test_the_mirrored_body_turns_each_joint_as_the_other_side_did(body):
    mirrored = global_rotations(mirror.mirror_body_pose(body), BODY_PARENTS)
    expected = M @ global_rotations(body, BODY_PARENTS)[..., mirror.mirror_body_order(), :, :] @ M
    assert_close(mirrored, expected)
    assert_close(mirror.mirror_body_rot6d(rotmat_to_rot6d(body)), rotmat_to_rot6d(mirror.mirror_body_pose(body)))


@given(rotmats(22))
def test_the_right_arm_of_the_mirrored_body_is_the_mirrored_left_arm(body):
    assert_close(chain_product(mirror.mirror_body_pose(body), ARM_CHAIN['right']),
                 mirror.mirror_rotmat(chain_product(body, ARM_CHAIN['left'])))


@given(rotmats(22), rotvecs(22), tensors(21, 4), tensors(3))
def test_every_mirror_is_its_own_inverse(body, rotvec, points, cam):
    for function, value in ((mirror.mirror_body_pose, body), (mirror.mirror_rotmat, body), (mirror.mirror_axis_angle, rotvec),
                            (mirror.mirror_body_axis_angle, rotvec), (mirror.mirror_points, points),
                            (mirror.mirror_camera, cam), (lambda x: mirror.mirror_pixels(x, 640), points)):
        assert_close(function(function(value)), value)


@given(rotvecs(15))
def test_a_flat_pose_mirrors_as_its_joints(rotvec):
    assert_close(mirror.mirror_axis_angle(rotvec.flatten(-2)), mirror.mirror_axis_angle(rotvec).flatten(-2))


@given(tensors(7, 3))
def test_the_mirrored_camera_sees_the_mirrored_image(points):
    points = points + torch.tensor([0, 0, 9.0])
    intrinsics = torch.tensor([[500.0, 3, 310], [0, 510, 250], [0, 0, 1]], dtype=torch.float64)
    seen = project(mirror.mirror_points(points), mirror.mirror_intrinsics(intrinsics, 640))
    assert_close(seen, mirror.mirror_pixels(project(points, intrinsics), 640))


def test_an_image_and_its_pixels_mirror_alike():
    image = np.arange(2 * 5 * 3).reshape(2, 5, 3)
    mirrored = mirror.mirror_image(image)
    assert (mirrored[1, int(mirror.mirror_pixels_x(1, 5))] == image[1, 1]).all()
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    assert_close(mirror.mirror_image(tensor, -1), torch.from_numpy(mirrored.copy()).permute(2, 0, 1))
    assert_close(mirror.mirror_affine(5) @ torch.tensor([1.0, 1, 1], dtype=torch.float64),
                 torch.tensor([3.0, 1, 1], dtype=torch.float64))
