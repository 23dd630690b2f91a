"""From annotated persons in COCO-WholeBody's form to records: what COCO-WholeBody and UBody share.

Labels are joints and boxes in 2D, and where there is a fit (`osx_fits`) SMPL-X's parameters, 3D joints, and projected joints in
the places that nobody marked. Without a fit the camera is not known: no K.
"""
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmradapter.body_models import SMPLXLayer
from hmradapter.body_models.model_files import find_model_file

from ..labels import set_meshes
from ..record import empty_records, set_flag
from ..smplx_labels import smplx_meshes
from ..store.writer import Part
from .coco_keypoints import away_from_person, labelled_joints, read_keypoints, set_keypoints, set_part_boxes
from .osx_fits import read_fits, set_fits
from .rows import drop_rows, set_images, usable_images

MAX_NUMBER = np.iinfo(np.int32).max  # of an image or annotation, as records hold them; those of crowds are larger


class Annotated(NamedTuple):
    """One person: the key of the record, the image under data_root and its entry, the annotation, its fit if there is one."""
    key: str
    path: str
    image: dict
    annotation: dict
    fit: dict | None = None


class PersonConverter:
    """Annotated persons to a part; what is left out, or lacks a label that it should have, is counted by reason.

    Args:
        dataset: name in record.DATASETS.
        root: folder of the images' paths.
        body_models: folder of SMPL-X, for persons with fits.
        stored_boxes: take the file's boxes of hands and face, or put tight ones around their joints.
        expects_fits: whether a person without a fit is counted.
        keep_vertices: give the fits' meshes.
    """

    def __init__(self, dataset: str, root: Path, body_models: Path | None, verify_images: bool, stored_boxes: bool,
                 expects_fits: bool, keep_vertices: bool):
        self.dataset, self.root, self.body_models, self.verify_images = dataset, root, body_models, verify_images
        self.stored_boxes, self.expects_fits, self.keep_vertices = stored_boxes, expects_fits, keep_vertices

    @cached_property
    def layer(self) -> SMPLXLayer:
        """Without the face's contour, which no single pose has for all views."""
        return SMPLXLayer(str(neutral_smplx(self.body_models)), face_contour=False)

    def __call__(self, persons: list[Annotated], part: Part, seq: int) -> Part:
        """The records of these persons into `part`."""
        persons = [person for person in persons if self._wanted(person, part)]
        persons, sizes = self._with_images(persons, part)
        found, sound = read_keypoints([person.annotation for person in persons])
        low, high = found.body[:, :2], found.body[:, :2] + found.body[:, 2:]
        boxes = np.concatenate((low.clip(0), np.minimum(high, sizes - 1)), axis=1)
        boxed = (boxes[:, 2:] - boxes[:, :2] > 1).all(1)  # the part within the image covers something
        for i in np.flatnonzero(~(sound & boxed)):
            part.drop('person_outside_image' if sound[i] else 'damaged_annotation', persons[i].key)
        kept = np.flatnonzero(sound & boxed)
        persons, sizes, found = [persons[i] for i in kept], sizes[kept], found.take(kept)
        part.records, part.keys = empty_records(len(kept), self.dataset), [person.key for person in persons]
        self._set_images(part, persons, sizes, seq)
        joints = self._believed(part, labelled_joints(found.joints, sizes), found.body)
        self._set_fits(part, persons, sizes, joints, found.body)
        set_keypoints(part.records, joints)
        part.records['bbox_body'] = boxes[kept]
        set_flag(part.records, 'has_bbox_body')
        for name, strange in set_part_boxes(part.records, found, joints, self.stored_boxes).items():
            for i in np.flatnonzero(strange):
                part.lacks(f'{name}_box_away_from_joints', persons[i].key)
        return part

    def _wanted(self, person: Annotated, part: Part) -> bool:
        numbers = [person.annotation['id'], person.annotation['image_id']]
        for reason, holds in (('crowd', person.annotation.get('iscrowd')),
                              ('no_keypoints', not person.annotation.get('num_keypoints')),
                              ('damaged_annotation', not all(type(n) is int and 0 <= n <= MAX_NUMBER for n in numbers))):
            if holds:
                part.drop(reason, person.key)
                return False
        return True

    def _with_images(self, persons: list[Annotated], part: Part) -> tuple[list[Annotated], np.ndarray]:
        """Those with a whole image of the size that is listed, and the images' sizes (N, 2) as (W, H)."""
        kept, sizes = usable_images(part, self.root, [person.path for person in persons], self.verify_images)
        persons = [persons[i] for i in kept]
        other = np.array([size != [person.image.get('width'), person.image.get('height')]
                          for person, size in zip(persons, sizes.tolist(), strict=True)], bool)
        kept = drop_rows(part, 'image_of_other_size', other, [person.path for person in persons])
        return [persons[i] for i in kept], sizes[kept]

    def _believed(self, part: Part, joints: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Labelled joints (N, 133, 3) without those far from their person."""
        away = away_from_person(joints, boxes)
        for i in np.flatnonzero(away.any(1)):
            part.lacks('joints_away_from_person', part.keys[i])
        return np.where(away[..., None], 0, joints)

    def _set_images(self, part: Part, persons: list[Annotated], sizes: np.ndarray, seq: int) -> None:
        set_images(part, [person.path for person in persons])
        records = part.records
        records['hw'], records['seq'] = sizes[:, ::-1], seq
        records['frame'] = [person.annotation['image_id'] for person in persons]
        records['person'] = [person.annotation['id'] for person in persons]

    def _set_fits(self, part: Part, persons: list[Annotated], sizes: np.ndarray, joints: np.ndarray,
                  boxes: np.ndarray) -> None:
        fitted = np.array([i for i, person in enumerate(persons) if person.fit is not None], int)
        if self.expects_fits:
            for i in sorted(set(range(len(persons))) - set(fitted.tolist())):
                part.lacks('no_fit', persons[i].key)
        if not len(fitted):
            return
        fits, sound = read_fits([persons[i].fit for i in fitted], [persons[i].annotation for i in fitted], self.layer)
        trial = part.records[fitted]
        agree = set_fits(trial, self.layer, fits, sizes[fitted], joints[fitted], boxes[fitted]) & sound
        for row, i in enumerate(fitted):
            if not agree[row]:
                part.lacks('fit_away_from_joints' if sound[row] else 'damaged_fit', persons[i].key)
        part.records[fitted[agree]] = trial[agree]
        if self.keep_vertices and agree.any():
            self._set_meshes(part, fitted[agree], fits.take(np.flatnonzero(agree)), sizes)

    def _set_meshes(self, part: Part, rows: np.ndarray, fits, sizes: np.ndarray) -> None:
        meshes = smplx_meshes(self.layer, fits.params)
        has_mesh, mesh_of = np.zeros(len(part.records), bool), np.zeros(len(part.records), int)
        has_mesh[rows], mesh_of[rows] = True, np.arange(len(rows))
        views = fits.view(sizes[rows])
        whole = type(views)(*(field[mesh_of] for field in views))
        part.vertices = set_meshes(part.records, has_mesh, meshes, mesh_of, whole)


def neutral_smplx(body_models: Path) -> Path:
    """The model file that fits are of."""
    return find_model_file(body_models / 'smplx', 'SMPL-X', 'SMPLX_NEUTRAL')
