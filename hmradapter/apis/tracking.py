"""Who is who through a video: boxes of frames become tracks, and predictions of a track become one motion.

Convention: boxes x0, y0, x1, y1 in pixels. What is predicted for a box is never looked at here: it is found again by frame and
by its place among the frame's boxes. Nothing depends on the order of a frame's boxes.
"""
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from hmradapter.apis.detectors import box_iou
from hmradapter.visualization.motion import Motion

NOBODY = -1  # the id of a box that cannot be tracked


@dataclasses.dataclass
class _Target:
    """A person on the move: box where last seen, velocity of its sides in pixels per frame, frames since then."""
    id: int
    box: np.ndarray
    velocity: np.ndarray
    unseen: int = 0

    def predicted(self) -> np.ndarray:
        """The box in the coming frame, if it goes on as it did."""
        return self.box + self.velocity * (self.unseen + 1)


class BoxTracker:
    """Gives boxes of consecutive frames the ids of persons: `update(boxes, scores)`.

    A person is expected to move on at the velocity of its box; the assignment with the largest sum of IoU between expected and
    found boxes is taken, pairs below `min_iou` never. You will change: `max_gap`, the frames that a person may be hidden and
    still be the same; `min_score`, below which a box does not start a new person.
    """

    def __init__(self, min_iou: float = 0.25, max_gap: int = 15, min_score: float = 0.0, inertia: float = 0.5):
        """inertia in [0, 1): share of the old velocity that stays when a person is seen again."""
        if not 0 < min_iou <= 1:
            raise ValueError(f'min_iou is {min_iou!r}: a share above 0 and up to 1 is needed.')
        if max_gap < 0 or max_gap != int(max_gap):
            raise ValueError(f'max_gap is {max_gap!r}: a number of frames from 0 on is needed.')
        if not 0 <= inertia < 1:
            raise ValueError(f'inertia is {inertia!r}: a share from 0 to below 1 is needed.')
        self.min_iou, self.max_gap, self.min_score, self.inertia = min_iou, int(max_gap), min_score, inertia
        self._targets: list[_Target] = []
        self._next = 0

    def update(self, boxes: np.ndarray, scores: np.ndarray | None = None) -> np.ndarray:
        """Ids (N,) of the boxes (N, 4) of the next frame, which may be empty; scores (N,) default to 1.

        NOBODY (-1) goes to boxes that are not finite or have no area, and to boxes below `min_score` that continue no one."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        scores = np.ones(len(boxes)) if scores is None else np.asarray(scores, np.float64)
        if scores.shape != (len(boxes),):
            raise ValueError(f'there are {len(boxes)} boxes and scores of shape {scores.shape}: each box needs one.')
        sound = np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1) & np.isfinite(scores)
        order = np.lexsort((*boxes.T[::-1], -scores))  # best first, then by place: what decides ties is in the boxes themselves
        order = order[sound[order]]
        ids = np.full(len(boxes), NOBODY)
        for box, target in self._matches(boxes[order]):
            self._see(target, boxes[order[box]])
            ids[order[box]] = target.id
        for box in order:
            if ids[box] == NOBODY and scores[box] >= self.min_score:
                ids[box] = self._next
                self._targets.append(_Target(self._next, boxes[box], np.zeros(4), -1))
                self._next += 1
        for target in self._targets:
            target.unseen += 1
        self._targets = [target for target in self._targets if target.unseen <= self.max_gap]
        return ids

    def _matches(self, boxes: np.ndarray) -> list[tuple[int, _Target]]:
        if not len(boxes) or not self._targets:
            return []
        overlap = box_iou(boxes, np.stack([target.predicted() for target in self._targets]))
        overlap[overlap < self.min_iou] = 0
        pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
        return [(box, self._targets[k]) for box, k in pairs if overlap[box, k] > 0]

    def _see(self, target: _Target, box: np.ndarray) -> None:
        velocity = (box - target.box) / (target.unseen + 1)
        target.velocity = self.inertia * target.velocity + (1 - self.inertia) * velocity
        target.box, target.unseen = box, -1  # 0 at the end of this frame


@dataclasses.dataclass(frozen=True)
class Track:
    """One person: frames (K,) in which it was seen, increasing, and its place (K,) among the boxes of each."""
    id: int
    frames: np.ndarray
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)


def track_boxes(boxes: Sequence[np.ndarray], scores: Sequence[np.ndarray] | None = None, min_frames: int = 1,
                **settings) -> list[Track]:
    """Tracks of a whole video from the boxes (N, 4) and scores (N,) of each frame; settings as of `BoxTracker`."""
    tracker = BoxTracker(**settings)
    scores = [None] * len(boxes) if scores is None else scores
    return collect([tracker.update(*frame) for frame in zip(boxes, scores, strict=True)], min_frames)


def collect(ids: Sequence[np.ndarray], min_frames: int = 1) -> list[Track]:
    """Tracks in the order of their ids, from the ids (N,) of each frame's boxes; those seen in fewer than `min_frames` are left
    out. A ValueError names a frame in which an id stands twice."""
    seen: dict[int, list[tuple[int, int]]] = {}
    for frame, row in enumerate(ids):
        for index, person in enumerate(np.asarray(row, int).tolist()):
            if person == NOBODY:
                continue
            places = seen.setdefault(person, [])
            if places and places[-1][0] == frame:
                raise ValueError(f'frame {frame} has the id {person} twice: a person is in a frame once.')
            places.append((frame, index))
    return [Track(person, *np.array(places).T) for person, places in sorted(seen.items()) if len(places) >= min_frames]


def motion_of(track: Track, times: Sequence[float], parameters: Sequence[Sequence[Mapping]],
              scores: Sequence[np.ndarray] | None = None, name: str | None = None) -> Motion:
    """One motion from `parameters[frame][index]`, mappings with the fields of `Motion` for one frame: rotations (3, 3) or
    (n, 3, 3), betas (B,), expression (E,), translation (3,). times (F,) s of all frames. Shape: see `average_shape`."""
    rows = [parameters[frame][index] for frame, index in zip(track.frames, track.indices, strict=True)]
    fields = (*Motion.ROTATIONS, *Motion.VECTORS, 'betas')
    for frame, row in zip(track.frames, rows, strict=True):
        missing = [field for field in fields if field not in row]
        if missing:
            raise ValueError(f'the prediction of person {track.id} in frame {frame} lacks {missing}.')
    stacked = {field: np.stack([np.asarray(row[field], np.float64) for row in rows]) for field in fields}
    weights = None if scores is None else np.array([scores[f][i] for f, i in zip(track.frames, track.indices, strict=True)])
    stacked['betas'] = average_shape(stacked['betas'], weights)
    return Motion(times=np.asarray(times, np.float64)[track.frames], name=name or f'person_{track.id}', **stacked)


def average_shape(betas: np.ndarray, scores: np.ndarray | None = None) -> np.ndarray:
    """One shape (B,) of a track's betas (K, B): for each coefficient the median, weighted by the scores (K,) where there are
    any, so that less than half of the weight cannot spoil it. Frames with betas that are not finite do not count."""
    betas = np.asarray(betas, np.float64)
    scores = np.ones(len(betas)) if scores is None else np.asarray(scores, np.float64)
    if betas.ndim != 2 or scores.shape != (len(betas),):
        raise ValueError(f'betas have the shape {betas.shape} and scores {scores.shape}: (K, B) and (K,) are needed.')
    kept = np.isfinite(betas).all(1) & (scores > 0)
    if not kept.any():
        raise ValueError('no frame has finite betas and a score above 0: there is no shape to average.')
    betas, scores = betas[kept], scores[kept]
    order = betas.argsort(axis=0)
    ordered = np.take_along_axis(betas, order, axis=0)
    reached = scores[order].cumsum(axis=0) / scores.sum()
    low, high = (reached >= 0.5 - 1e-9).argmax(axis=0), (reached > 0.5 + 1e-9).argmax(axis=0)  # two where exactly half is below
    columns = np.arange(betas.shape[1])
    return (ordered[low, columns] + ordered[high, columns]) / 2
