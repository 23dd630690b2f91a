"""From what was found in the frames of a video to one motion a person, and motions on disk.

NAME.npz: arrays with a leading axis N of all frames of all persons (`person`, `frame`, `time`, `score`, `box_xyxy`, the fields
of `Motion` but betas), `betas` (P, 10), and the JSON text `meta`. Units and frames as in files of images: docs/outputs.md.
"""
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from hmradapter.apis.body_mesh import BodyModel
from hmradapter.apis.detectors import WHOLE_IMAGE
from hmradapter.apis.inferencer import FrameResult
from hmradapter.apis.persons import OURS
from hmradapter.apis.prediction_files import UNITS, PredictionFileError
from hmradapter.apis.tracking import Track, motion_of, track_boxes
from hmradapter.fileio import atomic_write, load_npz
from hmradapter.visualization.motion import SMOOTHERS, Motion

SCHEMA, VERSION = 'hmradapter.motion', 1
SMOOTHINGS = (*sorted(SMOOTHERS, reverse=True), 'none')  # zero_phase first
MIN_FRAMES = 3  # a person who is seen in fewer frames is taken for a mistake of the detector
FIELDS = (*Motion.ROTATIONS, *Motion.VECTORS)


class Sightings:
    """The persons of a video's frames in one row of the results, without meshes and pictures, so that a long video fits into
    memory.

    times: seconds, by frame; boxes (n, 4) px, scores (n,), parameters by frame and person; left_out: boxes of the whole image
    that do not count, as somebody was detected in other frames.
    """

    def __init__(self, fps: float, row: str = OURS):
        self.fps, self.row = fps, row
        self.times: list[float | None] = []
        self.boxes: list[np.ndarray] = []
        self.scores: list[np.ndarray] = []
        self.parameters: list[list[dict]] = []
        self._whole: list[np.ndarray] = []
        self.left_out = 0

    def __len__(self) -> int:
        return len(self.times)

    def add(self, result: FrameResult) -> None:
        """The persons of the next frame."""
        persons = result.rows.get(self.row, [])
        self.times.append(result.frame.time)
        self.boxes.append(np.array([person.box_xyxy for person in persons], np.float32).reshape(-1, 4))
        self.scores.append(np.array([person.score for person in persons], np.float32))
        self.parameters.append([{field: getattr(person, field) for field in (*FIELDS, 'betas')} for person in persons])
        self._whole.append(np.array([WHOLE_IMAGE in person.flags for person in persons], bool))

    def seconds(self) -> np.ndarray:
        """Time (F,) of each frame: the file's where they increase, else by the frame rate."""
        times = np.array([np.nan if time is None else time for time in self.times])
        return times if np.isfinite(times).all() and (np.diff(times) > 0).all() else np.arange(len(times)) / self.fps

    def drop_guesses(self) -> None:
        """Leave out boxes of the whole image, unless nobody was detected in any frame: such a box among real ones is nobody."""
        if all(whole.all() for whole in self._whole):
            return
        for k, whole in enumerate(self._whole):
            self.left_out += int(whole.sum())
            self.boxes[k], self.scores[k] = self.boxes[k][~whole], self.scores[k][~whole]
            self.parameters[k] = [row for row, guess in zip(self.parameters[k], whole, strict=True) if not guess]
            self._whole[k] = whole[~whole]


def motions_of(seen: Sightings, smooth: str, body_model: BodyModel) -> tuple[list[Track], list[Motion]]:
    """Who is who, and how each moved, smoothed as `smooth` of SMOOTHINGS says; of the same length, in order of appearance.

    Shapes are averaged over a track; the pelvis stays where each frame saw it."""
    seen.drop_guesses()
    tracks = track_boxes(seen.boxes, seen.scores, min_frames=min(MIN_FRAMES, len(seen)))
    times, motions = seen.seconds(), []
    for number, track in enumerate(tracks):
        scores = _of(track, seen.scores)
        motion = motion_of(track, times, seen.parameters, seen.scores if (scores > 0).any() else None, f'person_{number}')
        betas = np.stack([row['betas'] for row in _of(track, seen.parameters, list)])
        pelvis, mean = _pelvis(body_model, betas), _pelvis(body_model, motion.betas[None])
        motion = dataclasses.replace(motion, translation=motion.translation + pelvis - mean)
        motions.append(motion if smooth == 'none' else motion.smoothed(smooth))
    return tracks, motions


def motion_vertices(motion: Motion, index: int, body_model: BodyModel) -> np.ndarray:
    """Vertices (V, 3) float32 of frame `index` of a motion in the camera frame."""
    vertices, _ = body_model.mesh({field: getattr(motion, field)[index] for field in FIELDS} | dict(betas=motion.betas))
    return vertices + motion.translation[index].astype(np.float32)


def save_motions(path: Path, tracks: Sequence[Track], motions: Sequence[Motion], seen: Sightings, body_model: BodyModel,
                 **provenance) -> None:
    """Write PATH.npz, then PATH.json, atomically; PATH without a suffix, provenance of JSON values."""
    persons = [dict(name=motion.name, frames=len(track), first=int(track.frames[0]), last=int(track.frames[-1]),
                    start=round(float(motion.times[0]), 4), end=round(float(motion.times[-1]), 4),
                    depth=round(float(np.median(motion.translation[:, 2])), 3),
                    score=round(float(_of(track, seen.scores).mean()), 4), betas=np.float32(motion.betas).tolist())
               for track, motion in zip(tracks, motions, strict=True)]
    head = dict(schema=SCHEMA, version=VERSION, units=UNITS, **provenance,
                body_model=dict(kind='SMPL-X', gender='neutral', path=str(body_model.path.resolve()),
                                sha256=body_model.sha256), persons=persons)
    arrays = dict(person=_joined([np.full(len(track), i) for i, track in enumerate(tracks)], np.int64),
                  frame=_joined([track.frames for track in tracks], np.int64),
                  time=_joined([motion.times for motion in motions], np.float64),
                  score=_joined([_of(track, seen.scores) for track in tracks], np.float32),
                  box_xyxy=_joined([_of(track, seen.boxes) for track in tracks], np.float32),
                  betas=np.array([motion.betas for motion in motions], np.float32))
    arrays |= {field: _joined([getattr(motion, field) for motion in motions], np.float32) for field in FIELDS}
    with atomic_write(path.with_name(path.name + '.npz')) as file:
        np.savez(file, meta=np.array(json.dumps(head, allow_nan=False)), **arrays)
    with atomic_write(path.with_name(path.name + '.json'), 'w') as file:
        file.write(json.dumps(head, indent=1, allow_nan=False) + '\n')


def load_motions(path: str | Path) -> list[Motion]:
    """The motions of all persons of a video, from the .npz that the demo wrote.

    Raises:
        PredictionFileError: it is something else.
    """
    try:
        arrays = load_npz(path)
        head = json.loads(str(arrays['meta']))
        if (head['schema'], head['version']) != (SCHEMA, VERSION):
            raise PredictionFileError(f'{path} has the schema {head["schema"]!r} version {head["version"]!r}; motions of '
                                      f'videos are {SCHEMA!r} version {VERSION}.')
        rows = [arrays['person'] == number for number in range(len(head['persons']))]
        return [Motion(times=arrays['time'][row], betas=arrays['betas'][number], name=head['persons'][number]['name'],
                       **{field: arrays[field][row] for field in FIELDS}) for number, row in enumerate(rows)]
    except (KeyError, TypeError, IndexError, json.JSONDecodeError) as error:
        raise PredictionFileError(f'{path} holds no motions that this release can read ({type(error).__name__}: '
                                  f'{error}).') from error


def _of(track: Track, values: Sequence[Sequence], into=np.array):
    """A track's values, of values by frame and place."""
    return into([values[frame][index] for frame, index in zip(track.frames, track.indices, strict=True)])


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype)


def _pelvis(body_model: BodyModel, betas: np.ndarray) -> np.ndarray:
    """Pelvis (N, 3) of resting bodies with betas (N, B)."""
    with torch.no_grad():
        return body_model.layer.root_joint(torch.from_numpy(np.asarray(betas, np.float64))).numpy()
