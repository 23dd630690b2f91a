"""InterHand2.6M (Moon et al., ECCV 2020): two hands, apart or interacting, before 80 to 140 static cameras, some of them grey.

Facts that are easily missed: cameras and joints are in millimetres, MANO hands in metres, all in the world; X_c = R (X - c);
a hand turns about its own rest wrist; fingers are residual; joints are tip first, wrist last, right before left; the one box of
an image is around both hands, so each hand has its own from its joints; a hand whose wrist is not known has no 3D, as in the
data set's own loader; the files' shapes of left hands are of the repaired MANO_LEFT, which our layer is; frames may lack MANO.
Both hands of an image are one record.
Source: facebookresearch/InterHand2.6M `data/InterHand2.6M/dataset.py`, `tool/MANO_world_to_camera/convert.py`.
"""
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models import MANOLayer
from hmradapter.body_models.model_files import find_model_file
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import SOURCES
from hmradapter.structures.joints import HAND21_FROM_INTERHAND, HAND21_TIPS

from ..images import image_sizes
from ..labels import View, set_cameras, set_hand_points, set_mano
from ..record import HAND, MODELS, SIDES, empty_records, set_flag
from ..store.writer import Part, sampled_digest
from .interhand_files import HAND_TYPES, InterHandFiles
from .source import Expected, Source, checked_stride

FIRST = dict(right=0, left=21)  # of a hand's joints
MAX_MEAN_GAP = 0.02   # metres between joints and the posed model's, which are another regressor's: millimetres apart
MAX_GAP = 0.05        # and for the joint that is furthest
HAND_REACH = 0.3      # metres from a hand's middle within which its joints are
BOX_MARGIN = 0.25     # of the given box's longer side that joints within the image may lie outside of it
MODEL_JOINTS = [joint for joint in range(21) if joint not in HAND21_TIPS]


@SOURCES.register_module()
class InterHandSource(Source):
    """Hands of InterHand2.6M. Keypoints are the annotated ones, parameters NeuralAnnot's MANO.

    You will change: data_root, body_model_root, stride, camera_stride.

    Args:
        data_root: the folder with images/ and annotations/ (v1.0, of the 5 or the 30 fps release).
        body_model_root: folder with mano/MANO_{LEFT,RIGHT}.pkl; not needed with mano=False.
        split: 'train', 'val' or 'test'.
        hand_types: which images to give, of 'right', 'left' and 'interacting'.
        stride, camera_stride: every so many of a sequence's frames, and of its cameras.
        mano: False leaves MANO_NeuralAnnot unread: keypoints only.
        common: as in `Source`.
    """
    name, title = 'interhand', 'InterHand2.6M'
    licence = 'CC BY-NC 4.0'
    site = 'https://mks0601.github.io/InterHand2.6M (images and annotations of v1.0)'
    splits, gives = ('train', 'val', 'test'), ('hands',)
    expected = (Expected('images/{split}/Capture<k>/<sequence>/cam<id>/image<frame>.jpg', 'images'),
                *(Expected(f'annotations/{{split}}/InterHand2.6M_{{split}}_{name}.json', what) for name, what in
                  (('data', 'the list of images'), ('camera', 'cameras'), ('joint_3d', 'joints'))),
                Expected('annotations/{split}/InterHand2.6M_{split}_MANO_NeuralAnnot.json', 'MANO, for mano=True'))
    release, body_models = 'v1.0', ('mano/MANO_{LEFT,RIGHT}.pkl',)

    def __init__(self, data_root, body_model_root=None, split: str = 'train', hand_types: Sequence[str] = HAND_TYPES,
                 stride: int = 1, camera_stride: int = 1, mano: bool = True, **common):
        if not mano:
            self.body_models = ()  # no model is read, so none is asked for
        super().__init__(data_root, split, body_model_root, **common)
        if isinstance(hand_types, str) or not hand_types or set(hand_types) - set(HAND_TYPES):
            raise ValueError(f'hand_types is {hand_types!r}: give a list of at least one of {HAND_TYPES}.')
        self.hand_types = tuple(kind for kind in HAND_TYPES if kind in hand_types)
        self.stride, self.camera_stride = checked_stride(stride), checked_stride(camera_stride, 'camera_stride')
        self.mano = bool(mano)

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, hand_types=self.hand_types, stride=self.stride, camera_stride=self.camera_stride,
                    mano=self.mano)

    @classmethod
    def expected_here(cls, split: str, options: dict) -> tuple[Expected, ...]:
        return cls.expected if options.get('mano', True) else cls.expected[:-1]

    @cached_property
    def files(self) -> InterHandFiles:
        return InterHandFiles(self.data_root, self.split, self.missing)

    @cached_property
    def units(self) -> list[str]:
        """Sequences, 'Capture<k>/<sequence>'."""
        return sorted(self.files.images.sequences)

    @cached_property
    def layers(self) -> dict[str, MANOLayer]:
        return {side: MANOLayer(str(self.body_model_root / 'mano'), side) for side in SIDES}

    def body_model_files(self) -> list[Path]:
        folder = self.body_model_root / 'mano'
        return [find_model_file(folder, 'MANO', f'MANO_{side.upper()}') for side in SIDES] if self.mano else []

    def fingerprint(self) -> dict:
        names = ['data', 'camera', 'joint_3d', *(['MANO_NeuralAnnot'] if self.mano else [])]
        return dict(files=sampled_digest(self.data_root, [self.files.path(name) for name in names]))

    def convert(self, unit: str) -> Part:
        """The images of a sequence, by frame and camera."""
        part, images = Part(empty_records(0, self.name, HAND), [], []), self.files.images
        rows = self._with_images(part, self._with_labels(part, unit, self._chosen(unit)))
        if not len(rows):
            return part
        records, lacking, wrong = self._labelled(unit, rows)
        good = np.ones(len(rows), bool)
        for reason, which in wrong.items():
            for i in np.flatnonzero(which & good):
                part.drop(reason, self._image(rows[i]))
            good &= ~which
        kept = np.flatnonzero(good)
        part.records, part.paths = records[kept], [self._image(row) for row in rows[kept]]
        part.keys = [f'interhand/{self.split}/{unit}/cam{images.camera[row]}/{images.frame[row]}' for row in rows[kept]]
        part.records['offset'] = np.arange(len(kept))
        for reason, which in lacking.items():
            for i in np.flatnonzero(which[kept]):
                part.lacks(reason, part.keys[i])
        return part

    def _chosen(self, unit: str) -> np.ndarray:
        """Numbers of the unit's images that the options ask for."""
        images = self.files.images
        rows = np.flatnonzero(images.sequence == images.sequences.index(unit))
        wanted = [np.isin(images.kind[rows], [-1, *(HAND_TYPES.index(kind) for kind in self.hand_types)])]
        for values, stride in ((images.frame[rows], self.stride), (images.camera[rows], self.camera_stride)):
            wanted.append(np.isin(values, np.unique(values)[::stride]))
        rows = rows[np.stack(wanted).all(0)]
        return rows[np.lexsort((images.camera[rows], images.frame[rows]))]

    def _image(self, row: int) -> str:
        """Path under the root."""
        return f'images/{self.split}/{self.files.images.name[row].decode()}'

    def _with_labels(self, part: Part, unit: str, rows: np.ndarray) -> np.ndarray:
        """Those images that have an annotation, a camera and joints, and a name that fits."""
        images, usable, seen = self.files.images, [], set()
        known_frames, points, known = self.files.joints
        for row in rows:
            frame, camera = int(images.frame[row]), int(images.camera[row])
            at = known_frames.get((_capture(unit), frame))
            place, reason = f'/{unit}/cam{camera}/image{frame}.jpg', None
            if images.kind[row] < 0:
                reason = 'image_without_annotation'
            elif not place.endswith(f'/{images.name[row].decode()}'):  # its frame or camera is not what its path says
                reason = 'image_of_other_name'
            elif place in seen:
                reason = 'image_listed_twice'
            elif self.files.cameras.get((_capture(unit), camera)) is None:
                reason = 'image_without_camera'
            elif at is None:
                reason = 'frame_without_joints'
            elif not np.isfinite(points[at][known[at]]).all():
                reason = 'joints_not_finite'
            if reason is None:
                usable.append(row)
            else:
                part.drop(reason, self._image(row))
            seen.add(place)
        return np.array(usable, dtype=int)

    def _with_images(self, part: Part, rows: np.ndarray) -> np.ndarray:
        """Those whose image is whole and of the size that the list says."""
        sizes = image_sizes([self.data_root / self._image(row) for row in rows], self.verify_images)
        good = np.array([size == tuple(self.files.images.size[row]) for size, row in zip(sizes, rows, strict=True)], bool)
        for i in np.flatnonzero(~good):
            part.drop(sizes[i] if isinstance(sizes[i], str) else 'image_of_other_size', self._image(rows[i]))
        return rows[good]

    def _labelled(self, unit: str, rows: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Records (N,) of the images; by reason, which of them (N,) lack something, and which cannot be used."""
        images, (numbers, points, known) = self.files.images, self.files.joints
        records, view = empty_records(len(rows), self.name, HAND), self._view(unit, rows)
        records['seq'], records['model'] = self.units.index(unit), MODELS.index('mano')
        records['frame'], records['view'] = images.frame[rows], images.camera[rows]
        set_flag(records, 'has_image')
        set_cameras(records, view)
        at = np.array([numbers[_capture(unit), frame] for frame in images.frame[rows]])
        lacking, shown, apart = {}, np.zeros(len(rows), bool), np.zeros(len(rows), bool)
        for side in SIDES:
            order = FIRST[side] + np.array(HAND21_FROM_INTERHAND)
            seen = known[at][:, order] & images.known[rows][:, order]
            joints = np.where(seen[..., None], points[at][:, order].astype(np.float64), 0)
            there = seen.any(1)
            boxed = set_hand_points(records, side, torch.from_numpy(joints), torch.from_numpy(seen), view,
                                    in_3d=torch.from_numpy(seen[:, 0])).numpy()
            lacking[f'{side}_wrist_not_known'] = there & ~seen[:, 0]
            lacking[f'{side}_hand_outside_image'] = there & ~boxed
            shown |= boxed
            apart |= there & ~_near_each_other(joints, seen)
            if self.mano:
                lacking |= self._set_mano(records, side, unit, joints, seen, view)
        outside = ~_in_given_box(records, images.box[rows], view)
        return records, lacking, dict(joints_apart=apart, no_hand_in_image=~shown, joints_outside_box=outside)

    @torch.no_grad()
    def _set_mano(self, records: np.ndarray, side: str, unit: str, joints: np.ndarray, seen: np.ndarray,
                  view: View) -> dict[str, np.ndarray]:
        """MANO of one side for the hands that have a joint; returns who (N,) goes without, by reason."""
        numbers, vectors = self.files.hands[side]
        at = np.array([numbers.get((_capture(unit), frame), -1) for frame in records['frame'].tolist()])
        there, given = seen.any(1), at >= 0
        vector = np.zeros((len(at), vectors.shape[1]))
        vector[given] = vectors[at[given]]
        with np.errstate(over='ignore'):  # float32, which records hold
            finite = np.isfinite(vector.astype(np.float32)).all(1)
        _, first, back = np.unique(at, return_index=True, return_inverse=True)  # cameras share frames: pose each once
        orient, fingers, betas, transl = torch.from_numpy(np.where(finite[:, None], vector, 0)[first]).split((3, 45, 10, 3), 1)
        pose = (fingers + self.layers[side].hand_mean).unflatten(1, (15, 3))  # residual on disk, absolute from here on
        turns = axis_angle_to_rotmat(torch.cat((orient[:, None], pose), dim=1)).float()
        posed = self.layers[side](turns[:, :1], turns[:, 1:], betas.float(), transl.float()).keypoints.double().numpy()
        gaps = np.where(seen, np.linalg.norm(posed[back] - joints, axis=-1), 0)
        inner, count = gaps[:, MODEL_JOINTS].sum(1), seen[:, MODEL_JOINTS].sum(1)
        near = (gaps.max(1) < MAX_GAP) & (inner < MAX_MEAN_GAP * count)  # false for NaN, and where no joint could tell
        root = self.layers[side].root_joint(betas.float()).double()
        set_mano(records, side, *(values[back] for values in (pose, orient, transl, betas, root)),
                 torch.from_numpy(there & given & finite & near), view)
        return {f'{side}_hand_without_mano': there & ~given, f'{side}_mano_damaged': there & given & ~finite,
                f'{side}_mano_away_from_joints': there & given & finite & ~near}

    def _view(self, unit: str, rows: np.ndarray) -> View:
        """The images' cameras."""
        lenses = [self.files.cameras[_capture(unit), camera] for camera in self.files.images.camera[rows].tolist()]
        return View(*(torch.from_numpy(np.stack(values)) for values in zip(*lenses, strict=True)),
                    torch.from_numpy(self.files.images.size[rows]))


def _capture(unit: str) -> int:
    return int(unit.split('/')[0].removeprefix('Capture'))


def _near_each_other(joints: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Whether those of the joints (N, 21, 3) that count (N, 21) may be of one hand (N,)."""
    middle = np.nanmedian(np.where(seen[..., None] | ~seen.any(1)[:, None, None], joints, np.nan), axis=1)
    return (np.where(seen, np.linalg.norm(joints - middle[:, None], axis=-1), 0) < HAND_REACH).all(1)


def _in_given_box(records: np.ndarray, given: np.ndarray, view: View) -> np.ndarray:
    """Whether the joints within an image lie in or near its box (N, 4) xywh px, which is around both hands (N,)."""
    points = records['hand_kpts2d'].reshape(len(records), -1, 3)
    pixels, size = points[..., :2], view.img_size.numpy()[:, None]
    inside = (points[..., 2] > 0) & (pixels >= 0).all(-1) & (pixels <= size - 1).all(-1)
    low, margin = given[:, None, :2], BOX_MARGIN * given[:, 2:].max(1)[:, None, None]
    fits = (pixels >= low - margin).all(-1) & (pixels <= low + given[:, None, 2:] + margin).all(-1)  # false for NaN
    return (fits | ~inside).all(1)
