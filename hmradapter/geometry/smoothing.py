"""Smoothing of motion over time: a causal one-euro filter, and a zero-phase smoother that sees past and future.

Convention: frames along the first dimension, times (F,) in seconds; rotations (F, ..., 3, 3), vectors (F, ..., D), each of the
leading dimensions (a joint) by itself. Turning or mirroring the input does the same to the output: speeds of vectors are
lengths of whole vectors, rotations are compared by R_a^T R_b and never as numbers of a chart, so nothing happens at half turns.
After a pause longer than `max_gap` seconds smoothing begins anew, as if another film had started. What does not move comes out
bit for bit. Inside, everything is float64.

One-euro: Casiez, Roussel, Vogel, CHI 2012. One departure: a low-pass step over dt weighs the new value by
1 - exp(-2 pi cutoff dt), the exact answer to a value held for dt, so that frame rates and lost frames matter little.
"""
import math

import roma
import torch
from torch import Tensor

from hmradapter.geometry.resampling import check_times

MAX_GAP = 0.5        # seconds
_REACH = 4           # sigmas after which a Gaussian's weight (3e-4 of its top) is left out
_BLOCK = 256         # frames smoothed at once
_NOT_A_ROTATION = 1e-3


class OneEuroFilter:
    """One-euro filter of vectors (..., D) as they arrive: `filter(value, time)`.

    You will change: `min_cutoff` (Hz), lower for calmer rest; `beta` (Hz per unit of speed per second), higher for less lag in
    fast motion. `derivative_cutoff` (Hz) smooths the speed. The defaults suit translations in metres.
    """

    def __init__(self, min_cutoff: float = 1.5, beta: float = 3.0, derivative_cutoff: float = 1.0, max_gap: float = MAX_GAP):
        for name, value, positive in (('min_cutoff', min_cutoff, True), ('beta', beta, False),
                                      ('derivative_cutoff', derivative_cutoff, True), ('max_gap', max_gap, True)):
            if not (math.isfinite(value) and (value > 0 or value == 0 and not positive)):
                raise ValueError(f'{name} is {value!r}: it must be finite and {"above" if positive else "at least"} 0.')
        self.min_cutoff, self.beta, self.derivative_cutoff, self.max_gap = min_cutoff, beta, derivative_cutoff, max_gap
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next value passes as it is."""
        self._time = self._value = self._velocity = None

    def filter(self, value: Tensor, time: float) -> Tensor:
        """The smoothed value at `time` (s), which must be later than the last; the first one, and the first after a gap of more
        than `max_gap`, is the value itself."""
        time, new = float(time), value.detach().double()
        self._check(new, time)
        if self._time is None or time - self._time > self.max_gap:
            self._value, self._velocity = new, torch.zeros_like(self._tangent(new, new))
        else:
            dt = time - self._time
            ahead = self._tangent(self._value, new)
            self._velocity = self._velocity + _share(self.derivative_cutoff, dt) * (ahead / dt - self._velocity)
            cutoff = self.min_cutoff + self.beta * self._velocity.norm(dim=-1, keepdim=True)
            self._value = self._moved(self._value, _share(cutoff, dt) * ahead, new)
        self._time = time
        return self._value.to(value.dtype)

    def _check(self, new: Tensor, time: float) -> None:
        if not new.isfinite().all():
            raise ValueError(f'the value at {time:g} s is not finite: leave frames without a prediction out.')
        if self._time is None:
            return
        if not time > self._time:
            raise ValueError(f'time {time:g} s follows {self._time:g} s: times must increase (call reset() for another film).')
        if new.shape != self._value.shape:
            raise ValueError(f'the value has the shape {tuple(new.shape)} after {tuple(self._value.shape)}: one filter serves '
                             'one track.')

    @staticmethod
    def _tangent(start: Tensor, end: Tensor) -> Tensor:
        """What leads from start to end, as a vector (..., D)."""
        return end - start

    @staticmethod
    def _moved(start: Tensor, step: Tensor, new: Tensor) -> Tensor:
        return start + step


class RotationOneEuroFilter(OneEuroFilter):
    """One-euro filter of rotations (..., 3, 3) as they arrive; speeds are in rad/s. The defaults suit joints of a body."""

    def __init__(self, min_cutoff: float = 1.5, beta: float = 1.0, derivative_cutoff: float = 1.0, max_gap: float = MAX_GAP):
        super().__init__(min_cutoff, beta, derivative_cutoff, max_gap)

    def _check(self, new: Tensor, time: float) -> None:
        super()._check(new, time)
        check_rotations(new, f'the value at {time:g} s')

    @staticmethod
    def _tangent(start: Tensor, end: Tensor) -> Tensor:
        """Axis-angle (..., 3) in the frame of `start`."""
        return roma.rotmat_to_rotvec(start.transpose(-1, -2) @ end)

    @staticmethod
    def _moved(start: Tensor, step: Tensor, new: Tensor) -> Tensor:
        still = (start == new).all(-1, keepdim=True).all(-2, keepdim=True)
        return torch.where(still, start, start @ roma.rotvec_to_rotmat(step))


def one_euro_vectors(values: Tensor, times: Tensor, **settings) -> Tensor:
    """`OneEuroFilter(**settings)` over vectors (F, ..., D) at times (F,); frame k depends on frames up to k."""
    return _run(OneEuroFilter(**settings), values, times)


def one_euro_rotations(rotmats: Tensor, times: Tensor, **settings) -> Tensor:
    """`RotationOneEuroFilter(**settings)` over rotations (F, ..., 3, 3) at times (F,); frame k depends on frames up to k."""
    return _run(RotationOneEuroFilter(**settings), rotmats, times)


def zero_phase_vectors(values: Tensor, times: Tensor, sigma: float = 0.06, max_gap: float = MAX_GAP) -> Tensor:
    """Gaussian smoothing of vectors (F, ..., D) over time, `sigma` in seconds, without lag.

    A straight line is fitted around each frame with Gaussian weights, so steady motion stays as it is up to both ends and with
    uneven times. At frame rate f white noise keeps 1 / (2 sqrt(pi) sigma f) of its variance away from the ends."""
    smoothed, _ = _smooth(values.double().flatten(1), values, times, sigma, max_gap)
    return smoothed.view(values.shape).to(values.dtype)


def zero_phase_rotations(rotmats: Tensor, times: Tensor, sigma: float = 0.06, max_gap: float = MAX_GAP) -> Tensor:
    """Gaussian smoothing of rotations (F, ..., 3, 3) over time, `sigma` in seconds, without lag: the same weights as for
    vectors, then the nearest rotation to the weighted sum of matrices (chordal mean)."""
    check_rotations(rotmats, 'rotmats')
    mean, still = _smooth(rotmats.double().flatten(1), rotmats, times, sigma, max_gap)
    mean, still = (x.view(rotmats.shape) for x in (mean, still))
    moved = ~still.flatten(-2).all(-1)
    result = rotmats.double().clone()
    result[moved] = roma.special_procrustes(mean[moved])
    return result.to(rotmats.dtype)


def check_rotations(rotmats: Tensor, what: str) -> None:
    """ValueError unless (..., 3, 3) are rotations to 1e-3."""
    if rotmats.shape[-2:] != (3, 3):
        raise ValueError(f'{what} has the shape {tuple(rotmats.shape)}: rotation matrices (..., 3, 3) are needed.')
    off = (rotmats.transpose(-1, -2) @ rotmats - torch.eye(3).to(rotmats)).abs().amax((-1, -2))
    wrong = ~((off < _NOT_A_ROTATION) & (torch.linalg.det(rotmats) > 0))
    if wrong.any():
        raise ValueError(f'{what} holds {int(wrong.sum())} matrices that are no rotations (off by up to '
                         f'{float(off.max()):.3g}): project them first, for example with roma.special_procrustes.')


def _share(cutoff, dt: float):
    """Weight of the new value in a low-pass step over dt seconds, cutoff in Hz."""
    decay = -2 * math.pi * dt * cutoff
    return -torch.expm1(decay) if isinstance(decay, Tensor) else -math.expm1(decay)


def _run(one_euro: OneEuroFilter, values: Tensor, times: Tensor) -> Tensor:
    times = check_times(times, len(values)).tolist()
    return torch.stack([one_euro.filter(value, time) for value, time in zip(values, times, strict=True)])


def _smooth(flat: Tensor, values: Tensor, times: Tensor, sigma: float, max_gap: float) -> tuple[Tensor, Tensor]:
    """Weighted sums (F, N) of flat (F, N), and where they did not move at all, bool (F, N)."""
    times = check_times(times, len(values))
    for name, seconds in (('sigma', sigma), ('max_gap', max_gap)):
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f'{name} is {seconds!r}: seconds above 0 are needed.')
    if not flat.isfinite().all():
        raise ValueError('there are values that are not finite: leave frames without a prediction out.')
    film = torch.cat([torch.zeros(1, dtype=torch.long), (times.diff() > max_gap).long()]).cumsum(0)
    result, still = torch.empty_like(flat), torch.empty_like(flat, dtype=torch.bool)
    for first in range(0, len(times), _BLOCK):
        rows = slice(first, first + _BLOCK)
        low, high = (int(torch.searchsorted(times, t)) for t in (times[rows][0] - _REACH * sigma,
                                                                 times[rows][-1] + _REACH * sigma))
        seen = slice(low, high + 1)
        weights = _line_weights(times[seen] - times[rows, None], sigma, film[seen] == film[rows, None]).to(flat)
        anchor = flat[rows][:1]  # sums of differences: exactly zero where nothing moves
        result[rows] = anchor + weights @ (flat[seen] - anchor)
        still[rows] = result[rows] == flat[rows]
    return result, still


def _line_weights(away: Tensor, sigma: float, same_film: Tensor) -> Tensor:
    """Weights (N, M) of frames `away` (N, M) seconds for the value at 0 of the best line; each row sums to 1."""
    bell = torch.exp(-0.5 * (away / sigma) ** 2) * (same_film & (away.abs() <= _REACH * sigma))
    zeroth, first, second = (bell.sum(1, keepdim=True), (bell * away).sum(1, keepdim=True),
                             (bell * away ** 2).sum(1, keepdim=True))
    spread = zeroth * second - first ** 2
    alone = spread <= 1e-9 * (zeroth * sigma) ** 2  # one frame has no slope
    line = bell * (second - first * away) / torch.where(alone, 1.0, spread)
    return torch.where(alone, bell / zeroth, line)
