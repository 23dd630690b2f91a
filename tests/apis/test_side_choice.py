"""Which side a hand gets that came without one."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from hmradapter.apis import infer_hands
from hmradapter.apis.side_choice import box_mismatch, choose_side, wrist_disagreement
from hmradapter.geometry.kinematics import global_rotations
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures.joints import BODY_PARENTS


@pytest.fixture(scope='module')
def options(base_model, picture):
    return infer_hands(base_model, picture, [[60, 50, 140, 150]] * 2, ['right', 'left'])


def test_a_mesh_that_fills_its_box_matches_it(options):
    hand = options[0]
    pixels = hand.vertices_camera[:, :2] / hand.vertices_camera[:, 2:] * hand.camera.focal + hand.camera.princpt
    tight = np.concatenate([pixels.min(0), pixels.max(0)])
    assert box_mismatch(replace(hand, box_xyxy=tight)) == pytest.approx(0, abs=1e-5)
    half = tight.copy()
    half[2] = (tight[0] + tight[2]) / 2
    assert box_mismatch(replace(hand, box_xyxy=half)) == pytest.approx(0.5, abs=1e-4)
    assert box_mismatch(replace(hand, box_xyxy=tight + 1000)) == 1
    assert box_mismatch(replace(hand, translation=np.float32([0, 0, -1]))) == 1


def test_a_body_whose_wrist_points_as_the_hand_does_decides(options, body):
    pose = axis_angle_to_rotmat(torch.from_numpy(body))
    wrists = global_rotations(pose, BODY_PARENTS)
    for side, joint in (('left', 20), ('right', 21)):
        agreeing = [replace(hand, global_orient=wrists[joint].numpy()) if hand.hand == side else hand for hand in options]
        assert wrist_disagreement(next(hand for hand in agreeing if hand.hand == side), pose) < 1e-3
        chosen = choose_side(agreeing, pose)
        assert chosen.hand == side and not chosen.side_given


def test_without_a_body_the_better_fit_to_the_box_decides(options):
    for side in ('left', 'right'):
        fitting = [replace(hand, translation=np.float32([0, 0, -1])) if hand.hand != side else hand for hand in options]
        if box_mismatch(next(hand for hand in fitting if hand.hand == side)) < 1:
            assert choose_side(fitting).hand == side
