"""One person's motion through a video: SMPL-X parameters over frames, from which the motion files are written.

Convention: rotations are parent-relative matrices, hands absolute; `translation` is what is added to the SMPL-X vertices to
place them in the OpenCV camera frame (x right, y down, z forward). Files have the frame of `mesh_files`: x right, y up, z
towards the viewer. Metres, seconds. F frames, J joints.
"""
import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.body_models.smplx_layer import POSE_PARTS
from hmradapter.geometry import smoothing
from hmradapter.geometry.resampling import check_times, resample_rotations, resample_vectors
from hmradapter.visualization.mesh_files import VIEWER_FROM_CAMERA

SMOOTHERS = {'one_euro': (smoothing.one_euro_rotations, smoothing.one_euro_vectors),
             'zero_phase': (smoothing.zero_phase_rotations, smoothing.zero_phase_vectors)}


@dataclasses.dataclass(frozen=True)
class Motion:
    """times (F,) s, increasing, with gaps where the person was not seen; global_orient and jaw_pose (F, 3, 3), body_pose
    (F, 21, 3, 3), hands (F, 15, 3, 3); betas (B,) of the whole motion; expression (F, E); translation (F, 3) m."""
    times: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    left_hand_pose: np.ndarray
    right_hand_pose: np.ndarray
    jaw_pose: np.ndarray
    betas: np.ndarray
    expression: np.ndarray
    translation: np.ndarray
    name: str = 'person'

    ROTATIONS: ClassVar[tuple[str, ...]] = ('global_orient', 'body_pose', 'left_hand_pose', 'right_hand_pose', 'jaw_pose')
    VECTORS: ClassVar[tuple[str, ...]] = ('expression', 'translation')

    def __post_init__(self):
        for field in ('times', 'betas', *self.ROTATIONS, *self.VECTORS):
            object.__setattr__(self, field, np.asarray(getattr(self, field), np.float64))
        frames = len(self.times)
        check_times(self.times, frames)
        for field in self.ROTATIONS:
            shape = (frames, 3, 3) if POSE_PARTS[field] == 1 else (frames, POSE_PARTS[field], 3, 3)
            self._check_shape(field, shape)
            smoothing.check_rotations(torch.from_numpy(getattr(self, field)), field)
        self._check_shape('translation', (frames, 3))
        self._check_shape('expression', (frames, self.expression.shape[-1] if self.expression.ndim else 0))
        self._check_shape('betas', (self.betas.size,))
        for field in ('betas', *self.VECTORS):
            if not np.isfinite(getattr(self, field)).all():
                raise ValueError(f'{field} of {self.name!r} has values that are not finite: leave such frames out.')

    def _check_shape(self, field: str, shape: tuple[int, ...]) -> None:
        found = getattr(self, field).shape
        if found != shape:
            raise ValueError(f'{field} of {self.name!r} has the shape {found} instead of {shape} for {len(self.times)} frames.')

    def __len__(self) -> int:
        return len(self.times)

    @property
    def rotations(self) -> np.ndarray:
        """Parent-relative rotations (F, 55, 3, 3) in SMPL-X's order; the eyes are at rest."""
        rest = np.broadcast_to(np.eye(3), (len(self), 1, 3, 3))
        parts = [getattr(self, name).reshape(len(self), -1, 3, 3) if name in self.ROTATIONS else rest for name in POSE_PARTS]
        return np.concatenate(parts, axis=1)

    @property
    def interval(self) -> float:
        """Seconds from frame to frame, the median; 1/30 for a single frame."""
        return float(np.median(np.diff(self.times))) if len(self) > 1 else 1 / 30

    def resampled(self, at: np.ndarray) -> 'Motion':
        """The motion at other times (N,): shortest turns and straight lines between frames, nothing beyond the ends."""
        return self._changed(lambda x: resample_rotations(x, self.times, at), lambda x: resample_vectors(x, self.times, at),
                             times=np.asarray(at, np.float64))

    def at_rate(self, fps: float | None = None) -> 'Motion':
        """The motion from its first to its last frame at a steady rate, by default that of its frames; gaps are filled."""
        if fps is not None and not (np.isfinite(fps) and fps > 0):
            raise ValueError(f'fps is {fps!r}: frames per second above 0 are needed.')
        step = 1 / fps if fps else self.interval
        count = int(np.floor((self.times[-1] - self.times[0]) / step + 1e-3)) + 1
        return self.resampled(self.times[0] + step * np.arange(count))

    def smoothed(self, method: str, rotations: Mapping | None = None, vectors: Mapping | None = None) -> 'Motion':
        """Smoothed by 'one_euro' (as a stream would be) or 'zero_phase' (no lag); settings as `geometry.smoothing` has them."""
        if method not in SMOOTHERS:
            raise ValueError(f'method is {method!r}: motion is smoothed by {sorted(SMOOTHERS)}.')
        turn, move = SMOOTHERS[method]
        turning, moving = dict(rotations or {}), dict(vectors or {})
        return self._changed(lambda x: turn(x, self.times, **turning), lambda x: move(x, self.times, **moving))

    def _changed(self, turn, move, **fields) -> 'Motion':
        """A copy with `turn` applied to all rotations and `move` to all vectors, as tensors."""
        changed = {field: change(torch.from_numpy(getattr(self, field))).numpy()
                   for fields_, change in ((self.ROTATIONS, turn), (self.VECTORS, move)) for field in fields_}
        return dataclasses.replace(self, **changed, **fields)


@dataclasses.dataclass(frozen=True)
class RestBody:
    """A shaped body at rest, in SMPL-X's frame (y up, facing +z): vertices (V, 3), joints (J, 3), parents (J,), and what
    expressions do to the vertices (E, V, 3)."""
    vertices: np.ndarray
    joints: np.ndarray
    parents: tuple[int, ...]
    expressions: np.ndarray

    @classmethod
    def of(cls, motion: Motion, layer: SMPLXLayer) -> 'RestBody':
        """The motion's shape; ValueError where the layer has another number of betas or expressions."""
        size = motion.expression.shape[-1]
        betas = torch.from_numpy(motion.betas)[None]
        faces = torch.cat([torch.zeros(1, size), torch.eye(size)])
        with torch.no_grad():
            out = layer(betas=betas.to(layer.v_template), expression=faces.to(layer.v_template))
        vertices = out.vertices.double().cpu().numpy()
        joints = out.joints[0, :len(layer.parents)].double().cpu().numpy()
        return cls(vertices[0], joints, tuple(layer.parents), vertices[1:] - vertices[0])


def viewer_root(motion: Motion, rest: RestBody) -> tuple[np.ndarray, np.ndarray]:
    """The pelvis in the frame of the files: rotation (F, 3, 3) and place (F, 3) m. SMPL-X turns about the pelvis, so the place
    is that of the resting pelvis plus the translation, whatever the rotation."""
    return (VIEWER_FROM_CAMERA[:, None] * motion.global_orient, (rest.joints[0] + motion.translation) * VIEWER_FROM_CAMERA)
