"""A film of the open world: the drawn motion with frames in between."""
import numpy as np
import pytest
import torch

from hmradapter.geometry.rotations import axis_angle_to_rotmat, geodesic_angle
from hmradapter.synthetic.clip import film, resampled
from hmradapter.synthetic.generator import Recipe
from hmradapter.synthetic.motion import Motion

SMALL = dict(subjects=1, val_subjects=1, size=(64, 48))


def test_a_film_is_the_same_each_time_and_moves(open_body_models):
    recipe = Recipe(**SMALL, body_models=str(open_body_models))
    first, again = (list(film(recipe, 's05', seconds=0.4, fps=10)) for _ in range(2))
    assert len(first) == 4 and all(image.shape == (48, 64, 3) for image in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.abs(first[0].astype(int) - first[3]).max() > 30


def test_frames_in_between_lie_in_between():
    turns = axis_angle_to_rotmat(torch.tensor([[[0.2, 0, 0]], [[0.8, 0, 0]], [[0.5, 0, 0]]]).double().expand(3, 55, 3)).numpy()
    places = np.array([[0.0, 0, 0], [1, 0, 0], [1, 2, 0]])
    dense = resampled(Motion(turns, places, articulation=np.array([0.0, 1, 0])), np.array([0, 0.5, 1, 1.25]))
    np.testing.assert_array_equal(dense.rotations[[0, 2]], turns[[0, 1]])
    np.testing.assert_allclose(dense.transl, [[0, 0, 0], [0.5, 0, 0], [1, 0, 0], [1, 0.5, 0]])
    np.testing.assert_allclose(dense.articulation, [0, 0.5, 1, 0.75])
    half = torch.from_numpy(dense.rotations[1])
    assert float(geodesic_angle(half, torch.from_numpy(turns[0])).max()) == pytest.approx(0.3, abs=1e-6)
    assert dense.object_rotation is None


def test_mistakes_are_told(open_body_models):
    recipe = Recipe(**SMALL, body_models=str(open_body_models))
    with pytest.raises(ValueError, match="subject is 's99'; this recipe has"):
        next(film(recipe, 's99', 1, 10))
    with pytest.raises(ValueError, match='seconds is 0'):
        next(film(recipe, 's05', 0, 10))
