"""Rows of a unit, one for each person in each image, before and after they are records: what sources of persons share."""
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import torch

from ..finite import finite_rows
from ..images import image_sizes
from ..labels import View, set_cameras
from ..record import FLAGS, PERSON_VIEW, empty_records, set_flag
from ..store.writer import Part

__all__ = ['clear_flag', 'drop_rows', 'finite_rows', 'intrinsics_of', 'is_rotation', 'keep_records', 'new_records',
           'numbered', 'set_images', 'shown', 'usable_images', 'view_of']


def usable_images(part: Part, root: Path, paths: Sequence[str], verify: bool) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (n,) of the rows with a whole image and the images' sizes (n, 2) as (W, H); `paths` gives each of N rows its
    image, relative to `root`. Every row without is dropped by reason."""
    unique = sorted(set(paths))
    found = dict(zip(unique, image_sizes([root / path for path in unique], verify), strict=True))
    kept = [i for i, path in enumerate(paths) if not isinstance(found[path], str)]
    for path in paths:
        if isinstance(found[path], str):
            part.drop(found[path], path)
    return np.array(kept, int), np.array([found[paths[i]] for i in kept], np.int64).reshape(-1, 2)


def drop_rows(part: Part, reason: str, bad: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Count the rows where `bad` (N,), and return where the others are."""
    for i in np.flatnonzero(bad):
        part.drop(reason, names[i])
    return np.flatnonzero(~bad)


def new_records(part: Part, dataset: str, keys: Sequence[str], paths: Sequence[str], view: View,
                extrinsics: bool = True) -> np.ndarray:
    """Records with images and cameras, as yet without labels; persons of one image share its path."""
    part.records, part.keys = empty_records(len(keys), dataset), list(keys)
    part.paths, part.records['offset'] = numbered(paths)
    set_flag(part.records, 'has_image')
    set_cameras(part.records, view)
    if not extrinsics:
        for name in ('cam_R', 'cam_t'):
            part.records[name] = 0
        clear_flag(part.records, 'has_extrinsics')
    return part.records


def set_images(part: Part, paths: Sequence[str]) -> None:
    """Give each of the part's records its image, for sources that keep images sorted."""
    part.paths, part.records['offset'] = numbered(paths, sorted(set(paths)))
    set_flag(part.records, 'has_image')


def keep_records(part: Part, kept: np.ndarray) -> None:
    """Forget all records but those of the numbers `kept` (n,), and the images that only they showed."""
    paths = [part.paths[offset] for offset in part.records['offset'][kept]]
    part.records, part.keys = part.records[kept], [part.keys[i] for i in kept]
    part.paths, part.records['offset'] = numbered(paths)


def shown(records: np.ndarray) -> np.ndarray:
    """Which records (N,) have a box of the body."""
    return (records['flags'] & np.uint64(PERSON_VIEW)) != 0


def clear_flag(records: np.ndarray, name: str, where: np.ndarray | bool = True) -> None:
    """Lower the flag, everywhere or in the records `where` (N,)."""
    records['flags'] &= np.where(where, ~np.uint64(1 << FLAGS.index(name)), ~np.uint64(0))


def view_of(rotation: np.ndarray, translation: np.ndarray, intrinsics: np.ndarray, sizes: np.ndarray) -> View:
    """Arrays (N, 3, 3), (N, 3), (N, 3, 3), (N, 2) as the cameras of N rows."""
    return View(*(torch.from_numpy(np.array(value)) for value in (rotation, translation, intrinsics, sizes)))


def intrinsics_of(focal: np.ndarray, princpt: np.ndarray) -> np.ndarray:
    """Matrices (N, 3, 3) from fx, fy (N, 2) and cx, cy (N, 2)."""
    K = np.zeros((len(focal), 3, 3))
    K[:, [0, 1], [0, 1]], K[:, :2, 2], K[:, 2, 2] = focal, princpt, 1
    return K


def is_rotation(matrix: np.ndarray) -> bool:
    """Whether (3, 3) turns and does nothing else, to the digits that files keep."""
    return bool(np.isfinite(matrix).all() and np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3)
                and np.linalg.det(matrix) > 0)


def numbered(values: Sequence[Hashable], unique: list | None = None) -> tuple[list, np.ndarray]:
    """The different ones of N values, by default in order of their first row, and the number (N,) of each row's."""
    unique = list(dict.fromkeys(values)) if unique is None else unique
    numbers = {value: number for number, value in enumerate(unique)}
    return unique, np.array([numbers[value] for value in values], np.int64)
