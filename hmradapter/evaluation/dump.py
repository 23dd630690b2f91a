"""Predictions and truth of an evaluation as arrays, in memory and as one .npz. Fields: docs/evaluation.md.

N samples, V vertices of the predicted mesh, W of the true one. Metres, camera frame, float32; hands are on their true side.
"""
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmradapter.fileio import atomic_write, load_npz


@dataclass(frozen=True)
class DumpLayout:
    """What a dump holds: the trailing shape of each array after N. 'V' and 'W' are whatever the meshes have."""
    schema: str
    subject: str
    required: dict[str, tuple]
    optional: dict[str, tuple]


HANDS = DumpLayout(
    'hmradapter.hand_dump/1', 'hands',
    required={'sample_idx': (), 'key': (), 'is_right': (), 'pred_vertices': ('V', 3), 'pred_keypoints_3d': (21, 3),
              'true_vertices': ('V', 3), 'true_keypoints_3d': (21, 3), 'has_mesh': (), 'has_joints': ()},
    optional={'pred_global_orient': (3, 3), 'pred_hand_pose': (15, 3, 3), 'pred_betas': (10,), 'pred_cam': (3,),
              'true_global_orient': (3, 3), 'has_orient': (), 'true_joint_conf': (21,), 'img_path': (), 'visibility': ()})
BODY_PARAMETERS = {'pred_global_orient': (3, 3), 'pred_body_pose': (21, 3, 3), 'pred_left_hand_pose': (15, 3, 3),
                   'pred_right_hand_pose': (15, 3, 3), 'pred_jaw_pose': (3, 3), 'pred_leye_pose': (3, 3),
                   'pred_reye_pose': (3, 3), 'pred_betas': (10,), 'pred_expression': (10,)}
BODIES = DumpLayout(
    'hmradapter.body_dump/1', 'persons',
    required={'sample_idx': (), 'key': (), 'pred_vertices': ('V', 3), 'true_vertices': ('W', 3), 'has_mesh': ()},
    optional=BODY_PARAMETERS | {
        'pred_cam_t': (3,), 'pred_focal': (2,), 'pred_princpt': (2,), 'true_global_orient': (3, 3),
        'true_body_pose': (21, 3, 3), 'has_arm_pose': (2,), 'focal': (2,), 'princpt': (2,), 'img_size': (2,),
        'box_center': (2,), 'box_size': (2,), 'img_path': (), 'visibility': ()})
LAYOUTS = {layout.schema: layout for layout in (HANDS, BODIES)}


def sorted_unique(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows in the order of (sample_idx, key), each such pair once: undoes what padding and several processes leave behind."""
    if not len(arrays['sample_idx']):
        return arrays
    pairs = np.array(list(zip(arrays['sample_idx'].tolist(), arrays['key'].tolist(), strict=True)),
                     dtype=[('sample_idx', np.int64), ('key', arrays['key'].dtype)])
    _, first = np.unique(pairs, return_index=True)
    return {name: values[first] for name, values in arrays.items()}


def concatenate(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Parts of several batches or processes, one after the other; empty parts are skipped."""
    parts = [part for part in parts if part]
    if not parts:
        return {}
    for part in parts[1:]:
        if part.keys() != parts[0].keys():
            raise ValueError(f'parts of one evaluation differ: only one of them has {sorted(part.keys() ^ parts[0].keys())}; '
                             'every sample needs the same fields, with validity flags for what is missing.')
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def check_dump(arrays: dict[str, np.ndarray], source: str, layout: DumpLayout = HANDS) -> None:
    """ValueError naming the first array that is missing, misshapen or not finite where it has to be."""
    missing = [name for name in layout.required if name not in arrays]
    if missing:
        raise ValueError(f'{source} lacks {missing}: a dump of {layout.subject} holds at least {list(layout.required)} '
                         '(docs/evaluation.md).')
    check_shapes(arrays, source, layout)
    for name, values in arrays.items():
        if name.startswith('pred_') and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise ValueError(f'{source}: {name} of sample {arrays["key"][row]!r} is not finite; a number computed from it '
                             'would be meaningless.')


def check_shapes(arrays: dict[str, np.ndarray], source: str, layout: DumpLayout) -> None:
    """ValueError for an array of the layout whose shape is another."""
    count = len(arrays['key'])
    sizes = {'V': arrays.get('pred_vertices'), 'W': arrays.get('true_vertices')}
    sizes = {size: values.shape[1] for size, values in sizes.items() if values is not None and values.ndim > 1}
    for name, shape in (layout.required | layout.optional).items():
        if name in arrays:
            expected = (count, *(sizes.get(size, size) for size in shape))
            if arrays[name].shape != expected:
                raise ValueError(f'{source}: {name} has shape {arrays[name].shape}, expected {expected} (N, ...).')


def save_dump(path: str | Path, arrays: dict[str, np.ndarray], meta: dict, layout: DumpLayout = HANDS) -> None:
    """Write arrays and `meta` (a JSON text inside the file) atomically. Uncompressed: vertices do not compress."""
    with atomic_write(path) as file:
        np.savez(file, meta=np.array(json.dumps(dict(meta, schema=layout.schema))), **arrays)


def load_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict]:
    """(arrays, meta) of an .npz; only its schema is checked. Nothing in the file is run."""
    arrays = dict(load_npz(path))
    meta = json.loads(str(arrays.pop('meta', '{}')))
    if meta.get('schema', HANDS.schema) not in LAYOUTS:
        raise ValueError(f'{path} has the schema {meta["schema"]!r}; this version reads {sorted(LAYOUTS)}.')
    return arrays, meta


def load_dump(path: str | Path) -> tuple[dict[str, np.ndarray], dict]:
    """(arrays, meta) of a complete dump, checked."""
    arrays, meta = load_arrays(path)
    check_dump(arrays, str(path), LAYOUTS[meta.get('schema', HANDS.schema)])
    return arrays, meta


def with_truth_of(arrays: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Predictions of `arrays` with the truth of `other`, matched by key. ValueError names a key that has no truth."""
    if 'key' not in arrays:
        raise ValueError('the predictions have no `key`, by which they would be matched to the truth.')
    rows = {key: row for row, key in enumerate(other['key'].tolist())}
    absent = [key for key in arrays['key'].tolist() if key not in rows]
    if absent:
        raise ValueError(f'{len(absent)} predictions have no truth, the first is {absent[0]!r}: both files need the same keys.')
    order = np.array([rows[key] for key in arrays['key'].tolist()], dtype=np.int64)
    own = {name: values for name, values in arrays.items() if name.startswith('pred_')}
    truth = {name: values for name, values in other.items() if not name.startswith(('pred_', 'error_'))}
    return own | {name: values[order] for name, values in truth.items()}
