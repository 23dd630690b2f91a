"""Values given at some times, wanted at others: straight lines between vectors, shortest turns between rotations.

Convention: frames along the first dimension, times (F,) in seconds, increasing. At a given time the given value returns
unchanged; before the first and after the last time those stay as they are.
"""
import roma
import torch
from torch import Tensor


def check_times(times: Tensor, frames: int) -> Tensor:
    """The times in float64; ValueError unless there is a finite one for each of `frames` >= 1 frames, and they increase."""
    times = torch.as_tensor(times, dtype=torch.float64)
    if times.shape != (frames,) or frames == 0:
        raise ValueError(f'times have the shape {tuple(times.shape)} for {frames} frames: one time for each frame is '
                         'needed, and at least one frame.')
    if not times.isfinite().all():
        raise ValueError(f'the time of frame {int((~times.isfinite()).nonzero()[0])} is not finite: give seconds.')
    backward = (times.diff() <= 0).nonzero()
    if len(backward):
        at = int(backward[0])
        raise ValueError(f'times must increase, but frame {at + 1} is at {times[at + 1]:g} s after {times[at]:g} s: sort the '
                         'frames by time and drop doubles.')
    return times


def resample_vectors(values: Tensor, times: Tensor, at: Tensor) -> Tensor:
    """Straight lines between values (F, ...) at times (F,) give (N, ...) at the times (N,)."""
    before, after, share = _neighbours(values, times, at)
    share = share.view(-1, *[1] * (values.ndim - 1))
    return torch.where(share == 0, values[before], values[before] + share * (values[after] - values[before]))


def resample_rotations(rotmats: Tensor, times: Tensor, at: Tensor) -> Tensor:
    """Shortest turns at constant speed between rotations (F, ..., 3, 3) at times (F,) give (N, ..., 3, 3) at the times (N,)."""
    before, after, share = _neighbours(rotmats, times, at)
    share = share.view(-1, *[1] * (rotmats.ndim - 2))
    start = rotmats[before]
    turn = roma.rotmat_to_rotvec(start.transpose(-1, -2) @ rotmats[after])
    between = start @ roma.rotvec_to_rotmat(share * turn)
    return torch.where(share.unsqueeze(-1) == 0, start, between)


def _neighbours(values: Tensor, times: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Frames (N,) before and after, and how far between them (N,) in [0, 1); 0 where a frame is hit."""
    times = check_times(times, len(values))
    at = torch.as_tensor(at, dtype=torch.float64).clamp(times[0], times[-1])
    before = torch.searchsorted(times, at, right=True) - 1
    after = (before + 1).clamp(max=len(times) - 1)
    length = torch.where(after > before, times[after] - times[before], torch.ones(()).double())
    return before, after, ((at - times[before]) / length).to(values)
