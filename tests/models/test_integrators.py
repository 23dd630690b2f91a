"""Laws of the integrators: hands stay where the hand expert wants them, nothing else moves, no jumps, no NaN."""
import math

import pytest
import roma
import torch
from torch.testing import assert_close

from hmradapter.geometry import mirror
from hmradapter.geometry.handover import ELBOWS, WRISTS, hand_from_body, wrist_from_hand
from hmradapter.geometry.kinematics import global_rotations
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from hmradapter.geometry.twist import twist_angle
from hmradapter.models.estimators.integrators import FADE, PYMAFX_LIMIT, ElbowTwist, PosedBody, PosedHands
from hmradapter.registry import INTEGRATORS
from hmradapter.structures.joints import BODY_PARENTS

KINDS = ('wrist_copy', 'elbow_twist', 'body_wrist')
ALL = pytest.mark.parametrize('kind', KINDS)
EYE = torch.eye(3, dtype=torch.float64)


def rotations(*shape, seed):
    quat = torch.randn(*shape, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return roma.unitquat_to_rotmat(torch.nn.functional.normalize(quat, dim=-1))


def scene(batch=64, seed=0):
    """Random bodies with random hands and skeletons: body, hands, rest joints."""
    body = PosedBody(rotations(batch, 22, seed=seed), rotations(batch, 2, 15, seed=seed + 1))
    source = torch.Generator().manual_seed(seed + 4)
    present = torch.rand(batch, 2, generator=source) > 0.3
    hands = PosedHands(rotations(batch, 2, seed=seed + 2), rotations(batch, 2, 15, seed=seed + 3), present)
    return body, hands, torch.randn(batch, 24, 3, generator=source, dtype=torch.float64)


def t_pose(wrists):
    """A body at rest in a T-pose that gets the local wrists (N, 3, 3) of its left arm: body, hands, rest joints."""
    count = len(wrists)
    rest = torch.zeros(count, 22, 3, dtype=wrists.dtype)
    rest[:, ELBOWS, 0] = wrists.new_tensor((0.4, -0.4))
    rest[:, WRISTS, 0] = wrists.new_tensor((0.65, -0.65))
    eye = torch.eye(3, dtype=wrists.dtype)
    body = PosedBody(eye.expand(count, 22, 3, 3), eye.expand(count, 2, 15, 3, 3))
    orient = torch.stack((wrists, eye.expand_as(wrists)), dim=1)
    return body, PosedHands(orient, body.hand_pose, torch.ones(count, 2, dtype=torch.bool)), rest


def about_x(angles):
    return axis_angle_to_rotmat(torch.stack((angles, 0 * angles, 0 * angles), dim=-1))


def arms(pose):
    return pose[:, ELBOWS], pose[:, WRISTS]


@ALL
def test_hands_point_where_they_should_and_all_else_stays(kind):
    body, hands, rest = scene()
    out = INTEGRATORS.build(dict(type=kind))(body, hands, rest)
    seen = hands.present & (kind != 'body_wrist')
    expected = torch.where(seen[..., None, None], hands.global_orient, hand_from_body(body.body_pose))
    assert_close(hand_from_body(out.body_pose), expected)
    assert_close(out.body_pose[:, :18], body.body_pose[:, :18], rtol=0, atol=0)
    fingers = torch.where(hands.present[..., None, None, None], hands.hand_pose, body.hand_pose)
    assert_close(out.hand_pose, fingers, rtol=0, atol=0)
    away = ~hands.present
    for found, own in zip(arms(out.body_pose), arms(body.body_pose), strict=True):
        assert_close(found[away], own[away], rtol=0, atol=0)
    assert not out.elbow_twist[away].any() and not out.uncertain[away].any()


@ALL
def test_no_joint_moves_against_the_copied_wrist(kind):
    body, hands, rest = scene()

    def joints(pose):
        world, found = global_rotations(pose, BODY_PARENTS), [rest[:, 0]]
        for joint, parent in list(enumerate(BODY_PARENTS))[1:]:
            offset = rest[:, joint] - rest[:, parent]
            found.append(found[parent] + (world[:, parent] @ offset.unsqueeze(-1)).squeeze(-1))
        return torch.stack(found, dim=1)

    assert_close(joints(INTEGRATORS.build(dict(type=kind))(body, hands, rest).body_pose), joints(body.body_pose))


@ALL
def test_mirrored_bodies_with_mirrored_hands_give_mirrored_results(kind):
    body, hands, rest = scene()
    integrate = INTEGRATORS.build(dict(type=kind))
    mirrored = integrate(PosedBody(mirror.mirror_body_pose(body.body_pose), mirror.mirror_rotmat(body.hand_pose.flip(1))),
                         PosedHands(mirror.mirror_rotmat(hands.global_orient.flip(1)),
                                    mirror.mirror_rotmat(hands.hand_pose.flip(1)), hands.present.flip(1)),
                         mirror.mirror_points(rest[:, mirror.mirror_body_order()]))
    plain = integrate(body, hands, rest)
    assert_close(mirrored.body_pose, mirror.mirror_body_pose(plain.body_pose))
    assert_close(mirrored.hand_pose, mirror.mirror_rotmat(plain.hand_pose.flip(1)))
    assert_close(mirrored.uncertain, plain.uncertain.flip(1))


@ALL
def test_twice_is_once_and_the_bodys_own_hand_changes_nothing(kind):
    body, hands, rest = scene()
    integrate = INTEGRATORS.build(dict(type=kind))
    once = integrate(body, hands, rest)
    twice = integrate(PosedBody(once.body_pose, once.hand_pose), hands, rest)
    sure = ~once.uncertain.any(-1)
    assert_close(twice.body_pose[sure], once.body_pose[sure])
    agreeing = hands._replace(global_orient=hand_from_body(once.body_pose))
    own = integrate(PosedBody(once.body_pose, once.hand_pose), agreeing, rest)
    assert_close(own.body_pose[sure], once.body_pose[sure])


@ALL
@pytest.mark.parametrize('size', [1, 2, 3])
def test_neighbours_in_a_batch_and_its_size_change_nothing(kind, size):
    body, hands, rest = scene()
    integrate = INTEGRATORS.build(dict(type=kind))
    whole = integrate(body, hands, rest)
    order = torch.tensor([5, 2, 9])[:size]
    part = integrate(PosedBody(*(x[order] for x in body)), PosedHands(*(x[order] for x in hands)), rest[order])
    for found, expected in zip(part, whole, strict=True):
        assert_close(found, expected[order])
    alone = integrate(PosedBody(*(x[5] for x in body)), PosedHands(*(x[5] for x in hands)), rest[5])
    assert_close(alone.body_pose, whole.body_pose[5])


def test_fingers_never_change_the_arm():
    body, hands, rest = scene()
    out = ElbowTwist()(body, hands, rest)
    other = ElbowTwist()(body, hands._replace(hand_pose=torch.full_like(hands.hand_pose, torch.nan)), rest)
    assert_close(other.body_pose, out.body_pose, rtol=0, atol=0)


def test_the_wrist_keeps_its_limit_and_its_bend():
    angles = torch.deg2rad(torch.tensor([0.0, 50, 72, 90, 120, -60, -90, -150, 160], dtype=torch.float64))
    bend = axis_angle_to_rotmat(torch.tensor([0.0, 0.7, -0.9], dtype=torch.float64))
    body, hands, rest = t_pose(about_x(angles) @ bend)
    out = ElbowTwist()(body, hands, rest)
    elbow, wrist = (joint[:, 0] for joint in arms(out.body_pose))
    kept = angles.clamp(-PYMAFX_LIMIT, PYMAFX_LIMIT)
    assert_close(rotmat_to_axis_angle(elbow), (angles - kept).unsqueeze(-1) * EYE[0])
    assert_close(wrist, about_x(kept) @ bend)
    assert_close(out.elbow_twist, torch.stack((angles - kept, 0 * kept), dim=-1))
    assert_close(elbow[:3], EYE.expand(3, 3, 3), rtol=0, atol=0)


def test_twists_of_random_wrists_stay_within_the_limit():
    body, hands, rest = scene(2000)
    out = ElbowTwist()(body, hands, rest)
    axis = torch.nn.functional.normalize(rest[:, WRISTS] - rest[:, ELBOWS], dim=-1)
    before = twist_angle(wrist_from_hand(hands.global_orient, body.body_pose), axis)[0]
    after = twist_angle(out.body_pose[:, WRISTS], axis)[0]
    counted = hands.present & ~out.uncertain
    assert (after[counted].abs() < PYMAFX_LIMIT + 1e-6).all()
    assert 0.5 < (before[counted].abs() > PYMAFX_LIMIT).double().mean() < 0.7  # uniform rotations twist uniformly
    usual = counted & (before.abs() < math.pi - FADE)
    assert_close(after[usual], before[usual].clamp(-PYMAFX_LIMIT, PYMAFX_LIMIT))


def largest_step(integrate, angles, bend):
    out = integrate(*t_pose(about_x(angles) @ bend))
    return max(float((joint[1:] - joint[:-1]).abs().max()) for joint in arms(out.body_pose))


def test_nothing_jumps_through_a_whole_turn_of_twist_but_the_original_does():
    angles = torch.linspace(0, 2 * math.pi, 20001, dtype=torch.float64)
    step = float(angles[1])
    for bend in (EYE, axis_angle_to_rotmat(torch.tensor([0.0, 1.0, 1.2], dtype=torch.float64))):
        assert largest_step(ElbowTwist(), angles, bend) < (1 + PYMAFX_LIMIT / FADE) * step * 1.01
        assert largest_step(ElbowTwist(fade=0, uncertain=(0, 0)), angles, bend) > 0.5


def test_the_excess_ends_smoothly_where_the_wrist_is_bent_by_half_a_turn():
    """Along a bend up to half a turn at a twist of 120 degrees; the twist's own rounding never shows."""
    bends = torch.linspace(2.8, math.pi, 4001, dtype=torch.float64)
    turn = about_x(torch.tensor([2.0], dtype=torch.float64))
    wrists = turn @ axis_angle_to_rotmat(torch.stack((0 * bends, bends, 0 * bends), dim=-1))
    out = ElbowTwist()(*t_pose(wrists))
    moved = out.elbow_twist[:, 0]
    assert moved[0] > 0.7 and moved[-1] == 0 and (moved[1:] - moved[:-1]).abs().max() < 0.01
    assert not out.uncertain[0, 0] and out.uncertain[-1, 0]


def awkward_wrists(dtype):
    """Identity, half turns about many axes, and their neighbours."""
    axes = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [-1, 1, 1], [1, -1, 0]], dtype=dtype)
    axes = torch.nn.functional.normalize(axes, dim=-1)
    angles = torch.tensor([0, 1e-8, 1e-4, PYMAFX_LIMIT, math.pi / 2, math.pi - 1e-4, math.pi - 1e-7, math.pi], dtype=dtype)
    return (angles.view(-1, 1, 1) * axes).reshape(-1, 3)


@ALL
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_everywhere(kind, dtype):
    rotvecs = awkward_wrists(dtype).requires_grad_(True)
    body, hands, rest = t_pose(axis_angle_to_rotmat(rotvecs))
    rest = rest.clone()
    rest[::3, 20] = rest[::3, 18]                                        # a forearm without length
    rest[1::3, 20] = rest[1::3, 18] + rest.new_tensor((0.2, -0.2, 0.0))  # one whose components add up to zero
    pose = body.body_pose.clone().requires_grad_(True)
    rest.requires_grad_(True)
    out = INTEGRATORS.build(dict(type=kind))(body._replace(body_pose=pose), hands, rest)
    assert torch.isfinite(out.body_pose).all()
    weights = torch.randn(out.body_pose.shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    (out.body_pose * weights).sum().backward()
    for value in (pose, rest, rotvecs):
        assert value.grad is None or torch.isfinite(value.grad).all()
    assert pose.grad is not None


def test_gradients_are_right():
    """Away from the kinks, for wrists within the limit, beyond it, fading, and uncertain."""
    rotvec = torch.tensor([[0.3, 0.2, 0.1], [2.0, 0.3, -0.2], [3.0, 0.1, 0.0], [0.4, 3.0, 0.15]], dtype=torch.float64)

    def elbows_and_wrists(rotvec):
        return ElbowTwist()(*t_pose(axis_angle_to_rotmat(rotvec))).body_pose[:, (18, 20)]

    assert torch.autograd.gradcheck(elbows_and_wrists, rotvec.requires_grad_(True), atol=1e-5, rtol=1e-3)


@ALL
def test_a_missing_hand_may_hold_anything(kind):
    body, hands, rest = scene()
    pose = body.body_pose.clone().requires_grad_(True)
    gone = ~hands.present
    spoiled = PosedHands(hands.global_orient.masked_fill(gone[..., None, None], torch.nan),
                         hands.hand_pose.masked_fill(gone[..., None, None, None], torch.nan), hands.present)
    out = INTEGRATORS.build(dict(type=kind))(body._replace(body_pose=pose), spoiled, rest)
    out.body_pose.sum().backward()
    assert all(torch.isfinite(x).all() for x in (out.body_pose, out.hand_pose, out.elbow_twist, pose.grad))


@pytest.mark.parametrize('arguments, said', [
    (dict(limit=72.0), 'radians'), (dict(limit=-0.1), 'not be negative'), (dict(limit=3.0, fade=0.5), 'at most pi'),
    (dict(uncertain=(0.08, 0.05)), 'two cosines')])
def test_wrong_settings_are_explained(arguments, said):
    with pytest.raises(ValueError, match=said):
        ElbowTwist(**arguments)


def test_wrong_shapes_are_explained():
    body, hands, rest = scene(4)
    integrate = ElbowTwist()
    with pytest.raises(ValueError, match='at least 22 joints'):
        integrate(body, hands, rest[:, :21])
    with pytest.raises(ValueError, match=r'body_pose has shape \(4, 21, 3, 3\)'):
        integrate(body._replace(body_pose=body.body_pose[:, 1:]), hands, rest)
    with pytest.raises(ValueError, match='must be bool'):
        integrate(body, hands._replace(present=hands.present.float()), rest)
