"""Boxes of frames become persons, persons become motions."""
import numpy as np
import pytest

from hmradapter.apis.detectors import box_iou
from hmradapter.apis.tracking import NOBODY, BoxTracker, average_shape, collect, motion_of, track_boxes


def walker(frames, start, velocity, size=(60, 160)):
    """Boxes (F, 4) of a person who walks straight on."""
    centre = np.array(start) + np.arange(frames)[:, None] * np.array(velocity)
    return np.concatenate([centre - np.array(size) / 2, centre + np.array(size) / 2], axis=1)


def crossing(frames=41):
    """Two who meet in the middle: (F, 2, 4)."""
    return np.stack([walker(frames, (100, 200), (8, 0)), walker(frames, (420, 205), (-8, 0))], axis=1)


def test_two_who_cross_keep_their_ids():
    boxes = crossing()
    assert box_iou(boxes[20], boxes[20])[0, 1] > 0.9  # in the middle they coincide
    tracks = track_boxes(list(boxes))
    assert [track.indices.tolist() for track in tracks] == [[0] * 41, [1] * 41]


def test_the_order_of_boxes_does_not_matter():
    rng = np.random.default_rng(0)
    boxes = crossing() + rng.normal(size=(41, 2, 4))
    scores = rng.uniform(0.5, 1, (41, 2))
    straight, shuffled = BoxTracker(), BoxTracker()
    for frame, score in zip(boxes, scores, strict=True):
        order = rng.permutation(2)
        np.testing.assert_array_equal(shuffled.update(frame[order], score[order]), straight.update(frame, score)[order])


def test_someone_hidden_for_a_while_is_the_same_and_for_too_long_another():
    path = walker(40, (100, 200), (5, 1))
    frames = [np.empty((0, 4)) if 12 <= k < 20 else path[k:k + 1] for k in range(40)]
    same, = track_boxes(frames, max_gap=8)
    assert same.frames.tolist() == [*range(12), *range(20, 40)]
    assert [len(track) for track in track_boxes(frames, max_gap=7)] == [12, 20]
    assert [track.id for track in track_boxes(frames, max_gap=7, min_frames=15)] == [1]


def test_one_who_is_covered_while_crossing_comes_back():
    boxes = crossing()
    frames = [boxes[k, :1] if 17 <= k <= 23 else boxes[k] for k in range(41)]
    tracks = track_boxes(frames)
    assert [track.indices.tolist() for track in tracks] == [[0] * 41, [1] * 34]


def test_boxes_that_are_none_belong_to_nobody():
    tracker = BoxTracker(min_score=0.5)
    good = [10., 10, 50, 90]
    boxes = np.array([good, [np.nan, 0, 1, 1], [5, 5, 5, 9], [200, 10, 240, 90]])
    assert tracker.update(boxes, np.array([0.9, 0.9, 0.9, 0.3])).tolist() == [0, NOBODY, NOBODY, NOBODY]
    assert tracker.update(np.empty((0, 4))).shape == (0,)
    assert tracker.update(np.array([good]), np.array([0.2])).tolist() == [0]  # a weak box may continue someone
    assert tracker.update(np.array([[300., 10, 340, 90], good])).tolist() == [1, 0]


def test_shape_is_the_weighted_median():
    betas = np.array([[0., 5], [1, 6], [2, 7], [100, -100], [np.nan, 0]])
    np.testing.assert_allclose(average_shape(betas), [1.5, 5.5])
    np.testing.assert_allclose(average_shape(betas, np.array([1, 1, 3, 0.5, 9])), [2, 7])
    np.testing.assert_allclose(average_shape(betas[:1]), betas[0])
    rng = np.random.default_rng(0)
    spoiled = np.concatenate([rng.normal(1, 0.1, (60, 10)), rng.normal(50, 9, (40, 10))])
    assert np.abs(average_shape(spoiled) - 1).max() < 0.3
    with pytest.raises(ValueError, match='no frame'):
        average_shape(betas, np.zeros(5))


def test_a_track_becomes_a_motion():
    def row(value):
        eye = np.eye(3)
        return dict(global_orient=eye, jaw_pose=eye, body_pose=np.tile(eye, (21, 1, 1)),
                    left_hand_pose=np.tile(eye, (15, 1, 1)), right_hand_pose=np.tile(eye, (15, 1, 1)), betas=np.full(10, value),
                    expression=np.zeros(10), translation=np.array([value, 0, 3]))
    ids = [np.array([1, 0]), np.array([], int), np.array([0, NOBODY, 1]), np.array([0])]
    parameters = [[row(10.), row(0.)], [], [row(1.), {}, row(11.)], [row(5.)]]
    tracks = collect(ids)
    motion = motion_of(tracks[0], [0., 0.1, 0.2, 0.3], parameters)
    assert motion.name == 'person_0'
    np.testing.assert_allclose(motion.times, [0, 0.2, 0.3])
    np.testing.assert_allclose(motion.translation[:, 0], [0, 1, 5])
    np.testing.assert_allclose(motion.betas, 1)
    weighted = motion_of(tracks[0], [0., 0.1, 0.2, 0.3], parameters, [[1, 1], [], [1, 1, 1], [9]])
    np.testing.assert_allclose(weighted.betas, 5)
    del parameters[2][0]['jaw_pose']
    with pytest.raises(ValueError, match="person 0 in frame 2 lacks .'jaw_pose'"):
        motion_of(tracks[0], [0., 0.1, 0.2, 0.3], parameters)


def test_mistakes_are_named():
    for settings, message in ((dict(min_iou=0), 'min_iou'), (dict(max_gap=-1), 'max_gap'), (dict(inertia=1), 'inertia')):
        with pytest.raises(ValueError, match=message):
            BoxTracker(**settings)
    with pytest.raises(ValueError, match='1 boxes and scores'):
        BoxTracker().update(np.zeros((1, 4)), np.ones(2))
    with pytest.raises(ValueError, match='frame 1 has the id 3 twice'):
        collect([np.array([3]), np.array([3, 3])])
