"""The motion of one person: what it checks, smooths and resamples, and where its root is."""
import dataclasses

import numpy as np
import pytest
from moving_person import layer_output, waving

from hmradapter.body_models import SMPLXLayer
from hmradapter.visualization.motion import RestBody, viewer_root


@pytest.fixture(scope='module')
def layer(open_body_models):
    return SMPLXLayer(open_body_models)


def test_the_root_in_viewers_is_the_pelvis_of_the_body_model(layer):
    motion = waving()
    rotation, place = viewer_root(motion, RestBody.of(motion, layer))
    expected = layer_output(layer, motion).joints[:, 0].numpy() * (1, -1, -1)
    np.testing.assert_allclose(place, expected, atol=1e-6)
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.broadcast_to(np.eye(3), rotation.shape), atol=1e-9)
    assert (np.linalg.det(rotation) > 0).all()


def test_a_rest_body_has_the_shape_and_what_expressions_do(layer):
    motion = waving(2, expression=np.eye(10)[:2] * 2)
    rest = RestBody.of(motion, layer)
    still = dict(zip(('body_pose', 'left_hand_pose', 'right_hand_pose', 'jaw_pose', 'global_orient'),
                     (np.tile(np.eye(3), (2, 21, 1, 1)), *[np.tile(np.eye(3), (2, 15, 1, 1))] * 2,
                      *[np.tile(np.eye(3), (2, 1, 1))] * 2), strict=True))
    stiff = dataclasses.replace(motion, **still, translation=np.zeros((2, 3)))
    vertices = layer_output(layer, stiff).vertices.numpy()
    np.testing.assert_allclose(rest.vertices + 2 * rest.expressions[:2], vertices, atol=2e-6)
    with pytest.raises(ValueError, match='num_betas=7'):
        RestBody.of(dataclasses.replace(motion, betas=np.zeros(7)), layer)


def test_a_steady_rate_fills_gaps_and_keeps_given_frames():
    motion = waving(30)
    seen = np.delete(np.arange(30), [7, 8, 9, 20])
    holed = motion.resampled(motion.times[seen])
    filled = holed.at_rate()
    np.testing.assert_allclose(filled.times, motion.times, atol=1e-9)
    np.testing.assert_allclose(filled.rotations[seen], motion.rotations[seen], atol=1e-7)
    assert np.abs(filled.rotations - motion.rotations).max() < 0.15
    assert len(motion.at_rate(50)) == 59 and len(waving(1).at_rate()) == 1


@pytest.mark.parametrize('method', ['one_euro', 'zero_phase'])
def test_smoothing_calms_every_part(method):
    motion = waving(60, size=0.02)
    rng = np.random.default_rng(0)
    shaky = dataclasses.replace(motion, translation=motion.translation + 0.02 * rng.normal(size=(60, 3)),
                                body_pose=waving(60, 0, size=0.02).body_pose @ waving(60, 5, size=0.0).body_pose)
    smooth = shaky.smoothed(method)
    assert np.abs(np.diff(smooth.translation, 2, axis=0)).mean() < 0.5 * np.abs(np.diff(shaky.translation, 2, axis=0)).mean()
    assert smooth.rotations.shape == motion.rotations.shape
    np.testing.assert_array_equal(smooth.times, motion.times)
    with pytest.raises(ValueError, match="'zero_phase'"):
        shaky.smoothed('median')
    weak, strong = (shaky.smoothed('zero_phase', vectors=dict(sigma=sigma)).translation for sigma in (0.05, 0.2))
    assert np.abs(np.diff(strong, 2, axis=0)).mean() < np.abs(np.diff(weak, 2, axis=0)).mean()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match='body_pose.*24, 20, 3, 3'):
        waving(body_pose=np.tile(np.eye(3), (24, 20, 1, 1)))
    with pytest.raises(ValueError, match='jaw_pose.*no rotations'):
        waving(jaw_pose=np.zeros((24, 3, 3)))
    with pytest.raises(ValueError, match='translation.*not finite'):
        waving(translation=np.full((24, 3), np.nan))
    with pytest.raises(ValueError, match='increase'):
        waving(times=np.zeros(24))
    with pytest.raises(ValueError, match='fps'):
        waving().at_rate(0)
