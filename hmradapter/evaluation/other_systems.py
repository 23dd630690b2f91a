"""Other systems' output files as predictions of a dump: SMPLer-X's, HaMeR's and HMR 2.0's. Restricted loading only.

N predictions. What leaves is as everywhere: metres, camera frame, true sides, absolute fingers. Formats: SMPLer-X
`main/inference.py`; HaMeR `hamer/utils/__init__.py`, `eval.py`; 4D-Humans `hmr2/models/hmr2.py`.
"""
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models import MANOLayer, SMPLLayer, SMPLXLayer
from hmradapter.evaluation.dump import BODIES, BODY_PARAMETERS, HANDS, DumpLayout
from hmradapter.evaluation.dump_scoring import meshes, with_matrices
from hmradapter.evaluation.freihand import HO3D_FROM_HAND21
from hmradapter.fileio import load_npz, load_torch
from hmradapter.geometry.mirror import mirror_points, mirror_rotmat
from hmradapter.structures.joints import MANO_TIP_VERTICES

TIPS_OF_HAND21 = (4, 8, 12, 16, 20)
TIP_TOLERANCE = 1e-4  # metres by which the five fingertips may disagree about where the wrist is
_LICENSED_VERTICES = 778


@dataclass
class Imported:
    """Predictions of a system.

    arrays: pred_* of a dump (N, ...). names (N,): images or keys that they belong to, None where only the order tells.
    centers (N, 2): of their boxes, px of the image, to tell persons of one image apart; None where unknown.
    ids (N,): what the system calls its predictions, for a table of keys; by default their names.
    """
    layout: DumpLayout
    arrays: dict[str, np.ndarray]
    names: np.ndarray | None = None
    centers: np.ndarray | None = None
    ids: np.ndarray | None = None


def read_smplerx(folder: str | Path, body_model_root: str | Path) -> Imported:
    """SMPLer-X's folder of smplx/NAME.npz and meta/NAME.json, a person each.

    Its finger poses are residual: the mean hands of the SMPL-X below `body_model_root` are added. transl is the camera's
    translation, added after the body model."""
    folder = Path(folder)
    files = sorted((folder / 'smplx').glob('*.npz'))
    if not files:
        raise FileNotFoundError(f'{folder} has no smplx/*.npz: give the folder that SMPLer-X wrote to, with smplx/ and meta/.')
    persons = [_smplerx_person(path, folder / 'meta' / f'{path.stem}.json') for path in files]
    arrays = {name: np.stack([person[name] for person, _ in persons]) for name in persons[0][0]}
    layer = SMPLXLayer(str(body_model_root))
    for side in ('left', 'right'):
        arrays[f'pred_{side}_hand_pose'] += getattr(layer, f'{side}_hand_mean').reshape(15, 3).numpy()
    arrays = with_matrices(arrays)
    vertices = meshes(dict(arrays, key=np.array([path.stem for path in files])), str(folder), body_model_root)
    metas = [meta for _, meta in persons]
    boxes = np.array([meta['bbox'] for meta in metas], np.float64)
    return Imported(BODIES, dict(arrays, pred_vertices=vertices), np.array([meta['img_path'] for meta in metas]),
                    boxes[:, :2] + boxes[:, 2:4] / 2, ids=np.array([path.stem for path in files]))


def _smplerx_person(path: Path, meta_path: Path) -> tuple[dict[str, np.ndarray], dict]:
    stored = load_npz(path)
    arrays = {}
    for name, shape in BODY_PARAMETERS.items():
        own = name[len('pred_'):]
        if own not in stored:
            raise ValueError(f'{path} lacks {own!r} and has {sorted(stored)}: SMPLer-X writes all of '
                             f'{[name[len("pred_"):] for name in BODY_PARAMETERS]}.')
        joints = (-1, 3) if shape[-2:] == (3, 3) else (-1,)
        arrays[name] = np.asarray(stored[own], np.float32).reshape(joints)
    if not meta_path.is_file():
        raise FileNotFoundError(f'{meta_path} is not there; {path} needs it for its image, box and camera.')
    meta = json.loads(meta_path.read_text())
    missing = [name for name in ('focal', 'princpt', 'bbox', 'img_path') if name not in meta]
    if missing:
        raise ValueError(f'{meta_path} lacks {missing} and has {sorted(meta)}.')
    arrays.update(pred_cam_t=np.asarray(stored['transl'], np.float32).reshape(3),
                  **{f'pred_{name}': np.asarray(meta[name], np.float32) for name in ('focal', 'princpt')})
    return arrays, meta


def read_hamer(paths: Sequence[str | Path]) -> Imported:
    """HaMeR's (and WiLoR's) forward outputs, a .npz or .pt of a batch each: pred_vertices (N, V, 3), pred_keypoints_3d
    (N, 21, 3), pred_mano_params, and `right` (N,) of the batch, which says what has to be mirrored back."""
    stored = _stacked(paths)
    _require(stored, ('pred_vertices', 'pred_keypoints_3d', 'right'), paths)
    arrays = dict(pred_vertices=stored['pred_vertices'], pred_keypoints_3d=stored['pred_keypoints_3d'][:, :21])
    for name, own in (('global_orient', 'pred_global_orient'), ('hand_pose', 'pred_hand_pose'), ('betas', 'pred_betas')):
        if f'pred_mano_params.{name}' in stored:
            arrays[own] = stored[f'pred_mano_params.{name}']
    if 'pred_global_orient' in arrays:
        arrays['pred_global_orient'] = arrays['pred_global_orient'].reshape(-1, 3, 3)
    return Imported(HANDS, unmirrored(arrays, stored['right'].reshape(-1) > 0), _names(stored))


def read_server_json(path: str | Path, is_right: np.ndarray, order: str = 'freihand',
                     mano: str | Path | None = None) -> Imported:
    """The file that HaMeR's `eval.py` writes for FreiHAND's and HO3D's servers: [joints (N, 21, 3), vertices (N, V, 3)].

    Joints are relative to the wrist and vertices are not; where the wrist is, the fingertips tell, which are vertices.
    is_right (N,) comes from the data set. mano: MANO_RIGHT or its folder, where the mesh is not the licensed one."""
    content = json.loads(Path(path).read_text())
    if not isinstance(content, list) or len(content) != 2 or len(content[0]) != len(content[1]) or not content[0]:
        raise ValueError(f'{path} should hold [joints, vertices], two lists of the same length.')
    joints, vertices = (np.asarray(part, np.float32) for part in content)
    if len(joints) != len(is_right):
        raise ValueError(f'{path} has {len(joints)} hands, but the truth has {len(is_right)}: they are matched by their order.')
    if order == 'ho3d':
        joints = joints[:, np.argsort(HO3D_FROM_HAND21)]
    elif order != 'freihand':
        raise ValueError(f"order is {order!r}; joints are in the order of 'freihand' or 'ho3d'.")
    wrists = vertices[:, _tips(path, vertices.shape[1], mano)] - joints[:, TIPS_OF_HAND21]  # five opinions (N, 5, 3)
    spread = np.abs(wrists - wrists.mean(1, keepdims=True)).max()
    if spread > TIP_TOLERANCE:
        raise ValueError(f'{path}: joints and vertices disagree about where the wrist is by {spread:.4f} m: the joints of the '
                         f'fingertips are no vertices of this model, or are in another order than {order!r}.')
    arrays = dict(pred_vertices=vertices, pred_keypoints_3d=joints + wrists.mean(1, keepdims=True))
    return Imported(HANDS, unmirrored(arrays, is_right))


def _tips(path, vertices: int, mano: str | Path | None) -> list[int]:
    tips = list(MANO_TIP_VERTICES) if mano is None else MANOLayer(str(mano)).tip_ids.tolist()
    if (mano is None and vertices != _LICENSED_VERTICES) or max(tips) >= vertices:
        raise ValueError(f'{path} has meshes of {vertices} vertices, not those of MANO ({_LICENSED_VERTICES}): give the body '
                         'models that they are of.')
    return tips


def read_hmr2(paths: Sequence[str | Path], body_model_root: str | Path | None = None) -> Imported:
    """HMR 2.0's forward outputs, a .npz or .pt of a batch each: pred_vertices (N, 6890, 3) of SMPL, or pred_smpl_params
    (global_orient (N, 1, 3, 3), body_pose (N, 23, 3, 3), betas (N, 10)), for which `body_model_root` has smpl/SMPL_NEUTRAL.pkl.
    A mesh of SMPL is scored under a protocol of that topology (3dpw)."""
    stored = _stacked(paths)
    if 'pred_vertices' not in stored:
        names = [f'pred_smpl_params.{name}' for name in ('global_orient', 'body_pose', 'betas')]
        _require(stored, names, paths, 'pred_vertices or ')
        if body_model_root is None:
            raise ValueError(f'{paths[0]} has no pred_vertices: give the folder of the body models, to make them.')
        with torch.no_grad():
            layer = SMPLLayer(str(body_model_root))
            stored['pred_vertices'] = layer(*(torch.from_numpy(stored[name]) for name in names)).vertices.numpy()
    arrays = {name: stored[name] for name in ('pred_vertices', 'pred_cam_t') if name in stored}
    return Imported(BODIES, arrays, _names(stored))


def unmirrored(arrays: dict[str, np.ndarray], is_right: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs of a right-hand model as hands of their true sides."""
    found = {}
    for name, values in arrays.items():
        values = torch.from_numpy(np.asarray(values, np.float32))
        turn = dict(pred_vertices=mirror_points, pred_keypoints_3d=mirror_points, pred_global_orient=mirror_rotmat,
                    pred_hand_pose=mirror_rotmat).get(name)
        right = torch.from_numpy(np.asarray(is_right, bool)).reshape(-1, *[1] * (values.ndim - 1))
        found[name] = (values if turn is None else torch.where(right, values, turn(values))).numpy()
    return found


def _stacked(paths: Sequence[str | Path]) -> dict[str, np.ndarray]:
    """Arrays of all files one after the other; nested dicts become 'outer.inner'."""
    parts = [dict(_flat(load_npz(path) if Path(path).suffix == '.npz' else load_torch(path))) for path in paths]
    if not parts:
        raise ValueError('no file of predictions was given.')
    for path, part in zip(paths, parts, strict=True):
        if part.keys() != parts[0].keys():
            raise ValueError(f'{path} and {paths[0]} differ: only one of them has {sorted(part.keys() ^ parts[0].keys())}.')
    joined = {name: [part[name] for part in parts] for name in parts[0]}
    return {name: np.concatenate(values) for name, values in joined.items() if all(np.ndim(value) for value in values)}


def _flat(content, prefix: str = ''):
    if not isinstance(content, dict):
        raise ValueError(f'a file of predictions should hold a dict of arrays, but it holds a {type(content).__name__}.')
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}{name}.')
        else:
            array = np.asarray(value.detach().cpu().float() if isinstance(value, torch.Tensor) else value)
            yield f'{prefix}{name}', array.astype(np.float32) if array.dtype.kind == 'f' else array


def _require(stored: dict, names: Sequence[str], paths: Sequence, instead: str = '') -> None:
    missing = [name for name in names if name not in stored]
    if missing:
        raise ValueError(f'{paths[0]} lacks {instead}{missing} and has {sorted(stored)}.')


def _names(stored: dict[str, np.ndarray]) -> np.ndarray | None:
    found = next((stored[name] for name in ('key', 'imgname', 'img_path') if name in stored), None)
    return None if found is None else np.array([x.decode() if isinstance(x, bytes) else str(x) for x in found.tolist()])
