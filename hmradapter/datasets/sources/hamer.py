"""Training tars of HaMeR (Pavlakos et al., CVPR 2024) and WiLoR (Potamias et al., CVPR 2025): hands of many data sets.

The tars stay as they are: a record holds the byte range of its image. What HaMeR leaves out or does not believe (`clean`) is
left out here, counted. Facts that are easily missed: an image may have several hands, each with labels of its own; left hands
are stored as left hands; the box is padded already (its square is HaMeR's crop), so records hold half of it, about the same
centre, which `HandCrop(rescale_factor=2)` brings back; 3D joints are believed relative to the wrist only.
Source: HaMeR `datasets/image_dataset.py`, `configs/datasets_tar.yaml`; WiLoR `configs/dataset_config.yaml`.
"""
from functools import cache, cached_property

import numpy as np
from mmengine.logging import print_log

from hmradapter.registry import SOURCES

from ..formats.hamer import HandFilters, hand_records, tar_name
from ..formats.hamer_tars import hand_samples, sample_key
from ..record import empty_records
from ..store.part import Part, sampled_digest
from ..store.prepared import is_ours
from .source import Expected, Source

PADDED = 2.0  # what `HandCrop` pads by


@SOURCES.register_module()
class HaMeRTarSource(Source):
    """One hand a record, images read where they lie in the tars.

    You will change: data_root, subset.

    Args:
        data_root: a folder with tars, in itself or further down.
        subset: the folder under it whose tars are taken, `freihand-train` say; all of them by default.
        filters: numbers of `hamer.HandFilters` that differ from HaMeR's.
        common: as in `Source`.
    """
    name, title = 'hamer', "HaMeR's training tars"
    licence = 'those of the data sets inside (FreiHAND, InterHand2.6M, ...): research, non-commercial, no redistribution'
    site = 'https://github.com/geopavlakos/hamer ("Training": fetch the training data), https://github.com/rolpotamias/WiLoR'
    splits, gives = ('train',), ('hands',)
    expected = (Expected('**/<number>.tar', 'plain tars of <key>.jpg and <key>.data.pyd'),)

    def __init__(self, data_root, split: str = 'train', subset: str = '', filters: dict | None = None, **common):
        super().__init__(data_root, split, **common)
        self.subset, self.filters = str(subset), HandFilters(**(filters or {}))

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, subset=self.subset, filters=vars(self.filters))

    @cached_property
    def units(self) -> list[str]:
        folder, ours = self.data_root / self.subset, cache(is_ours)  # what was prepared from other data sets may lie below
        tars = [path.relative_to(self.data_root) for path in folder.rglob('*.tar')]
        tars = sorted(tar.as_posix() for tar in tars if not any(ours(self.data_root / part) for part in tar.parents))
        if not tars:
            raise self.missing(folder / '000000.tar')
        return tars

    def fingerprint(self) -> dict:
        return dict(files=sampled_digest(self.data_root, [self.data_root / tar for tar in self.units]))

    def convert(self, unit: str) -> Part:
        path, part = self.data_root / unit, Part(empty_records(0, self.name), [], [])
        part.tars = [unit]
        tar, pieces = tar_name(path, self.data_root), []

        def drop(reason: str, name: str, why: str) -> None:
            part.drop(reason, name.removeprefix(f'{self.data_root}/'))
            if why:
                print_log(why, 'current')
        with open(path, 'rb') as file:
            for sample in hand_samples(file, str(path), self.filters, drop, verify=self.verify_images):
                records = hand_records(sample.hands, self.name, np.tile(sample.size, (len(sample.numbers), 1)), PADDED)
                records['shard'], records['seq'], records['frame'] = 0, self.units.index(unit), len(pieces)
                records['offset'], records['length'] = sample.image.offset, len(sample.image.data)
                records['person'] = sample.numbers
                pieces.append(records)
                part.keys += [sample_key(self.name, tar, sample.key, number) for number in sample.numbers]
        if pieces:
            part.records = np.concatenate(pieces)
        return part
