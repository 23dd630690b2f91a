"""COCO-WholeBody (Jin et al., ECCV 2020): people in COCO's photographs, marked with 133 joints in 2D.

Layout (root = COCO 2017):
    annotations/coco_wholebody_{train,val}_v1.0.json
    train2017/, val2017/          photographs
    annotations/MSCOCO_train_SMPLX.json     optional: SMPL-X fits, as OSX distributes them (`osx_fits`)
What the numbers mean: `coco_keypoints`.
"""
from functools import cached_property
from pathlib import Path

from hmradapter.registry import SOURCES

from ..record import empty_records
from ..store.writer import Part, sampled_digest
from .coco_index import CocoIndex, index_of_coco, index_of_fits, read_fits_of
from .coco_persons import Annotated, PersonConverter, neutral_smplx
from .source import Expected, Source, SplitNotAvailableError

IMAGES_A_UNIT = 2000
ANNOTATIONS = 'annotations/coco_wholebody_{split}_v1.0.json'
FITS = 'annotations/MSCOCO_{split}_SMPLX.json'


@SOURCES.register_module()
class CocoWholeBodySource(Source):
    """Persons and hands of COCO-WholeBody: joints and boxes in 2D, no camera; with `fits` also SMPL-X, which is a fit to 2D.

    You will change: data_root.

    Args:
        data_root: COCO's folder.
        split: 'train' or 'val'.
        fits: label by the fits in MSCOCO_train_SMPLX.json where they have a person; of 'train' only. Needs body_model_root.
        common: as in `Source`.
    """
    name, title = 'coco_wholebody', 'COCO-WholeBody'
    licence = 'annotations: research, non-commercial; photographs: their own Creative Commons licences'
    site = ('https://github.com/jin-s13/COCO-WholeBody (annotations), https://cocodataset.org (2017 images), '
            'https://github.com/IDEA-Research/OSX (fits)')
    splits, gives = ('train', 'val'), ('persons', 'hands')
    release = 'v1.0'
    expected = (Expected(ANNOTATIONS, 'joints and boxes'), Expected('{split}2017/%012d.jpg', 'images'),
                Expected('annotations/MSCOCO_train_SMPLX.json', 'SMPL-X fits of OSX', optional=True))

    def __init__(self, data_root, split: str = 'val', fits: bool = False, body_model_root=None, **common):
        super().__init__(data_root, split, body_model_root, **common)
        if fits and split != 'train':
            raise SplitNotAvailableError(f"fits is True with split {split!r}: there are fits of 'train' only.")
        if fits and body_model_root is None:
            raise ValueError('fits is True with body_model_root None: reading fits needs SMPL-X (smplx/SMPLX_NEUTRAL.npz under '
                             'body_model_root).')
        self.fits = bool(fits)

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, fits=self.fits)

    @property
    def annotation_path(self) -> Path:
        return self.data_root / ANNOTATIONS.format(split=self.split)

    @property
    def fits_path(self) -> Path:
        return self.data_root / FITS.format(split=self.split)

    def __getstate__(self) -> dict:
        """With what was found in the files: some megabytes, and worker processes need not go through a gigabyte again."""
        found = {name: self.__dict__[name] for name in ('index', 'fits_index') if name in self.__dict__}
        return super().__getstate__() | found

    @cached_property
    def index(self) -> CocoIndex:
        if not self.annotation_path.is_file():
            raise self.missing(self.annotation_path)
        return index_of_coco(self.annotation_path)

    @cached_property
    def fits_index(self) -> dict[str, tuple[int, int]]:
        if not self.fits:
            return {}
        if not self.fits_path.is_file():
            raise self.missing(self.fits_path)
        return index_of_fits(self.fits_path)

    @cached_property
    def units(self) -> list[str]:
        return [f'images {start}' for start in range(0, len(self.index.ids), IMAGES_A_UNIT)]

    @cached_property
    def converter_of_persons(self) -> PersonConverter:
        return PersonConverter(self.name, self.data_root, self.body_model_root, self.verify_images, stored_boxes=True,
                               expects_fits=self.fits, keep_vertices=False)

    def convert(self, unit: str) -> Part:
        start = int(unit.removeprefix('images '))
        coco = self.index.read(slice(start, start + IMAGES_A_UNIT))
        fits = read_fits_of(self.fits_path, self.fits_index, [str(number) for number in coco.anns]) if self.fits else {}
        persons = []
        for image_id, annotations in coco.imgToAnns.items():
            image = coco.imgs[image_id]
            path = f'{self.split}2017/{str(image["file_name"]).rsplit("/", 1)[-1]}'
            persons += [Annotated(f'{self.name}/{self.split}/{image_id}/{annotation["id"]}', path, image, annotation,
                                  fits.get(str(annotation['id']))) for annotation in annotations]
        return self.converter_of_persons(persons, Part(empty_records(0, self.name), [], []), 0)

    def body_model_files(self) -> list[Path]:
        return [neutral_smplx(self.body_model_root)] if self.fits else []

    def fingerprint(self) -> dict:
        paths = [self.annotation_path, *([self.fits_path] if self.fits else [])]
        return dict(files=sampled_digest(self.data_root, paths))
