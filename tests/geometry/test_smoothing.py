"""Laws of smoothing over time, for both kinds and for rotations and vectors alike."""
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from hmradapter.geometry.resampling import resample_rotations, resample_vectors
from hmradapter.geometry.rotations import axis_angle_to_rotmat, geodesic_angle, rotmat_to_axis_angle
from hmradapter.geometry.smoothing import (
    OneEuroFilter,
    RotationOneEuroFilter,
    one_euro_rotations,
    one_euro_vectors,
    zero_phase_rotations,
    zero_phase_vectors,
)

from .strategies import generator

ROTATIONS = (one_euro_rotations, zero_phase_rotations)
VECTORS = (one_euro_vectors, zero_phase_vectors)
MIRROR = torch.diag(torch.tensor([-1., 1, 1], dtype=torch.float64))
seeds = st.integers(0, 2**32)


def uneven_times(frames, seed=0):
    """About 30 frames a second, uneven, with one pause."""
    times = (0.02 + 0.03 * torch.rand(frames, generator=generator(seed), dtype=torch.float64)).cumsum(0)
    return torch.where(torch.arange(frames) >= 2 * frames // 3, times + 1, times)


def wander(frames, seed, joints=3):
    """Rotations (F, joints, 3, 3) that go around freely, past half turns."""
    steps = 0.3 * torch.randn(frames, joints, 3, generator=generator(seed), dtype=torch.float64)
    path = [axis_angle_to_rotmat(3 * torch.randn(joints, 3, generator=generator(seed + 1), dtype=torch.float64))]
    for step in steps[1:]:
        path.append(path[-1] @ axis_angle_to_rotmat(step))
    return torch.stack(path)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


@pytest.mark.parametrize('smooth', ROTATIONS)
@settings(max_examples=15)
@given(seed=seeds)
def test_turning_or_mirroring_the_film_does_the_same_to_the_smoothed_film(smooth, seed):
    path, times = wander(40, seed), uneven_times(40)
    turn = axis_angle_to_rotmat(2 * noise(3, seed=seed + 2))
    smoothed = smooth(path, times)
    assert_close(smooth(turn @ path, times), turn @ smoothed, rtol=0, atol=1e-7)
    assert_close(smooth(MIRROR @ path @ MIRROR, times), MIRROR @ smoothed @ MIRROR, rtol=0, atol=1e-7)
    eye = torch.eye(3, dtype=torch.float64).expand_as(path)
    assert_close(smoothed @ smoothed.transpose(-1, -2), eye, rtol=0, atol=1e-10)
    assert (torch.linalg.det(smoothed) > 0).all()


@pytest.mark.parametrize('smooth', VECTORS)
@settings(max_examples=15)
@given(seed=seeds)
def test_vectors_turn_and_mirror_with_their_film(smooth, seed):
    path, times = noise(40, 2, 3, seed=seed).cumsum(0), uneven_times(40)
    turn = MIRROR @ axis_angle_to_rotmat(2 * noise(3, seed=seed + 2))
    assert_close(smooth(path @ turn.T, times), smooth(path, times) @ turn.T, rtol=0, atol=1e-9)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('smooth', ROTATIONS + VECTORS)
def test_what_stands_still_is_untouched_bit_for_bit(smooth, dtype):
    still = wander(1, 0)[:1].to(dtype).expand(50, -1, -1, -1)
    smoothed = smooth(still, uneven_times(50))
    assert smoothed.dtype == dtype
    assert torch.equal(smoothed, still)


@pytest.mark.parametrize('sigma', [0.05, 0.15])
def test_zero_phase_leaves_steady_motion_where_it_is_up_to_both_ends(sigma):
    times = uneven_times(60)
    axis = torch.nn.functional.normalize(noise(3), dim=0)
    path = axis_angle_to_rotmat(times[:, None] * 3 * axis)  # 3 rad/s for three seconds: past half turns
    assert geodesic_angle(zero_phase_rotations(path, times, sigma), path).max() < (3 * sigma) ** 3
    slow = axis_angle_to_rotmat(times[:, None] * 0.2 * axis)
    assert geodesic_angle(zero_phase_rotations(slow, times, sigma), slow).max() < 5e-5
    line = times[:, None] * noise(1, 3)
    assert_close(zero_phase_vectors(line, times, sigma), line, rtol=0, atol=1e-12)


def test_zero_phase_takes_the_share_of_noise_that_its_docstring_says():
    rate, sigma = 30, 0.1
    times = torch.arange(600, dtype=torch.float64) / rate
    share = 1 / (2 * math.sqrt(math.pi) * sigma * rate)
    inner = slice(20, -20)
    smoothed = zero_phase_vectors(noise(600, 40, 3), times, sigma)[inner]
    assert smoothed.var().item() == pytest.approx(share, rel=0.05)
    angles = 0.03 * noise(600, 40, 3)
    turned = rotmat_to_axis_angle(zero_phase_rotations(axis_angle_to_rotmat(angles), times, sigma))[inner]
    assert turned.var().item() == pytest.approx(share * 0.03 ** 2, rel=0.05)


def test_one_euro_calms_rest_and_follows_speed():
    times = torch.arange(300, dtype=torch.float64) / 30
    rest = rotmat_to_axis_angle(one_euro_rotations(axis_angle_to_rotmat(0.02 * noise(300, 20, 3)), times))[60:]
    assert rest.var() < 0.2 * 0.02 ** 2
    axis = torch.tensor([0., 1, 0], dtype=torch.float64)
    for speed, most in ((0.2, 0.025), (4.0, 0.2)):  # rad of lag
        path = axis_angle_to_rotmat(speed * times[:, None] * axis)
        calm = one_euro_rotations(path, times, beta=0.0)
        assert geodesic_angle(one_euro_rotations(path, times), path)[-1] < min(most, float(geodesic_angle(calm, path)[-1]))


@pytest.mark.parametrize('smooth, values', [(one_euro_rotations, wander(60, 3)), (one_euro_vectors, noise(60, 2, 3).cumsum(0))])
def test_one_euro_never_looks_ahead_and_streams_alike(smooth, values):
    times = uneven_times(60)
    whole = smooth(values, times)
    changed = values.clone()
    changed[30:] = changed[:30]
    assert torch.equal(smooth(changed, times)[:30], whole[:30])
    stream = RotationOneEuroFilter() if smooth is one_euro_rotations else OneEuroFilter()
    assert torch.equal(torch.stack([stream.filter(*pair) for pair in zip(values, times, strict=True)]), whole)


@pytest.mark.parametrize('smooth', ROTATIONS)
def test_a_long_pause_parts_the_film(smooth):
    if smooth is zero_phase_rotations:
        smooth = partial(smooth, sigma=0.4)  # which would reach over the pause
    path, times = wander(40, 5), uneven_times(40)
    cut = int((times.diff() > 0.5).nonzero()[0]) + 1
    apart = torch.cat([smooth(path[:cut], times[:cut]), smooth(path[cut:], times[cut:])])
    assert_close(smooth(path, times), apart, rtol=0, atol=1e-9)
    assert geodesic_angle(smooth(path, times, max_gap=5.0), apart).max() > 0.01


@pytest.mark.parametrize('smooth', ROTATIONS)
def test_half_turns_are_nothing_special(smooth):
    times = torch.arange(90, dtype=torch.float64) / 30
    axis = torch.tensor([0.6, 0.8, 0], dtype=torch.float64)
    past = axis_angle_to_rotmat((math.pi - 0.5 + times[:, None] / 3) * axis)
    before = axis_angle_to_rotmat((0.2 + times[:, None] / 3) * axis)
    turn = axis_angle_to_rotmat((math.pi - 0.7) * axis)
    assert_close(smooth(past, times), turn @ smooth(before, times), rtol=0, atol=1e-7)


@pytest.mark.parametrize('smooth', ROTATIONS)
def test_twice_the_frame_rate_gives_about_the_same_motion(smooth):
    def film(rate):
        times = torch.arange(4 * rate + 1, dtype=torch.float64) / rate
        angle = torch.sin(2 * times) + 0.3 * torch.sin(7 * times)
        return axis_angle_to_rotmat(angle[:, None] * torch.tensor([0., 0.6, 0.8], dtype=torch.float64)), times
    slow, fast = smooth(*film(30)), smooth(*film(60))[::2]
    assert geodesic_angle(slow, fast)[5:].max() < 0.05
    changed = geodesic_angle(slow, film(30)[0])[5:].max()
    assert geodesic_angle(slow, fast)[5:].max() < 0.5 * changed


def test_long_films_are_smoothed_in_blocks_without_seams():
    times = torch.arange(700, dtype=torch.float64) / 30
    values = noise(700, 3).cumsum(0)
    whole = zero_phase_vectors(values, times)
    for first in (100, 250, 500):
        part = slice(first - 30, first + 31)
        assert_close(zero_phase_vectors(values[part], times[part])[30], whole[first], rtol=0, atol=1e-10)


def test_resampling_hits_given_frames_and_turns_steadily_between():
    times = torch.tensor([0., 0.1, 0.5], dtype=torch.float64)
    axis = torch.tensor([0., 0, 1], dtype=torch.float64)
    path = axis_angle_to_rotmat(torch.tensor([[0.], [0.2], [3.0]]).double() * axis)
    at = torch.tensor([-1, 0., 0.05, 0.1, 0.3, 0.5, 9])
    found = rotmat_to_axis_angle(resample_rotations(path, times, at))[:, 2]
    assert_close(found, torch.tensor([0, 0, 0.1, 0.2, 1.6, 3.0, 3.0]).double(), rtol=0, atol=1e-7)
    assert torch.equal(resample_rotations(path, times, times), path)
    values = noise(3, 4)
    assert torch.equal(resample_vectors(values, times, times), values)
    assert_close(resample_vectors(values, times, torch.tensor([0.3])), values[1:].mean(0)[None])


def test_mistakes_are_named():
    path, times = wander(5, 0), torch.arange(5.)
    for smooth in ROTATIONS:
        with pytest.raises(ValueError, match='frame 3 is at 1 s after 2 s'):
            smooth(path, [0, 1, 2, 1, 4])
        with pytest.raises(ValueError, match='5 frames'):
            smooth(path, times[:4])
        with pytest.raises(ValueError, match='no rotations'):
            smooth(1.1 * path, times)
        with pytest.raises(ValueError, match='max_gap'):
            smooth(path, times, max_gap=0)
    for smooth in VECTORS:
        with pytest.raises(ValueError, match='not finite'):
            smooth(torch.full((5, 3), math.nan), times)
    with pytest.raises(ValueError, match='min_cutoff'):
        OneEuroFilter(min_cutoff=0)
    with pytest.raises(ValueError, match='sigma'):
        zero_phase_vectors(times[:, None], times, sigma=math.nan)
    stream = OneEuroFilter()
    stream.filter(torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match='times must increase'):
        stream.filter(torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match='one filter serves'):
        stream.filter(torch.zeros(4), 2.0)
    stream.reset()
    assert torch.equal(stream.filter(torch.ones(4), 0.5), torch.ones(4))
