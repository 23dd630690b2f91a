"""The canonical sample: one fixed row per person or hand in one image, the same for every data set.

Convention: OpenCV camera frame, metres, pixels of the stored image after `rot90`; axis-angle in radians; hand poses absolute.
Axes of 2 for hands are (left, right), never mirrored here. What is invalid is exactly 0 and its flag is off; no NaN anywhere.
Reserved fields are for sources of one's own: none of ours sets them, and nothing here reads them. Images of lenses that distort
would have to be undistorted before they are used; a mixture has its own weights; ARCTIC's `fitting_err` has no known unit.
"""
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

SCHEMA = 'hmradapter.record/1'
SIDES = ('left', 'right')  # the axis of 2 in every hand field
PERSON, HAND = 0, 1
DATASETS = ('none', 'arctic', 'ehf', '3dpw', 'h36m', 'rich', 'bedlam', 'freihand', 'interhand', 'coco_wholebody', 'ubody',
            'agora', 'egobody', 'hamer', 'humandata', 'hamer_eval', 'hmr2_eval')
GENDERS = ('neutral', 'male', 'female')
MODELS = ('none', 'smpl', 'smplh', 'smplx', 'mano')

# Bit i of `flags` is FLAGS[i]. Only append: the numbers are on disk.
FLAGS = (
    'has_image', 'has_K', 'has_extrinsics', 'has_dist', 'has_bbox_body', 'has_bbox_left_hand', 'has_bbox_right_hand',
    'has_bbox_face', 'has_global_orient', 'has_transl', 'has_body_pose', 'has_left_hand_pose', 'has_right_hand_pose',
    'has_left_hand_global',
    'has_right_hand_global', 'has_left_hand_betas', 'has_right_hand_betas', 'has_left_hand_transl', 'has_right_hand_transl',
    'has_jaw', 'has_eyes', 'has_expression', 'has_betas', 'has_kpts2d', 'has_kpts3d', 'has_abs_depth', 'has_left_hand_kpts2d',
    'has_right_hand_kpts2d', 'has_left_hand_kpts3d', 'has_right_hand_kpts3d', 'has_verts', 'has_left_hand_visibility',
    'has_right_hand_visibility')


class Field(NamedTuple):
    """One field of the record: NumPy type, shape, unit, what it means, and the flag that says whether it holds."""
    name: str
    dtype: str
    shape: tuple[int, ...]
    unit: str
    meaning: str
    valid: str = 'always'


FIELDS = (
    Field('flags', '<u8', (), 'bits', 'validity, bit i is FLAGS[i]'),
    Field('offset', '<i8', (), 'bytes', 'start of the image in its tar; row of paths.npy when length is -1', 'has_image'),
    Field('length', '<i8', (), 'bytes', 'of the encoded image; -1: the image is a file of its own', 'has_image'),
    Field('shard', '<i4', (), '', 'number of the image tar, -1 for a file', 'has_image'),
    Field('seq', '<i4', (), '', 'number of the sequence in the manifest\'s list'),
    Field('view', '<i4', (), '', 'camera, as the data set numbers it'),
    Field('frame', '<i4', (), '', 'frame, as the data set numbers its images'),
    Field('person', '<i4', (), '', 'number of the person in the image'),
    Field('hw', '<i4', (2,), 'px', 'height, width of the image after rot90', 'has_image'),
    Field('focal', '<f4', (2,), 'px', 'fx, fy', 'has_K'),
    Field('princpt', '<f4', (2,), 'px', 'cx, cy', 'has_K'),
    Field('cam_R', '<f4', (3, 3), '', 'world to camera rotation', 'has_extrinsics'),
    Field('cam_t', '<f4', (3,), 'm', 'world to camera translation', 'has_extrinsics'),
    Field('dist', '<f4', (8,), '', 'lens distortion in OpenCV\'s order; reserved', 'has_dist'),
    Field('bbox_body', '<f4', (4,), 'px', 'x0, y0, x1, y1, tight, within the image', 'has_bbox_body'),
    Field('bbox_hand', '<f4', (2, 4), 'px', 'x0, y0, x1, y1, tight', 'has_bbox_{side}_hand'),
    Field('bbox_face', '<f4', (4,), 'px', 'x0, y0, x1, y1, tight', 'has_bbox_face'),
    Field('global_orient', '<f4', (3,), 'rad', 'root of the body, camera frame', 'has_global_orient'),
    Field('transl', '<f4', (3,), 'm', 'of the body, camera frame, the rest root joint not included', 'has_transl'),
    Field('body_pose', '<f4', (21, 3), 'rad', 'joints 1-21, relative to their parents', 'has_body_pose'),
    Field('smpl_tail', '<f4', (2, 3), 'rad', 'SMPL\'s joints 22, 23 (hands)', 'has_body_pose'),
    Field('hand_pose', '<f4', (2, 15, 3), 'rad', 'fingers, absolute, MANO\'s order', 'has_{side}_hand_pose'),
    Field('hand_global_orient', '<f4', (2, 3), 'rad', 'root of the MANO hand, camera frame', 'has_{side}_hand_global'),
    Field('hand_betas', '<f4', (2, 10), '', 'MANO shape', 'has_{side}_hand_betas'),
    Field('hand_transl', '<f4', (2, 3), 'm', 'of the MANO hand, camera frame', 'has_{side}_hand_transl'),
    Field('jaw_pose', '<f4', (3,), 'rad', 'relative to the head', 'has_jaw'),
    Field('eye_pose', '<f4', (2, 3), 'rad', 'left and right eye, relative to the head', 'has_eyes'),
    Field('expression', '<f4', (10,), '', 'SMPL-X expression', 'has_expression'),
    Field('betas', '<f4', (16,), '', 'body shape, num_betas of them; a template has none', 'has_betas'),
    Field('kpts2d', '<f4', (144, 3), 'px', 'SMPLX144 with confidence', 'has_kpts2d'),
    Field('kpts3d', '<f4', (144, 4), 'm', 'SMPLX144 with confidence, camera frame', 'has_kpts3d, has_abs_depth'),
    Field('hand_kpts2d', '<f4', (2, 21, 3), 'px', 'HAND21 with confidence', 'has_{side}_hand_kpts2d'),
    Field('hand_kpts3d', '<f4', (2, 21, 4), 'm', 'HAND21 with confidence, camera frame', 'has_{side}_hand_kpts3d'),
    Field('hand_visibility', '<f4', (2,), '', 'fraction of its pixels that nothing hides', 'has_{side}_hand_visibility'),
    Field('verts_row', '<i4', (), '', 'row in verts.npy, -1: none', 'has_verts'),
    Field('fit_error', '<f4', (), 'm', 'of the source\'s fit, 0: unknown; reserved'),
    Field('weight', '<f4', (), '', 'of the sample when sampling, 1; reserved'),
    Field('template', '<i2', (), '', 'row in templates.npy (the person\'s own rest shape), -1: none'),
    Field('dataset', '|u1', (), '', 'number in DATASETS'),
    Field('kind', '|u1', (), '', '0 person, 1 hand'),
    Field('gender', '|u1', (), '', 'number in GENDERS'),
    Field('model', '|u1', (), '', 'number in MODELS'),
    Field('rot90', '|u1', (), '', 'clockwise quarter turns to apply to the stored image'),
    Field('num_betas', '|u1', (), '', 'how many betas the source has'),
    Field('body_pose_valid', '|u1', (21,), '', 'which joints of body_pose are labelled', 'has_body_pose'),
    Field('reserved', '|u1', (3,), '', 'zeros; rows stay 8-byte aligned'),
)
# what numbers the second to last axis of these fields (`structures.joints`; MANO's and SMPL-X's own orders)
JOINT_ORDERS = dict(kpts2d='SMPLX144', kpts3d='SMPLX144', hand_kpts2d='HAND21', hand_kpts3d='HAND21', hand_pose='MANO 1-15',
                    body_pose='SMPL-X 1-21', smpl_tail='SMPL 22-23')
RECORD = np.dtype([(field.name, field.dtype, field.shape) for field in FIELDS])

# What filters need, without touching the records.
INDEX = np.dtype([('flags', '<u8'), ('seq', '<i4'), ('view', '<i4'), ('frame', '<i4'), ('dataset', '|u1'), ('kind', '|u1'),
                  ('reserved', '|u1', (2,))])


def flag_bits(names: Iterable[str]) -> int:
    """The word with the bits of these flags set, e.g. flag_bits(['has_K'])."""
    bits = 0
    for name in names:
        if name not in FLAGS:
            raise ValueError(f'{name!r} is not a flag; they are {", ".join(FLAGS)}.')
        bits |= 1 << FLAGS.index(name)
    return bits


PERSON_VIEW = flag_bits(['has_bbox_body'])  # a row gives a person sample
HAND_VIEW = {side: flag_bits([f'has_bbox_{side}_hand']) for side in SIDES}  # a person row gives a hand sample of this side


def empty_records(count: int, dataset: str, kind: int = PERSON) -> np.ndarray:
    """Rows without any label: zeros, references at -1, weight 1."""
    records = np.zeros(count, RECORD)
    records['dataset'], records['kind'], records['weight'] = DATASETS.index(dataset), kind, 1.0
    for name in ('shard', 'length', 'verts_row', 'template'):
        records[name] = -1
    return records


def set_flag(records: np.ndarray, name: str, where=True) -> None:
    """Raise the flag `name` in the rows where `where` () or (N,) is true."""
    records['flags'] |= np.where(where, np.uint64(flag_bits([name])), np.uint64(0))


def index_of(records: np.ndarray) -> np.ndarray:
    """The compact rows of `records`."""
    index = np.zeros(len(records), INDEX)
    for name in INDEX.names:
        if name != 'reserved':
            index[name] = records[name]
    return index


def check_records(records: np.ndarray) -> None:
    """What must hold for every row: finite everywhere, and boxes with x0 < x1, y0 < y1 where flagged.

    Raises:
        ValueError: names the first field and row.
    """
    for field in FIELDS:
        if field.dtype == '<f4':
            finite = np.isfinite(records[field.name]).all(axis=tuple(range(1, 1 + len(field.shape))))
            if not finite.all():
                raise ValueError(f'record {int(np.argmin(finite))} has a value in {field.name!r} that is not finite: the '
                                 'reader of this data set must drop it or set it to 0 without its flag.')
    for i, side in enumerate(SIDES):
        boxes = records['bbox_hand'][:, i]
        bad = ((records['flags'] & np.uint64(HAND_VIEW[side])) != 0) & ~(boxes[:, 2:] > boxes[:, :2]).all(1)
        if bad.any():
            raise ValueError(f'record {int(np.argmax(bad))} has the empty {side} hand box {boxes[np.argmax(bad)].tolist()}.')


def schema_text() -> str:
    """The table of fields in Markdown, as docs/datasets.md has it."""
    lines = ['| field | shape, type | unit | meaning | valid when |', '|---|---|---|---|---|']
    for field in FIELDS:
        shape = 'x'.join(map(str, field.shape))
        lines.append(f'| `{field.name}` | {shape + " " if shape else ""}{field.dtype[1:]} | {field.unit} | {field.meaning} '
                     f'| {field.valid} |')
    return '\n'.join(lines)
