"""A prepared store of made-up photographs with hands in them, for measuring how fast samples are read."""
from pathlib import Path

import cv2
import numpy as np

from hmradapter.datasets.record import SIDES, empty_records, set_flag
from hmradapter.datasets.store.prepared import PreparedStore
from hmradapter.datasets.store.writer import Part, build_store
from hmradapter.synthetic.backdrop import make_backdrop

NOISE = (5.0, 13.0)     # grey levels, standard deviation before the sensor's colours are mixed: 200 to 300 KB a picture
GAMMA = 2.2
HAND_SIDE = (90, 300)  # px of a tight box's sides
TWO_HANDS = 0.7        # of the pictures


def write_hands(folder: Path, count: int, size: int, quality: int, seed: int = 0) -> PreparedStore:
    """`count` square JPEGs of `size` px in folder/images and the records of one or two labelled hands in each; written once.

    Pictures are rooms and shapes with the noise of a small sensor, as large in bytes as a camera's at this quality.
    """
    def convert(_) -> Part:
        rng = np.random.default_rng(seed)
        paths = [f'images/{number:05d}.jpg' for number in range(count)]
        (folder / 'images').mkdir(parents=True, exist_ok=True)
        for path in paths:
            cv2.imwrite(str(folder / path), photograph(size, rng), [cv2.IMWRITE_JPEG_QUALITY, quality])
        return Part(_records(count, size, rng), [f'made-up/{number:05d}' for number in range(count)], paths)
    about = dict(dataset='none', protocol=dict(count=count, size=size, quality=quality, seed=seed))
    return build_store(folder / 'store', ['pictures'], convert, about, image_root=folder)


def photograph(size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) uint8 BGR."""
    picture = 255 * np.clip(make_backdrop((size, size), rng), 0, 1) ** (1 / GAMMA)
    noise = rng.normal(0, rng.uniform(*NOISE), picture.shape).astype(np.float32)
    return np.clip(np.rint(picture + cv2.GaussianBlur(noise, (0, 0), 0.6)), 0, 255).astype(np.uint8)  # neighbours share colours


def _records(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    records = empty_records(count, 'none')
    records['offset'], records['hw'] = np.arange(count), size
    records['focal'], records['princpt'] = 1.2 * size, size / 2
    side = rng.uniform(*HAND_SIDE, (count, 2, 2))
    center = rng.uniform(0.15 * size, 0.85 * size, (count, 2, 2))
    records['bbox_hand'] = np.concatenate((np.maximum(center - side / 2, 0), np.minimum(center + side / 2, size - 1)), axis=2)
    points = records['bbox_hand'][:, :, None, :2] + rng.random((count, 2, 21, 2)) * side[:, :, None]
    records['hand_kpts2d'] = np.concatenate((points, np.ones((count, 2, 21, 1))), axis=3)
    records['hand_kpts3d'] = np.concatenate((rng.normal(0, 0.05, (count, 2, 21, 3)), np.ones((count, 2, 21, 1))), axis=3)
    for name, spread in (('hand_pose', 0.3), ('hand_global_orient', 1.0), ('hand_betas', 0.5), ('body_pose', 0.3),
                         ('global_orient', 1.0)):
        records[name] = rng.normal(0, spread, records[name].shape)
    for name in ('has_image', 'has_K', 'has_global_orient', 'has_body_pose'):
        set_flag(records, name)
    there = np.stack([np.ones(count, bool), rng.random(count) < TWO_HANDS])
    for side, where in zip(SIDES, there, strict=True):
        for label in ('pose', 'global', 'betas', 'kpts2d', 'kpts3d'):
            set_flag(records, f'has_{side}_hand_{label}', where)
        set_flag(records, f'has_bbox_{side}_hand', where)
    return records
