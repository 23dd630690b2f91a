"""Laws of arms, fingers, grasps and curves."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmradapter.synthetic.arms import TWIST, arm_kit, bend_wrist, limit_hand, reach
from hmradapter.synthetic.cameras import camera_ring
from hmradapter.synthetic.curves import random_curve, rotvecs, smooth_curve, turns
from hmradapter.synthetic.fingers import BEND_HIGH, BEND_LOW, close_fingers, finger_kit, finger_points, limited, random_gesture
from hmradapter.synthetic.grasps import draw_grasps, hand_distance
from hmradapter.synthetic.motion import gesture, handle
from hmradapter.synthetic.objects import KINDS, make_object

seeds = st.integers(0, 10_000)
MIRROR = np.diag([-1.0, 1.0, 1.0])
few = settings(max_examples=25, deadline=None)


def test_a_curve_passes_through_its_keys():
    keys = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(smooth_curve(keys, 17)[::4], keys, atol=1e-12)
    drawn = random_curve(np.random.default_rng(1), 30, -1, np.ones(2))
    assert drawn.shape == (30, 2) and np.abs(drawn).max() <= 1 and np.abs(np.diff(drawn, axis=0)).max() < 1


@few
@given(seeds)
def test_gestures_stay_within_anatomy(seed):
    pose = random_gesture(np.random.default_rng(seed))
    bend = pose[:15].reshape(5, 3)
    assert (bend >= BEND_LOW - 1e-9).all() and (bend <= BEND_HIGH + 1e-9).all()
    np.testing.assert_array_equal(limited(pose), pose)


def test_the_arm_arrives_where_it_can(person):
    arm = arm_kit(person, 'left')
    rng = np.random.default_rng(0)
    shoulder = rng.normal(size=(50, 3))
    away = rng.normal(size=(50, 3))
    wrist = shoulder + away / np.linalg.norm(away, axis=1, keepdims=True) * rng.uniform(0.25, 0.45, (50, 1))
    chest = np.broadcast_to(np.eye(3), (50, 3, 3))
    upper, fore, reached = reach(arm, shoulder, wrist, chest, rng.uniform(0, 1, 50))
    np.testing.assert_allclose(reached, wrist, atol=1e-9)
    np.testing.assert_allclose(shoulder + upper @ arm.upper + fore @ arm.fore, wrist, atol=1e-6)
    hinge = np.einsum('nij,j->ni', upper, arm.hinge)  # the elbow is a hinge: both bones turn its axis to the same place
    np.testing.assert_allclose(np.einsum('nij,j->ni', fore, arm.hinge), hinge, atol=0.1)


def test_mirrored_targets_give_mirrored_arms(person):
    rng = np.random.default_rng(1)
    shoulder, wrist, swivel = rng.normal(size=(9, 3)), rng.normal(size=(9, 3)), rng.uniform(0, 1, 9)
    chest = turns(rng.normal(size=(9, 3)))
    left = reach(arm_kit(person, 'left'), shoulder, wrist, chest, swivel)
    right = reach(arm_kit(person, 'right'), shoulder @ MIRROR, wrist @ MIRROR, MIRROR @ chest @ MIRROR, swivel)
    for ours, theirs in zip(left[:2], right[:2], strict=True):  # the model's own bones differ by fractions of a millimetre
        np.testing.assert_allclose(MIRROR @ ours @ MIRROR, theirs, atol=5e-3)


@few
@given(seeds)
def test_wrist_limits_leave_allowed_hands_alone(person, seed):
    rng = np.random.default_rng(seed)
    arm = dataclasses.replace(arm_kit(person, 'right'), fore=np.array([-0.25, 0.0, 0.0]))  # a real one lies 1 degree off x
    fore = turns(rng.normal(size=(4, 3)))
    twist, flex, deviate = rng.uniform(-1, 1, (3, 4)) * [[1.3], [0.9], [0.3]]
    hand = bend_wrist(arm, fore, twist, flex, deviate)
    allowed, found, moved = limit_hand(arm, fore, hand)
    assert moved.max() < 1e-6 and np.abs(found - twist).max() < 1e-6
    np.testing.assert_allclose(allowed, hand, atol=1e-9)
    bent, found, moved = limit_hand(arm, fore, bend_wrist(arm, fore, twist, np.abs(flex) + 1.5, deviate))
    assert moved.min() > 0.3 and np.abs(found).max() <= TWIST + 1e-9
    np.testing.assert_allclose(bent @ bent.swapaxes(-1, -2), np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-9)


@pytest.mark.parametrize('side', ['left', 'right'])
@pytest.mark.parametrize('kind', KINDS)
def test_fingers_close_until_they_touch(person, kind, side):
    rng = np.random.default_rng(KINDS.index(kind))
    thing, kit = make_object(kind, rng), finger_kit(person, side)
    grasps = draw_grasps(kit, thing, 0.0, 6, rng)
    nearest = []
    for grasp in grasps:
        distance = hand_distance(thing, grasp, 0.0)
        gap = distance(finger_points(kit, close_fingers(kit, distance, rng)[None]))[0]  # (5, 6) of the bones
        nearest.append(gap.min(axis=1))
    nearest = np.array(nearest)
    assert (nearest > -0.004).mean() > 0.85      # bones stay out of the object
    assert (nearest < 0.014).any(axis=1).mean() > 0.6  # and most hands touch it: 7.5 mm of flesh, 16 steps of closing


@pytest.mark.parametrize('kind', KINDS)
def test_the_surface_of_an_object_is_where_its_distance_is_0(kind):
    thing = make_object(kind, np.random.default_rng(2))
    gap = thing.distance(thing.vertices, 0.0)
    assert gap.max() < 1e-3 and np.median(np.abs(gap)) < 5e-3
    corners = thing.vertices[thing.faces]
    volume = np.einsum('fi,fi->f', corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert abs(volume) > 1e-5 and thing.faces.max() < len(thing.vertices)
    assert set(np.unique(thing.part)) == ({0, 1} if thing.hinge[1] > 0 else {1})


def test_the_object_moves_with_the_hand_that_holds_it(person):
    rng = np.random.default_rng(5)
    motion = handle(person, make_object('mug', rng), 12, rng)
    assert np.isfinite(motion.rotations).all()
    np.testing.assert_allclose(np.linalg.det(motion.rotations), 1, atol=1e-6)
    step = rotvecs(motion.object_rotation[1:] @ motion.object_rotation[:-1].swapaxes(-1, -2))
    assert 0.02 < np.linalg.norm(step, axis=1).mean() < 1.0  # it moves, without leaps
    assert gesture(person, 4, rng).object_rotation is None


def test_cameras_look_at_the_person():
    centre = np.array([0.2, -0.3, 1.3])
    cameras = camera_ring(centre, (480, 360), np.random.default_rng(0))
    assert len(cameras) == 8
    for camera in cameras:
        rotation = camera.world_to_cam[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) > 0
        assert np.abs(camera.project(centre) - (240, 180)).max() < 60
        assert camera.project(centre + (0, 0, 0.1))[1] < camera.project(centre)[1]  # up is up
