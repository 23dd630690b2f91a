"""The rules that every record keeps, each as which of many records break it."""
from collections.abc import Iterator

import numpy as np

from .. import record as R
from .prepared import PreparedStore

PROJECTION_PX, PROJECTION_SHARE = 2.0, 0.02        # tolerated gap between 2D and projected 3D: pixels, and share of the box
KNOWN_FLAGS = R.flag_bits(R.FLAGS)
RANGES = dict(gender=len(R.GENDERS), model=len(R.MODELS), kind=R.HAND + 1, rot90=4, num_betas=17, body_pose_valid=2)
PERSON_POINTS, HAND_POINTS = ('kpts2d', 'kpts3d'), ('hand_kpts2d', 'hand_kpts3d')


def broken_rules(store: PreparedStore, records: np.ndarray, index: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Field, rule as it is broken, and which records (n,) break it; `index` is theirs."""
    flags = records['flags']
    yield 'flags', 'has bits without a name', (flags & ~np.uint64(KNOWN_FLAGS)) != 0
    yield 'index.npy', 'differs from the record', R.index_of(records) != index
    for field in R.FIELDS:
        if field.dtype == '<f4':
            yield field.name, 'is not finite', ~_each(np.isfinite(records[field.name]))
        if field.valid != 'always':
            yield from _not_zero(records, field.name, field.valid)
    yield from _numbers(store, records)
    yield from _boxes(records, flags)
    yield 'focal', 'is not positive', _has(flags, 'has_K') & ~(records['focal'] > 0).all(1)
    turn = records['cam_R'].astype(np.float64)
    right = (np.abs(turn @ turn.swapaxes(1, 2) - np.eye(3)).max((1, 2)) < 1e-3) & (np.linalg.det(turn) > 0)
    yield 'cam_R', 'is no rotation', _has(flags, 'has_extrinsics') & ~right
    yield from _points(records, flags)
    size = np.maximum(records['bbox_body'][:, 2:] - records['bbox_body'][:, :2], 0).max(1)
    yield 'kpts2d', 'is away from the projected kpts3d', _gap(records, *PERSON_POINTS, flags, '', np.s_[:], size)
    for i, side in enumerate(R.SIDES):
        size = np.maximum(records['bbox_hand'][:, i, 2:] - records['bbox_hand'][:, i, :2], 0).max(1)
        away = _gap(records, *HAND_POINTS, flags, f'{side}_hand_', np.s_[:, i], size)
        yield f'hand_kpts2d ({side})', 'is away from the projected hand_kpts3d', away


def _each(values: np.ndarray) -> np.ndarray:
    """Whether all of each record's values are true, (n,)."""
    return values.reshape(len(values), -1).all(1)


def _has(flags: np.ndarray, *names: str) -> np.ndarray:
    bits = np.uint64(R.flag_bits(names))
    return (flags & bits) == bits


def _not_zero(records: np.ndarray, name: str, valid: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """What is not valid is as `empty_records` leaves it."""
    empty = R.empty_records(1, 'none')[name][0]
    if '{side}' in valid:
        for i, side in enumerate(R.SIDES):
            off = ~_has(records['flags'], valid.format(side=side))
            yield f'{name} ({side})', 'is not 0 without its flag', off & ~_each(records[name][:, i] == empty[i])
    else:
        yield name, 'is not 0 without its flag', ~_has(records['flags'], valid.split(', ')[0]) & ~_each(records[name] == empty)


def _numbers(store: PreparedStore, records: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Numbers that stand for something: within their tables."""
    for name, end in RANGES.items():
        yield name, f'is not below {end}', ~_each(records[name] < end)
    yield 'dataset', 'is another than the store\'s', records['dataset'] != R.DATASETS.index(store.manifest['dataset'])
    yield 'reserved', 'is not 0', records['reserved'].any(1)
    yield 'weight', 'is negative', records['weight'] < 0
    spare = np.arange(records['betas'].shape[1]) >= records['num_betas'][:, None]
    yield 'betas', 'has more than num_betas', (spare & (records['betas'] != 0)).any(1)
    meshes = store.manifest['meshes'][0] if store.manifest['meshes'] else 0
    yield 'verts_row', 'leads nowhere', (records['verts_row'] < -1) | (records['verts_row'] >= meshes)
    templates = store.num_templates
    yield 'template', 'leads nowhere', (records['template'] < -1) | (records['template'] >= templates)
    shown, alone = _has(records['flags'], 'has_image'), records['length'] == -1
    paths, tars = store.table_sizes()
    end, row = np.where(alone, paths, 2 ** 62), np.where(alone, -1, records['shard'])
    yield 'offset', 'leads nowhere', shown & ((records['offset'] < 0) | (records['offset'] >= end))
    yield 'shard', 'leads nowhere', shown & ((records['shard'] != row) | ((row < 0) & ~alone) | (row >= tars))
    yield 'length', 'is no length', shown & ~alone & (records['length'] < 1)
    yield 'hw', 'is no size', shown & ~(records['hw'] > 0).all(1)


def _boxes(records: np.ndarray, flags: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Boxes have an area, some of it within the image."""
    size = records['hw'][:, ::-1]
    for label, flag, box in (('bbox_body', 'has_bbox_body', records['bbox_body']),
                             ('bbox_face', 'has_bbox_face', records['bbox_face']),
                             *((f'bbox_hand ({side})', f'has_bbox_{side}_hand', records['bbox_hand'][:, i])
                               for i, side in enumerate(R.SIDES))):
        has = _has(flags, flag)
        yield label, 'is empty', has & ~(box[:, 2:] > box[:, :2]).all(1)
        outside = ~((box[:, 2:] > 0).all(1) & (box[:, :2] < size).all(1))
        yield label, 'lies outside the image', has & _has(flags, 'has_image') & outside


def _points(records: np.ndarray, flags: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Joints without confidence are 0; a flag means that some joint has confidence."""
    for name in PERSON_POINTS + HAND_POINTS:
        confidence = records[name][..., -1]
        yield name, 'has a joint that is not 0 with confidence 0', ~_each((confidence != 0) | ~records[name].any(-1))
        yield name, 'has a negative confidence', ~_each(confidence >= 0)
    for name in PERSON_POINTS:
        yield name, 'has a flag but no joint', _has(flags, f'has_{name}') & ~(records[name][..., -1] > 0).any(1)


def _gap(records: np.ndarray, name2d: str, name3d: str, flags: np.ndarray, tag: str, at, size: np.ndarray) -> np.ndarray:
    """Which records (n,) have 2D joints that are, by their median, away from their projected 3D joints. `size` (n,) px is the
    box's longer side."""
    rows = np.flatnonzero(_has(flags, 'has_K', f'has_{tag}kpts2d', f'has_{tag}kpts3d', *([] if tag else ['has_abs_depth'])))
    bad = np.zeros(len(records), bool)
    if len(rows):
        points, pixels = records[name3d][at][rows].astype(np.float64), records[name2d][at][rows].astype(np.float64)
        both = (points[..., 3] > 0) & (pixels[..., 2] > 0) & (points[..., 2] > 0)
        seen = points[..., :2] / np.where(both, points[..., 2], 1)[..., None]
        seen = _distorted(seen, records['dist'][rows].astype(np.float64)[:, None])
        shown = seen * records['focal'][rows][:, None] + records['princpt'][rows][:, None]
        gap = np.where(both, np.linalg.norm(shown - pixels[..., :2], axis=-1), np.nan)
        known = both.any(1)
        with np.errstate(all='ignore'):
            median = np.nanmedian(gap[known], axis=1)
        bad[rows[known]] = ~(median <= PROJECTION_PX + PROJECTION_SHARE * size[rows[known]])
    return bad


def _distorted(xy: np.ndarray, dist: np.ndarray) -> np.ndarray:
    """Points (n, J, 2) of the plane z = 1 through a lens with k1, k2, p1, p2, k3, k4, k5, k6 (n, 1, 8), OpenCV's model."""
    x, y = xy[..., 0], xy[..., 1]
    k1, k2, p1, p2, k3, k4, k5, k6 = np.moveaxis(dist, -1, 0)
    r = x * x + y * y
    stretch = (1 + r * (k1 + r * (k2 + r * k3))) / (1 + r * (k4 + r * (k5 + r * k6)))
    return np.stack((x * stretch + 2 * p1 * x * y + p2 * (r + 2 * x * x),
                     y * stretch + p1 * (r + 2 * y * y) + 2 * p2 * x * y), axis=-1)
