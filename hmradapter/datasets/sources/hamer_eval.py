"""Evaluation files of HaMeR (Pavlakos et al., CVPR 2024): hands, as arrays beside folders of images (`evaluation_npz`).
Source: HaMeR `datasets/image_dataset.py`, `configs/datasets_eval.yaml`.
"""
from hmradapter.registry import SOURCES

from ..formats.hamer import faults_of, hand_records, hands_of_npz
from ..record import empty_records
from ..store.part import Part
from .evaluation_npz import EvaluationSource
from .rows import usable_images
from .source import Expected

HINT = {f'{name}_{part}': f'TEST_{name}_img_{part}.npz'
        for name in ('newdays', 'epick', 'ego4d') for part in ('all', 'vis', 'occ')}
HAND_PADDED = 2.0       # what `HandCrop` pads by, and FreiHAND's and HO3D's stored boxes count as padded


@SOURCES.register_module()
class HaMeREvalSource(EvaluationSource):
    """FreiHAND, HO3D and HInt as HaMeR evaluates on them.

    With `HandCrop(rescale_factor=2)` the crop is HaMeR's: of FreiHAND and HO3D, whose boxes are halved for that, with its
    default aspect; of HInt with `aspect=None`.

    You will change: data_root, split, images.

    Args:
        data_root: a folder with both, the npz and the images.
        split: 'freihand', 'ho3d', or HInt's {newdays,epick,ego4d}_{all,vis,occ}.
        file: the npz under data_root, where it has another name or place.
        images: the folder under data_root that the names in the file start from.
        common: as in `Source`.
    """
    name, title = 'hamer_eval', "HaMeR's evaluation files"
    licence = 'those of FreiHAND, HO3D and HInt: research, no redistribution'
    site = 'https://github.com/geopavlakos/hamer ("Evaluation": hamer_evaluation_data), images from each data set\'s own site'
    files = dict(freihand='freihand_val.npz', ho3d='ho3d_val.npz', **HINT)
    splits, gives = tuple(files), ('hands',)
    expected = (Expected('freihand_val.npz or ho3d_val.npz or TEST_<set>_img_<part>.npz', 'centres, boxes and labels'),
                Expected('<images>/<name>.jpg', 'the images that it names'))

    def convert(self, unit: str) -> Part:
        part = Part(empty_records(0, self.name), [], [])
        hands, names = hands_of_npz(self.file)
        names = self.image_paths(names)
        rows, sizes = usable_images(part, self.data_root, names, self.verify_images)
        faults = faults_of(hands.take(rows), sizes)
        for row, fault in zip(rows, faults, strict=True):
            part.drop(str(fault), f'{unit}, row {row}', int(fault != ''))
        rows, sizes = rows[faults == ''], sizes[faults == '']
        part.records = hand_records(hands.take(rows), self.name, sizes, 1.0 if self.split in HINT else HAND_PADDED)
        self.refer(part, names, rows)
        return part
