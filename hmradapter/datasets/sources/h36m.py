"""Human3.6M (Ionescu et al., TPAMI 2014) with the SMPL-X fits of NeuralAnnot: one person indoors, four fixed cameras.

The form of Moon's repositories is read, which SMPLer-X, OSX and Hand4Whole share (`h36m_files`). Facts that are easily missed:
cameras and mocap joints are in millimetres, the fits in metres; fits are in the world, of the neutral model, and turn about its
rest pelvis. THERE IS NO LABEL OF FINGERS OR FACE: fits end at the wrists. So there are no hand samples, and the joints
supervised are those of the fit's body, as in SMPLer-X, whose rule also marks the rotations of wrists and ankles and the points
of toes and heels as not labelled.
"""
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log

from hmradapter.body_models import SMPLXLayer
from hmradapter.body_models.model_files import find_model_file
from hmradapter.fileio import DamagedFileError
from hmradapter.geometry import boxes
from hmradapter.registry import SOURCES
from hmradapter.structures.joints import BODY_NAMES

from ..person_boxes import person_box
from ..record import empty_records, set_flag
from ..smplx_labels import set_smplx_persons
from ..store.writer import Part, sampled_digest
from .h36m_files import ACTIONS, CAMERAS, SUBACTIONS, Frames, H36MFiles
from .rows import clear_flag, drop_rows, finite_rows, keep_records, new_records, usable_images, view_of
from .source import Expected, Source, checked_stride

SUBJECTS = dict(train=(1, 5, 6, 7, 8), test=(9, 11))
STRIDES = dict(train=5, test=64)          # SMPLer-X's
VIEWS = dict(train=CAMERAS, test=(4,))    # of 'test' the frontal camera only, as in SPIN, HMR and SMPLer-X
SIZE_SLACK = 2          # pixels between the announced and the true size: images are 1000 or 1002 high, not always as announced
MAX_MOCAP_GAP = (0.15, 0.25)  # metres, mean and largest, between fit and mocap, whose joints lie centimetres apart
MIN_IN_BOX = 0.5        # of the body's joints must lie in the given box
# The limbs of the 17 mocap joints: right hip, knee, ankle, left ones, left shoulder, elbow, wrist, right ones.
MOCAP = dict(zip((2, 5, 8, 1, 4, 7, 16, 18, 20, 17, 19, 21), (1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16), strict=True))
UNFITTED = ('left_ankle', 'right_ankle', 'left_wrist', 'right_wrist')


@SOURCES.register_module()
class H36MSource(Source):
    """Persons of Human3.6M: bodies without fingers and face.

    You will change: data_root, body_model_root.

    Args:
        data_root: the folder with images/ and annotations/.
        body_model_root: folder with smplx/SMPLX_NEUTRAL.npz.
        split: 'train' (subjects 1, 5, 6, 7, 8) or 'test' (9, 11).
        stride: every so many frames; None: 5 for 'train', 64 for 'test'.
        views: cameras 1-4; None: all for 'train', the frontal 4 for 'test'.
        common: as in `Source`.
    """
    name, title = 'h36m', 'Human3.6M'
    licence = 'academic use, no redistribution'
    site = ('http://vision.imar.ro/human3.6m (register); images and annotations in the form of '
            'https://github.com/mks0601/3DMPPE_POSENET_RELEASE, SMPL-X fits of https://github.com/mks0601/NeuralAnnot_RELEASE')
    splits, gives = ('train', 'test'), ('persons',)
    expected = (Expected('images/s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg ..', 'images'),
                Expected('annotations/Human36M_subject<S>_data.json', 'which image is which, boxes'),
                Expected('annotations/Human36M_subject<S>_camera.json', 'cameras'),
                Expected('annotations/Human36M_subject<S>_SMPLX_NeuralAnnot.json', 'bodies'),
                Expected('annotations/Human36M_subject<S>_joint_3d.json', 'mocap joints, to check bodies with', optional=True))
    body_models = ('smplx/SMPLX_NEUTRAL.npz',)

    def __init__(self, data_root, body_model_root, split: str = 'train', stride: int | None = None,
                 views: Sequence[int] | None = None, **common):
        super().__init__(data_root, split, body_model_root, **common)
        self.stride = checked_stride(STRIDES[split] if stride is None else stride)
        self.views = VIEWS[split] if views is None else tuple(sorted(set(views)))
        if not self.views or not set(self.views) <= set(CAMERAS):
            raise ValueError(f'views is {views}: choose among the cameras {CAMERAS}.')

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, stride=self.stride, views=self.views)

    @cached_property
    def files(self) -> H36MFiles:
        return H36MFiles(self.data_root, SUBJECTS[self.split], self.stride, self.views, self.missing)

    @property
    def units(self) -> list[str]:
        return [f's_{subject:02d}_act_{action:02d}_subact_{subaction:02d}' for subject in self.files.subjects
                for action in ACTIONS for subaction in SUBACTIONS]

    @cached_property
    def convert(self) -> 'H36MConverter':
        return H36MConverter(self.files, self.units, self.split, self.body_model_files()[0], self.verify_images)

    def body_model_files(self) -> list[Path]:
        return [find_model_file(self.body_model_root, 'SMPL-X', 'SMPLX_NEUTRAL')]

    def fingerprint(self) -> dict:
        return dict(files=sampled_digest(self.data_root, self.files.sources()))


class H36MConverter:
    """A sequence to records; what is left out is counted by reason."""

    def __init__(self, files: H36MFiles, units: list[str], split: str, model: Path, verify_images: bool):
        self.files, self.units, self.split, self.verify_images = files, units, split, verify_images
        self.layer = SMPLXLayer(str(model), face_contour=False).landmarks_only()

    def __call__(self, unit: str) -> Part:
        part = Part(empty_records(0, 'h36m'), [], [])
        try:
            frames = self.files.sequence(unit)
        except DamagedFileError as error:
            print_log(str(error), 'current')
            part.drop('sequence_with_damaged_files', unit)
            return part
        if frames is None:
            return part
        for reason, names in frames.lost.items():
            for name in names:
                part.drop(reason, name)
        kept, sizes = usable_images(part, self.files.root, [f'images/{name}' for name in frames.images], self.verify_images)
        frames = frames.take(kept)
        same = np.abs(sizes - frames.sizes).max(axis=1, initial=0) <= SIZE_SLACK
        kept = drop_rows(part, 'image_of_other_size', ~same, frames.images)
        frames, sizes = frames.take(kept), sizes[kept]
        kept = drop_rows(part, 'not_finite', ~finite_rows(frames.boxes, *frames.params.values()), frames.images)
        frames, sizes = frames.take(kept), sizes[kept]
        covers = np.array([person_box(box, size, 1.0) is not None for box, size in zip(frames.boxes, sizes, strict=True)], bool)
        kept = drop_rows(part, 'person_outside_image', ~covers, frames.images)
        if len(kept):
            self._fill(part, unit, frames.take(kept), sizes[kept])
        return part

    def _fill(self, part: Part, unit: str, frames: Frames, sizes: np.ndarray) -> None:
        view = view_of(frames.rotation, frames.translation, frames.intrinsics, sizes)
        keys = [f'h36m/{self.split}/{unit}/{camera}/{frame:06d}'
                for camera, frame in zip(frames.cameras, frames.frames, strict=True)]
        records = new_records(part, 'h36m', keys, [f'images/{name}' for name in frames.images], view)
        records['seq'], records['view'], records['frame'] = self.units.index(unit), frames.cameras, frames.frames
        valid = np.zeros(127, bool)
        valid[[*range(len(BODY_NAMES)), *range(55, 60)]] = True  # the body, nose, eyes and ears
        turned = np.array([name not in UNFITTED for name in BODY_NAMES[1:]])
        _, first, rows = np.unique(frames.frames, return_index=True, return_inverse=True)  # cameras share frames
        params = {name: torch.from_numpy(value[first]) for name, value in frames.params.items()}
        set_smplx_persons(records, self.layer, params, view, rows=rows, joint_valid=valid, body_pose_valid=turned, hands=())
        records['bbox_face'] = 0  # of a face that the fit does not know
        clear_flag(records, 'has_bbox_face')
        corners = torch.from_numpy(np.concatenate((frames.boxes[:, :2], frames.boxes[:, :2] + frames.boxes[:, 2:]), axis=1))
        records['bbox_body'] = boxes.clip_box(corners, view.img_size).numpy()
        set_flag(records, 'has_bbox_body')
        self._check(part, unit, frames)

    def _check(self, part: Part, unit: str, frames: Frames) -> None:
        """Leave out whoever is not where mocap and box say.

        Raises:
            ValueError: most of a sequence lies outside its boxes: units or directions of its cameras are not what is read here.
        """
        joints, pixels = part.records['kpts3d'][:, list(MOCAP), :3], part.records['kpts2d'][:, :len(BODY_NAMES)]
        low, high = frames.boxes[:, None, :2], frames.boxes[:, None, :2] + frames.boxes[:, None, 2:]
        inside = ((pixels[..., :2] >= low) & (pixels[..., :2] <= high)).all(2) & (pixels[..., 2] > 0)
        outside = inside.mean(1) < MIN_IN_BOX
        if outside.mean() > 0.5:
            path = self.files.path(int(unit[2:4]), 'camera')
            raise ValueError(f'{unit}: {outside.sum()} of {len(outside)} bodies lie outside their boxes. {path} or a file '
                             'beside it is damaged or not what is read here: cameras in mm, X_c = R X + t, fits of the neutral '
                             'SMPL-X in m, world frame. Compare them with SMPLer-X\'s data/Human36M/Human36M.py.')
        away = np.zeros(len(outside), bool)
        if frames.joints is not None:
            mocap = np.einsum('nij,nkj->nki', frames.rotation, frames.joints[:, list(MOCAP.values())])
            gaps = np.linalg.norm(mocap + frames.translation[:, None] - joints, axis=-1)  # NaN: nothing to compare with
            away = ((gaps.mean(1) > MAX_MOCAP_GAP[0]) | (gaps.max(1) > MAX_MOCAP_GAP[1])) & ~outside
        drop_rows(part, 'joints_outside_box', outside, part.keys)
        drop_rows(part, 'joints_away_from_mocap', away, part.keys)
        keep_records(part, np.flatnonzero(~(outside | away)))
