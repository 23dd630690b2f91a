"""From a file of predictions to scores: what `eval_predictions.py` and `compare.py` share. N samples, V vertices."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.evaluation.body_scoring import BodyScorer, score_bodies
from hmradapter.evaluation.dump import (
    BODIES,
    BODY_PARAMETERS,
    HANDS,
    DumpLayout,
    check_dump,
    check_shapes,
    load_arrays,
    sorted_unique,
    with_truth_of,
)
from hmradapter.evaluation.protocols import BodyProtocol, Protocol, get_protocol
from hmradapter.evaluation.scores import Scores
from hmradapter.evaluation.scoring import score
from hmradapter.geometry.rotations import axis_angle_to_rotmat

# Without these a body's mesh is not known; jaw, eyes and expression are at rest where they are not given.
NEEDED_PARAMETERS = ('pred_global_orient', 'pred_body_pose', 'pred_left_hand_pose', 'pred_right_hand_pose', 'pred_betas')
CHUNK = 64  # bodies that are skinned at once


@dataclass
class ScoredFile:
    """Scores of a file, the keys (N,) of its samples, and how many rows were duplicates of others."""
    scores: Scores
    keys: np.ndarray
    dropped: int


def score_file(path: str | Path, protocol: str | None = None, truth: str | Path | None = None,
               body_model_root: str | Path | None = None) -> ScoredFile:
    """Score a dump, or predictions with the truth of another dump.

    Args:
        protocol: name; by default the one that the dump was scored with.
        truth: dump whose truth is used, matched by key.
        body_model_root: folder of body-model files for whole bodies; by default the one that the dump names.

    Raises:
        ValueError, OSError: name the file and what is wrong with it.
    """
    arrays, meta = load_arrays(path)
    true_arrays, true_meta = load_arrays(truth) if truth is not None else (None, {})
    meta = {**true_meta, **meta}
    chosen = get_protocol(protocol or meta.get('protocol_name') or '')
    layout = BODIES if isinstance(chosen, BodyProtocol) else HANDS
    for file, schema in ((path, meta.get('schema', layout.schema)), (truth, true_meta.get('schema', layout.schema))):
        if schema != layout.schema:
            raise ValueError(f'{file} has the schema {schema!r}, but the protocol {chosen.name!r} is for {layout.subject} '
                             f'({layout.schema!r}).')
    root = body_model_root or meta.get('body_model_root')
    if layout is BODIES and root is None:
        raise ValueError(f'{path} does not name the body models that it was scored with: give their folder (--body-models).')
    if true_arrays is not None:
        arrays = with_truth_of(arrays, true_arrays)
    arrays = complete(arrays, str(path), layout, root)
    unique = sorted_unique(arrays)
    scores = _scores(unique, chosen.on(meta.get('run')), root)
    return ScoredFile(scores, unique['key'], len(arrays['key']) - len(unique['key']))


def _scores(arrays: dict[str, np.ndarray], protocol: Protocol, root: str | Path | None) -> Scores:
    if isinstance(protocol, BodyProtocol):
        return score_bodies(arrays, protocol, BodyScorer(protocol, root))
    return score(arrays, protocol)


def complete(arrays: dict[str, np.ndarray], source: str, layout: DumpLayout, root: str | Path | None) -> dict[str, np.ndarray]:
    """Checked arrays of a dump; of whole bodies, rotation vectors become matrices, and parameters alone become vertices."""
    if layout is BODIES and 'key' in arrays:
        arrays = with_matrices(arrays)
        if 'pred_vertices' not in arrays:
            arrays = dict(arrays, pred_vertices=meshes(arrays, source, root))
    check_dump(arrays, source, layout)
    return arrays


def with_matrices(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Predicted rotations of a body as matrices (N, J, 3, 3), from matrices or axis-angle (N, J, 3) or (N, 3 J); (N, 3, 3)
    where there is one joint only. Other shapes stay as they are."""
    changed = dict(arrays)
    for name, shape in BODY_PARAMETERS.items():
        if shape[-2:] == (3, 3) and name in arrays:
            changed[name] = _matrices(np.asarray(arrays[name], np.float32), shape)
    return changed


def _matrices(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    joints = int(np.prod(shape[:-2]))
    if values.shape[1:] in ((joints, 3), (3 * joints,)):
        values = axis_angle_to_rotmat(torch.from_numpy(values).reshape(-1, joints, 3)).numpy()
    return values.reshape(-1, *shape) if values.shape[1:] == (joints, 3, 3) else values


@torch.no_grad()
def meshes(arrays: dict[str, np.ndarray], source: str, root: str | Path) -> np.ndarray:
    """Vertices (N, V, 3) float32 m of the neutral SMPL-X below `root` for predicted parameters, hands absolute."""
    missing = [name for name in NEEDED_PARAMETERS if name not in arrays]
    if missing:
        raise ValueError(f'{source} has neither pred_vertices nor {missing}: give the mesh, or all of '
                         f'{list(NEEDED_PARAMETERS)}.')
    check_shapes(arrays, source, BODIES)
    layer = SMPLXLayer(str(root))
    given = {name: torch.from_numpy(np.asarray(arrays[name], np.float32)) for name in BODY_PARAMETERS if name in arrays}
    parts = []
    for start in range(0, len(arrays['key']), CHUNK):
        part = {name[len('pred_'):]: values[start:start + CHUNK] for name, values in given.items()}
        part = {name: values[:, None] if values.shape[1:] == (3, 3) else values for name, values in part.items()}
        parts.append(layer(**part).vertices.numpy())
    return np.concatenate(parts) if parts else np.zeros((0, len(layer.v_template), 3), np.float32)
