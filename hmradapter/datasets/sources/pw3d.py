"""3DPW (von Marcard et al., ECCV 2018): one or two persons outdoors, seen by a moving camera, annotated with SMPL.

The official pickles are read (`pw3d_files`), or the COCO-style json of Hand4Whole and SMPLer-X, and prepared once. Facts that
are easily missed: parameters are in the world and the camera moves, so each frame has its own world-to-camera pose, and not
all of them are valid; persons have their own gender, for which the mesh is made; a root turns about its own rest joint; betas
are SMPL's, another space of shapes than SMPL-X's, and teach it nothing; there are no fingers and no face.
"""
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log

from hmradapter.body_models import SMPLLayer
from hmradapter.body_models.model_files import find_model_file
from hmradapter.fileio import DamagedFileError
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import SOURCES
from hmradapter.structures.joints import SMPLX144_FROM_OPENPOSE18

from ..labels import View, mesh_boxes, set_body, set_cameras, set_meshes
from ..person_boxes import person_box
from ..record import GENDERS, MODELS, empty_records, set_flag
from ..store.writer import Part, sampled_digest
from .pw3d_files import BETAS, FORMS, SITE, SPLITS, CocoFiles, OfficialFiles, Persons
from .rows import drop_rows, finite_rows, usable_images, view_of
from .source import Expected, Source, checked_stride

CHUNK = 64               # bodies posed at once
BODY_JOINTS = 22         # of SMPL's 24 those that SMPL-X has too
MAX_JOINT_GAP = 0.05     # metres between a stored joint and that of the posed model: another gender is centimetres off
FACE_JOINTS = {row: joint for row, joint in enumerate(SMPLX144_FROM_OPENPOSE18) if joint >= 55}  # nose, eyes, ears


@SOURCES.register_module()
class PW3DSource(Source):
    """Persons of 3DPW; true meshes have SMPL's topology. 22 joints are labelled, 3D and projected, nose, eyes and ears in 2D
    where OpenPose saw them.

    You will change: data_root, body_model_root.

    Args:
        data_root: the folder with imageFiles/ and sequenceFiles/ (or 3DPW_<split>.json).
        body_model_root: folder with smpl/SMPL_{MALE,FEMALE}.pkl (and NEUTRAL for the json form).
        split: 'train', 'validation' or 'test'.
        annotations: 'official' reads the pickles, 'coco' the json, whose boxes published figures use.
        stride: every so many frames.
        keep_vertices: keep true meshes, 12 bytes a vertex (83 KB a record) in `verts.npy`; by default not of 'train'.
        common: as in `Source`.
    """
    name, title = '3dpw', '3DPW'
    licence = 'non-commercial research, no redistribution'
    site = SITE
    splits, gives = SPLITS, ('persons',)
    expected = (Expected('imageFiles/<seq>/image_%05d.jpg', 'images'),
                Expected('sequenceFiles/{split}/<seq>.pkl', 'the official annotations'),
                Expected('3DPW_{split}.json', 'Hand4Whole\'s and SMPLer-X\'s form of them', optional=True))
    body_models = ('smpl/SMPL_{MALE,FEMALE}.pkl',)

    def __init__(self, data_root, body_model_root, split: str = 'test', annotations: str = 'official', stride: int = 1,
                 keep_vertices: bool | None = None, **common):
        super().__init__(data_root, split, body_model_root, **common)
        if annotations not in FORMS:
            raise ValueError(f'annotations is {annotations!r}: choose one of {tuple(FORMS)}.')
        self.form, self.stride = annotations, checked_stride(stride)
        self.keep_vertices = split != 'train' if keep_vertices is None else bool(keep_vertices)

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, annotations=self.form, stride=self.stride, keep_vertices=self.keep_vertices)

    @classmethod
    def expected_here(cls, split: str, options: dict) -> tuple[Expected, ...]:
        images, pickles, json = cls.expected
        return (images, json._replace(optional=False)) if options.get('annotations') == 'coco' else cls.expected

    @cached_property
    def files(self) -> OfficialFiles | CocoFiles:
        return FORMS[self.form](self.data_root, self.split, self.missing)

    @property
    def units(self) -> list[str]:
        return self.files.sequences

    @cached_property
    def convert(self) -> 'PW3DConverter':
        return PW3DConverter(self.files, self.split, self.body_model_root / 'smpl', self.stride, self.verify_images,
                             self.keep_vertices)

    def body_model_files(self) -> list[Path]:
        genders = ('male', 'female') if self.form == 'official' else GENDERS
        return [find_model_file(self.body_model_root / 'smpl', 'SMPL', f'SMPL_{gender.upper()}') for gender in genders]

    def fingerprint(self) -> dict:
        return dict(files=sampled_digest(self.data_root, self.files.sources()))


class PW3DConverter:
    """A sequence to records; what is left out is counted by reason."""

    def __init__(self, files: OfficialFiles | CocoFiles, split: str, models: Path, stride: int, verify_images: bool,
                 keep_vertices: bool):
        self.files, self.split, self.stride = files, split, stride
        self.verify_images, self.keep_vertices = verify_images, keep_vertices
        self.layer = cache(lambda gender: SMPLLayer(models, gender=gender))

    def __call__(self, sequence: str) -> Part:
        part = Part(empty_records(0, '3dpw'), [], [])
        try:
            persons = self.files.persons(sequence)
        except DamagedFileError as error:
            print_log(str(error), 'current')
            part.drop('damaged_sequence', sequence)
            return part
        for reason, names in persons.lost.items():
            for name in names:
                part.drop(reason, name)
        persons = persons.take(np.flatnonzero(persons.frames % self.stride == 0))
        order = np.lexsort((persons.actors, persons.frames))
        persons, sizes = self._usable(persons.take(order), part)
        if len(persons.frames):
            self._fill(part, sequence, persons, sizes)
        return part

    def _usable(self, persons: Persons, part: Part) -> tuple[Persons, np.ndarray]:
        """Those with a whole image and finite numbers, and the images' sizes (M, 2) as (W, H)."""
        kept, sizes = usable_images(part, self.files.root, persons.images, self.verify_images)
        persons = persons.take(kept)
        if persons.img_sizes is not None:
            other = np.array([tuple(size) != said for size, said in zip(sizes.tolist(), persons.img_sizes, strict=True)], bool)
            kept = drop_rows(part, 'image_of_other_size', other, persons.images)
            persons, sizes = persons.take(kept), sizes[kept]
        fields = (persons.rotation, persons.translation, persons.intrinsics, persons.joints, persons.boxes)
        finite = finite_rows(*persons.params.values(), *(field for field in fields if field is not None))
        kept = drop_rows(part, 'not_finite', ~finite, _names(persons))
        return persons.take(kept), sizes[kept]

    def _fill(self, part: Part, sequence: str, persons: Persons, sizes: np.ndarray) -> None:
        meshes, joints, roots = self._posed(persons)
        view = _view(persons, sizes)
        boxes, shown = mesh_boxes(meshes, np.arange(len(meshes)), view)
        if persons.boxes is not None:
            boxes = np.concatenate((persons.boxes[:, :2], persons.boxes[:, :2] + persons.boxes[:, 2:]), axis=1)
            shown &= [person_box(box, size, 1.0) is not None for box, size in zip(persons.boxes, sizes, strict=True)]
        agree = np.ones(len(meshes), bool)
        if persons.joints is not None:
            agree = np.linalg.norm(persons.joints - joints, axis=-1).max(1) < MAX_JOINT_GAP
            joints = persons.joints
        drop_rows(part, 'joints_away_from_model', ~agree, _names(persons))
        drop_rows(part, 'person_outside_image', agree & ~shown, _names(persons))
        kept = np.flatnonzero(agree & shown)
        persons, sizes = persons.take(kept), sizes[kept]
        view = _view(persons, sizes)
        part.records, part.paths = empty_records(len(kept), '3dpw'), persons.images
        part.keys = [f'3dpw/{self.split}/{sequence}/{frame:05d}/{actor}'
                     for frame, actor in zip(persons.frames, persons.actors, strict=True)]
        records = part.records
        records['seq'], records['offset'] = self.files.sequences.index(sequence), np.arange(len(kept))
        records['frame'], records['person'], records['model'] = persons.frames, persons.actors, MODELS.index('smpl')
        records['gender'] = [GENDERS.index(gender) for gender in persons.genders]
        set_flag(records, 'has_image')
        set_cameras(records, view)
        self._set_labels(records, persons, joints[kept], roots[kept], view)
        records['bbox_body'] = boxes[kept]
        set_flag(records, 'has_bbox_body')
        if self.keep_vertices:
            part.vertices = set_meshes(records, np.ones(len(kept), bool), meshes, kept, view)
        if persons.detections is not None:
            names = _names(persons)
            for i in np.flatnonzero(~_set_face(records, persons.detections)):
                part.lacks('no_face_in_2d', names[i])

    def _set_labels(self, records: np.ndarray, persons: Persons, joints: np.ndarray, roots: np.ndarray, view: View) -> None:
        pose, transl, betas = (torch.from_numpy(persons.params[name]) for name in ('pose', 'transl', 'betas'))
        params = dict(global_orient=pose[:, :3], transl=transl, body_pose=pose[:, 3:66])
        set_body(records, params, torch.from_numpy(roots), torch.from_numpy(joints[:, :BODY_JOINTS]),
                 torch.ones(len(records), dtype=torch.bool), view)
        records['smpl_tail'] = pose[:, 66:].reshape(-1, 2, 3).numpy()
        records['betas'][:, :BETAS], records['num_betas'] = betas.numpy(), BETAS
        set_flag(records, 'has_betas')

    @torch.no_grad()
    def _posed(self, persons: Persons) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Meshes (M, V, 3) float32, SMPL's joints (M, 24, 3) and rest pelvises (M, 3) float64, in the source's frame."""
        count, genders, meshes = len(persons.frames), np.array(persons.genders), None
        joints, roots = np.zeros((count, 24, 3)), np.zeros((count, 3))
        for gender in np.unique(genders):
            layer, chosen = self.layer(str(gender)), np.flatnonzero(genders == gender)
            for rows in np.array_split(chosen, -(-len(chosen) // CHUNK)):
                pose, transl, betas = (torch.from_numpy(persons.params[name][rows]).float()
                                       for name in ('pose', 'transl', 'betas'))
                turns = axis_angle_to_rotmat(pose.unflatten(1, (24, 3)))
                out = layer(turns[:, :1], turns[:, 1:], betas, transl)
                joints[rows], roots[rows] = out.joints.numpy(), layer.root_joint(betas).numpy()
                meshes = np.zeros((count, *out.vertices.shape[1:]), np.float32) if meshes is None else meshes
                meshes[rows] = out.vertices.numpy()
        return meshes, joints, roots


def _names(persons: Persons) -> list[str]:
    return [f'{image.removeprefix("imageFiles/")}, person {actor}'
            for image, actor in zip(persons.images, persons.actors, strict=True)]


def _view(persons: Persons, sizes: np.ndarray) -> View:
    return view_of(persons.rotation, persons.translation, persons.intrinsics, sizes)


def _set_face(records: np.ndarray, detections: np.ndarray) -> np.ndarray:
    """Nose, eyes and ears in 2D, for which SMPL has no joint; returns who (M,) has any."""
    rows, joints = list(FACE_JOINTS), list(FACE_JOINTS.values())
    found = np.where(np.isfinite(detections).all(2, keepdims=True), detections, 0)[:, rows].astype(np.float32)
    found[..., 2] = found[..., 2].clip(0, 1)
    records['kpts2d'][:, joints] = np.where(found[..., 2:] > 0, found, 0)
    return (found[..., 2] > 0).any(1)
