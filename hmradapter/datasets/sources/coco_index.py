"""Where the pieces of a large file in COCO's form lie in it, so that any part can be read without the rest.

The annotations of COCO-WholeBody's `train` are a gigabyte of text, and several times that as Python objects; an index of them
is some megabytes, and travels to worker processes.
"""
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hmradapter.fileio import DamagedFileError, index_coco, json_spans, read_spans

if TYPE_CHECKING:
    from xtcocotools.coco import COCO

FORM = 'annotations in COCO\'s form'
FITS = 'SMPL-X fits by annotation id'


class CocoIndex(NamedTuple):
    """The I images that have annotations, by id, and where they lie; their annotations in the same order, and in that of the
    file where they are of one image. Image i has annotations first[i] .. first[i + 1] - 1. int64."""
    path: Path
    ids: np.ndarray     # (I,)
    images: np.ndarray  # (I, 2) start and end, bytes
    first: np.ndarray   # (I + 1,)
    annotations: np.ndarray  # (A, 2) start and end, bytes

    def read(self, rows: slice) -> 'COCO':
        """These images and their annotations."""
        start, stop, _ = rows.indices(len(self.ids))
        annotations = self.annotations[self.first[start]:self.first[stop]]
        return index_coco(dict(images=read_spans(self.path, self.images[start:stop].tolist(), FORM),
                               annotations=read_spans(self.path, annotations.tolist(), FORM)), self.path)


def index_of_coco(path: Path) -> CocoIndex:
    """One pass over the file.

    Raises:
        DamagedFileError: not COCO's form: no images, one without a name, an annotation without id or image, an image that is
            not listed, an id twice.
    """
    images, annotations, owners = _Listed(), _Listed(), array('q')
    try:
        for place, one, span in json_spans(path, 2, FORM):
            if place[0] == 'images':
                images.add(one, span)
                if not isinstance(one['file_name'], str) or not one['file_name']:
                    raise ValueError(f'the image {one["id"]} has the file_name {one["file_name"]!r}')
            elif place[0] == 'annotations':
                annotations.add(one, span)
                owners.append(one['image_id'])
        return _joined(path, images.arrays('images'), annotations.arrays('annotations'), np.array(owners, np.int64))
    except (KeyError, IndexError, TypeError, OverflowError, ValueError) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(path, FORM, error) from error


def index_of_fits(path: Path) -> dict[str, tuple[int, int]]:
    """Where the fit of each annotation lies in OSX's file; DamagedFileError where it is none of that form."""
    spans = {}
    for place, fit, span in json_spans(path, 1, FITS):
        if not place or not isinstance(fit, dict):
            raise DamagedFileError(path, FITS, f'{place[0] if place else "it"!r} holds a {type(fit).__name__}')
        spans[str(place[0])] = span
    return spans


def read_fits_of(path: Path, spans: dict[str, tuple[int, int]], annotations: Sequence[str]) -> dict[str, dict]:
    """The fits of those annotations that have one."""
    known = [name for name in annotations if name in spans]
    return dict(zip(known, read_spans(path, [spans[name] for name in known], FITS), strict=True))


class _Listed:
    """Ids and places so far, in flat arrays."""

    def __init__(self):
        self.ids, self.spans = array('q'), array('q')

    def add(self, one: dict, span: tuple[int, int]) -> None:
        self.ids.append(one['id'])
        self.spans.extend(span)

    def arrays(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """ids (N,), spans (N, 2)."""
        ids = np.array(self.ids, np.int64)
        if len(np.unique(ids)) != len(ids):
            raise ValueError(f'two {name} have one id')
        return ids, np.array(self.spans, np.int64).reshape(-1, 2)


def _joined(path: Path, images: tuple, annotations: tuple, owners: np.ndarray) -> CocoIndex:
    ids, spans = images
    if not len(ids):
        raise ValueError('it lists no images')
    unknown = np.setdiff1d(owners, ids)
    if len(unknown):
        raise ValueError(f'an annotation is of the image {unknown[0]}, which is not listed')
    order = np.argsort(owners, kind='stable')
    used, first = np.unique(owners[order], return_index=True)
    by_id = np.argsort(ids)
    return CocoIndex(path, used, spans[by_id[np.searchsorted(ids, used, sorter=by_id)]], np.append(first, len(owners)),
                     annotations[1][order])
