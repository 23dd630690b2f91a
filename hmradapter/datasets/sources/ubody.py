"""UBody (Lin et al., CVPR 2023): upper bodies in 15 kinds of videos, marked as COCO-WholeBody, with SMPL-X fits.

Layout (root = the release, videos cut into images by its video2image.py):
    images/<scene>/.../<video>/*.png
    annotations/<scene>/keypoint_annotation.json     COCO-WholeBody's fields and valid_label
    annotations/<scene>/smplx_annotation.json        fits by annotation id (`osx_fits`)
    splits/{intra,inter}_scene_test_list.npy         names of the test videos
Facts that are easily missed: `file_name` may start with '/'; a long video comes in pieces <name>_Trim..., whose split is that
of <name>; a stride counts the annotations of a scene as they lie in the file, before anything is left out; boxes of hands are
padded, by how much nobody says, so that tight ones are made. Source: OSX `data/UBody/UBody.py`.
"""
from functools import cached_property
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from hmradapter.fileio import DamagedFileError, load_coco, load_object_npy
from hmradapter.registry import SOURCES

from ..record import empty_records
from ..store.writer import Part, sampled_digest
from .coco_persons import Annotated, PersonConverter, neutral_smplx
from .osx_fits import load_fits
from .source import Expected, Source, checked_stride

LISTS = {'intra-scene': 'intra_scene_test_list.npy', 'inter-scene': 'inter_scene_test_list.npy'}
STRIDES = dict(train=10, test=100)  # OSX's and SMPLer-X's
OTHER_SPLIT = 'of_another_split'
FILES = ('keypoint_annotation.json', 'smplx_annotation.json')


@SOURCES.register_module()
class UBodySource(Source):
    """Persons and hands of UBody: joints in 2D, and SMPL-X by fits; true meshes of `test` are those of the fits.

    You will change: data_root, body_model_root.

    Args:
        data_root: the release's folder.
        body_model_root: folder with smplx/SMPLX_NEUTRAL.npz.
        split: 'train' or 'test'.
        protocol: 'intra-scene' (of every scene some videos are tested) or 'inter-scene' (some scenes are).
        stride: every so many annotations of a scene; 10 of train and 100 of test if None.
        keep_vertices: keep the fits' meshes; by default not of 'train'.
        common: as in `Source`.
    """
    name, title = 'ubody', 'UBody'
    licence = 'non-commercial research, on request; no redistribution'
    site = 'https://github.com/IDEA-Research/OSX (request form, then video2image.py)'
    splits, gives = ('train', 'test'), ('persons', 'hands')
    expected = (Expected('images/<scene>/<video>/*.png', 'images'),
                Expected('annotations/<scene>/keypoint_annotation.json', 'joints'),
                Expected('annotations/<scene>/smplx_annotation.json', 'SMPL-X fits'),
                Expected('splits/intra_scene_test_list.npy', 'names of the test videos'),
                Expected('splits/inter_scene_test_list.npy', 'the same of the other protocol', optional=True))
    body_models = ('smplx/SMPLX_NEUTRAL.npz',)

    def __init__(self, data_root, body_model_root, split: str = 'test', protocol: str = 'intra-scene',
                 stride: int | None = None, keep_vertices: bool | None = None, **common):
        super().__init__(data_root, split, body_model_root, **common)
        if protocol not in LISTS:
            raise ValueError(f'protocol is {protocol!r}: choose one of {tuple(LISTS)}.')
        self.list_of, self.stride = protocol, checked_stride(STRIDES[split] if stride is None else stride)
        self.keep_vertices = split != 'train' if keep_vertices is None else bool(keep_vertices)

    @property
    def protocol(self) -> dict:
        return dict(protocol=self.list_of, split=self.split, stride=self.stride, keep_vertices=self.keep_vertices)

    @property
    def list_path(self) -> Path:
        return self.data_root / 'splits' / LISTS[self.list_of]

    @cached_property
    def units(self) -> list[str]:
        """Scenes."""
        folder = self.data_root / 'annotations'
        scenes = sorted(path.parent.name for path in folder.glob(f'*/{FILES[0]}'))
        if not scenes:
            raise self.missing(folder / '<scene>' / FILES[0])
        return scenes

    @cached_property
    def test_videos(self) -> frozenset[str]:
        """Names of the videos that the list beside the scenes holds out."""
        if not self.list_path.is_file():
            raise self.missing(self.list_path)
        names = load_object_npy(self.list_path)
        if not isinstance(names, np.ndarray) or names.ndim != 1 or not all(isinstance(name, str) for name in names.tolist()):
            raise DamagedFileError(self.list_path, 'a list of names of videos', f'it holds {names!r:.80}')
        return frozenset(names.tolist())

    @cached_property
    def converter_of_persons(self) -> PersonConverter:
        return PersonConverter(self.name, self.data_root, self.body_model_root, self.verify_images, stored_boxes=False,
                               expects_fits=True, keep_vertices=self.keep_vertices)

    def convert(self, unit: str) -> Part:
        part = Part(empty_records(0, self.name), [], [])
        folder = self.data_root / 'annotations' / unit
        try:
            coco = load_coco(folder / FILES[0])
            fits = load_fits(folder / FILES[1])
        except DamagedFileError as error:
            print_log(str(error), 'current')
            part.drop('damaged_scene', unit)
            return part
        except FileNotFoundError:
            part.drop('scene_without_fits', unit)
            return part
        persons = []
        for number, annotation in enumerate(coco.anns.values(), start=1):
            image = coco.imgs[annotation['image_id']]
            path = str(image.get('file_name', '')).lstrip('/')
            key = f'{self.name}/{self.split}/{unit}/{annotation["image_id"]}/{annotation["id"]}'
            if self._is_tested(path, unit) != (self.split == 'test'):
                part.drop(OTHER_SPLIT, key)
            elif number % self.stride == 0:
                if 'valid_label' not in annotation:
                    part.drop('damaged_annotation', key)
                elif not annotation['valid_label']:
                    part.drop('not_valid_label', key)
                else:
                    persons.append(Annotated(key, f'images/{unit}/{path}', image, annotation, fits.get(str(annotation['id']))))
        return self.converter_of_persons(persons, part, self.units.index(unit))

    def _is_tested(self, path: str, scene: str) -> bool:
        """Whether an image of a scene is of a test video; a list may also name whole scenes."""
        video = path.split('/')[-2] if '/' in path else ''
        return video.split('_Trim')[0] in self.test_videos or scene in self.test_videos

    def refuse(self, counts: dict) -> None:
        if counts['records'] and not counts['dropped'].get(OTHER_SPLIT):
            some = sorted(self.test_videos)[:3]
            raise ValueError(f'{self.list_path} names {some} and more, and leaves no annotation to the split other than '
                             f'{self.split!r}: these are not the names of the videos in annotations/*/{FILES[0]}.')

    def body_model_files(self) -> list[Path]:
        return [neutral_smplx(self.body_model_root)]

    def fingerprint(self) -> dict:
        files = [self.data_root / 'annotations' / scene / name for scene in self.units for name in FILES]
        return dict(files=sampled_digest(self.data_root, files), test_videos=sorted(self.test_videos))
