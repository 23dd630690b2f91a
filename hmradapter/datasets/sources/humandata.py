"""HumanData `.npz` (MMHuman3D), the form in which SMPLer-X's training sets are passed around: persons of any data set.

Facts that are easily missed: fingers are absolute or relative to the mean hand, and which is disputed for some files
(`finger_convention`); the body's box is padded already, hands' and face's are not; confidence 0 of a box means there is none;
neutral betas go before gendered ones, SMPL's are of another space; joints may be about their own root; fingers that are all
zero are no labels. Records of a file read the same arrays that parity with SMPLer-X is checked on (`datasets.humandata`).
Source: MMHuman3D `docs/human_data.md` and its converters; SMPLer-X and SMPLest-X `humandata.py`.
"""
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.body_models.model_files import find_model_file
from hmradapter.registry import SOURCES

from ..formats.finger_convention import Fingers, finger_convention
from ..formats.humandata import HumanData, read_humandata
from ..formats.humandata_labels import set_persons, stored_meshes, usable_persons
from ..record import empty_records
from ..store.part import Part, sampled_digest
from .rows import drop_rows, set_images, usable_images
from .source import Expected, Source, checked_stride

UNIT_ROWS = 2048
BODY_PADDED = 1.2  # where the file does not say: SMPLer-X takes it for granted


@SOURCES.register_module()
class HumanDataSource(Source):
    """Persons and their hands of one file.

    You will change: data_root, file, body_model_root.

    Args:
        data_root: the folder that the file's image paths start from, or one above it (`images`).
        split: what you call it; the file decides what is in it. One file is one split: with `file`, name it.
        body_model_root: folder with smplx/SMPLX_NEUTRAL.npz: its mean hand is added to fingers that are relative to it, and
            tells which they are where the file does not. Files without fingers, or with absolute ones, do without.
        file: the npz under data_root; by default the only one there with the split in its name.
        images: the folder under data_root that image paths start from.
        flat_hand_mean: True where fingers are absolute, False where they are relative to the mean hand; by default the file's
            word, else evidence that is decisive, else an error.
        body_padding: how much larger the body's boxes are than tight ones; by default the file's word, else 1.2.
        stride: every so many rows.
        keep_vertices: keep true meshes where the file has them (`vertices3d_path`); by default not of 'train'.
        common: as in `Source`.
    """
    name, title = 'humandata', 'HumanData'
    licence = 'that of the data set inside'
    site = 'https://github.com/caizhongang/SMPLer-X ("Preparation", HumanData files), https://github.com/open-mmlab/mmhuman3d'
    splits, gives = ('train', 'val', 'test'), ('hands', 'persons')
    expected = (Expected('<name>.npz', 'persons, the split in its name; or the option `file` names it'),
                Expected('<images>/<name>.jpg', 'the images that it names'))

    def __init__(self, data_root, split: str = 'train', body_model_root=None, file: str | None = None, images: str = '',
                 flat_hand_mean: bool | None = None, body_padding: float | None = None, stride: int = 1,
                 keep_vertices: bool | None = None, **common):
        super().__init__(data_root, split, body_model_root, **common)
        if body_padding is not None and not body_padding >= 1:
            raise ValueError(f'body_padding is {body_padding}: a padded box is at least as large as a tight one, 1 or more.')
        self.given_file, self.images, self.flat_hand_mean = file, str(images), flat_hand_mean
        self.body_padding, self.stride = body_padding, checked_stride(stride)
        self.keep_vertices = split != 'train' if keep_vertices is None else bool(keep_vertices)

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, file=self.given_file, images=self.images, flat_hand_mean=self.flat_hand_mean,
                    body_padding=self.body_padding, stride=self.stride, keep_vertices=self.keep_vertices)

    @cached_property
    def file(self) -> Path:
        """The npz: the given one, or the only one under data_root whose name has the split."""
        if self.given_file is not None:
            path = self.data_root / self.given_file
            if not path.is_file():
                raise self.missing(path)
            return path
        found = sorted(self.data_root.glob(f'*{self.split}*.npz'))
        if not found:
            raise self.missing(self.data_root / f'<name>{self.split}<name>.npz')
        if len(found) > 1:
            raise ValueError(f'{self.data_root} has {", ".join(path.name for path in found)} of the split {self.split!r}: set '
                             'file to one of them.')
        return found[0]

    @cached_property
    def data(self) -> HumanData:
        return read_humandata(self.file)

    @cached_property
    def layer(self) -> SMPLXLayer | None:
        if self.body_model_root is None:
            return None
        return SMPLXLayer(self.body_model_root / 'smplx', face_contour=False).landmarks_only()

    @cached_property
    def fingers(self) -> Fingers:
        """What the fingers mean; ValueError where nothing decides it, or where the mean hand is needed and not at hand."""
        fingers = finger_convention(self.data, self.flat_hand_mean, self.layer)
        if not fingers.absolute and self.layer is None:
            raise ValueError(f'{self.file} has fingers relative to the mean hand: set body_model_root to a folder with '
                             'smplx/SMPLX_NEUTRAL.npz, which has that hand.')
        return fingers

    @property
    def units(self) -> list[str]:
        return [f'{self.file.stem}/{start}' for start in range(0, self.data.count, UNIT_ROWS)]

    def body_model_files(self) -> list[Path]:
        if self.body_model_root is None:
            return []
        return [find_model_file(self.body_model_root / 'smplx', 'SMPL-X', 'SMPLX_NEUTRAL')]

    def fingerprint(self) -> dict:
        return dict(files=sampled_digest(self.data_root, [self.file]), fingers=list(self.fingers[:2]))

    @property
    def padding(self) -> float:
        """Of the body's boxes."""
        misc = self.data.misc
        return float(self.body_padding or misc.get('bbox_body_scale') or misc.get('bbox_scale') or BODY_PADDED)

    def convert(self, unit: str) -> Part:
        part, start = Part(empty_records(0, self.name), [], []), int(unit.rsplit('/', 1)[1])
        rows = np.arange(start, min(start + UNIT_ROWS, self.data.count))
        rows, paths, sizes = self._with_images(rows[rows % self.stride == 0], part)
        kept = usable_persons(self.data, rows, torch.from_numpy(sizes), self.padding, part)
        rows, paths, sizes = rows[kept], [paths[i] for i in kept], torch.from_numpy(sizes[kept])
        part.records = empty_records(len(rows), self.name)
        set_persons(part.records, self.data, rows, sizes, self.fingers.absolute, self.layer, self.padding, part)
        set_images(part, paths)
        part.records['frame'], part.keys = rows, [f'{self.name}/{self.split}/{row:07d}' for row in rows]
        if self.keep_vertices and self.data.meshes is not None:
            places = [self.data_root / self.images / self.data.meshes[row].lstrip('/') for row in rows]
            part.vertices = stored_meshes(part, places)
        return part

    def _with_images(self, rows: np.ndarray, part: Part) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Of these rows those whose image can be used and has the size that the file says; its path and size (W, H)."""
        paths = [(Path(self.images) / self.data.images[row]).as_posix() for row in rows]
        kept, sizes = usable_images(part, self.data_root, paths, self.verify_images)
        rows, paths = rows[kept], [paths[i] for i in kept]
        said = [self.data.per_image(name) for name in ('width', 'height')]
        other = [value[rows, 0] != length for value, length in zip(said, sizes.T, strict=True) if value is not None]
        kept = drop_rows(part, 'image_of_other_size', np.any([np.zeros(len(rows), bool), *other], axis=0), paths)
        return rows[kept], [paths[i] for i in kept], sizes[kept]
