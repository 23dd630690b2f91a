"""Laws of alignment and of rotations along a tree."""
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hmradapter.geometry.kinematics import chain_product, global_rotations, local_rotations, move_root
from hmradapter.geometry.procrustes import similarity_align, similarity_transform
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures.joints import ARM_CHAIN, BODY_PARENTS, MANO_PARENTS

from .strategies import rotmats, rotvecs, tensors


def moved(points, rotation, scale, translation):
    return scale * points @ rotation.transpose(-1, -2) + translation


@given(tensors(21, 3), rotvecs(), st.floats(0.1, 5))
def test_a_similar_copy_aligns_exactly(points, rotvec, scale):
    rotation = axis_angle_to_rotmat(rotvec.reshape(-1, 3)[0])
    target = moved(points, rotation, scale, torch.tensor([1.0, -2, 3], dtype=torch.float64))
    assert_close(similarity_align(points, target), target)
    found_scale, found_rotation, _ = similarity_transform(points, target)
    assert_close(found_scale, torch.full_like(found_scale, scale))
    assert_close(found_rotation, rotation.expand_as(found_rotation))


@given(tensors(21, 3), tensors(21, 3))
def test_the_alignment_is_a_minimum_with_a_proper_rotation(source, target):
    if source.shape != target.shape:
        target = target.reshape(-1, 21, 3)[0].expand_as(source)
    scale, rotation, translation = similarity_transform(source, target)
    assert_close(torch.linalg.det(rotation), torch.ones_like(scale))
    best = (similarity_align(source, target) - target).square().sum((-1, -2))
    for angle in (0.01, -0.01):
        turn = axis_angle_to_rotmat(torch.tensor([angle, 0, 0], dtype=torch.float64))
        other = moved(source, turn @ rotation, scale[..., None, None], translation.unsqueeze(-2))
        assert ((other - target).square().sum((-1, -2)) >= best - 1e-9).all()
    other = moved(source, rotation, 1.01 * scale[..., None, None], translation.unsqueeze(-2))
    assert ((other - target).square().sum((-1, -2)) >= best - 1e-9).all()


@given(tensors(21, 3))
def test_a_reflection_aligns_only_when_allowed(points):
    target = points * torch.tensor([-1.0, 1, 1], dtype=torch.float64)
    assert_close(similarity_align(points, target, allow_reflection=True), target)
    assert (similarity_align(points, target) - target).abs().max() > 1e-3


def test_coinciding_points_do_not_divide_by_zero():
    target = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    aligned = similarity_align(torch.ones(5, 3), target)
    assert_close(aligned, target.mean(0).expand(5, 3))


@given(rotmats(22))
def test_local_undoes_global(body):
    assert_close(local_rotations(global_rotations(body, BODY_PARENTS), BODY_PARENTS), body)


@given(rotmats(22))
def test_the_arm_chain_ends_in_the_wrists_global_rotation(body):
    for side, wrist in (('left', 20), ('right', 21)):
        assert_close(chain_product(body, ARM_CHAIN[side]), global_rotations(body, BODY_PARENTS)[..., wrist, :, :])


@given(rotmats(16), rotmats(), tensors(3), tensors(3))
def test_moved_parameters_give_the_moved_body(pose, rotation, transl, shift):
    """Forward kinematics after `move_root` is the rigid move of forward kinematics before."""
    rotation, transl, shift = rotation.reshape(-1, 3, 3)[0], transl.reshape(-1, 3)[0], shift.reshape(-1, 3)[0]
    rest = torch.randn(16, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def joints(orient, transl):
        world = global_rotations(torch.cat((orient.unsqueeze(-3), pose[..., 1:, :, :]), dim=-3), MANO_PARENTS)
        found = [rest[0].expand(*pose.shape[:-3], 3)]
        for joint, parent in list(enumerate(MANO_PARENTS))[1:]:
            found.append(found[parent] + (world[..., parent, :, :] @ (rest[joint] - rest[parent])))
        return torch.stack(found, dim=-2) + transl

    orient = pose[..., 0, :, :]
    new_orient, new_transl = move_root(orient, transl, rest[0], rotation, shift)
    assert_close(joints(new_orient, new_transl.unsqueeze(-2)), joints(orient, transl) @ rotation.T + shift)
