"""From HumanData's arrays to the fields of records. n rows of a file; pixels, metres and axis-angle of the camera frame."""
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from hmradapter.body_models import SMPLXLayer
from hmradapter.fileio import DamagedFileError, load_object_npy
from hmradapter.geometry import boxes
from hmradapter.geometry.kinematics import chain_product
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from hmradapter.structures.joints import ARM_CHAIN, HAND21_FROM_SMPLX144

from ..finite import finite_rows
from ..labels import MIN_DEPTH
from ..record import GENDERS, MODELS, SIDES, set_flag
from ..store.part import Part
from ..store.rules import PROJECTION_PX, PROJECTION_SHARE
from .finger_convention import hand_means
from .humandata import LARGEST_BETA, HumanData

BETAS, EXPRESSIONS = 16, 10  # that a record holds
PART_BOXES = dict(lhand_bbox_xywh='left_hand', rhand_bbox_xywh='right_hand', face_bbox_xywh='face')
FARTHEST_MESH = 1.0          # metres from a mesh's middle to its pelvis, beyond which it is in another frame


def usable_persons(data: HumanData, rows: np.ndarray, sizes: Tensor, padding: float, part: Part) -> np.ndarray:
    """Which (m,) of these rows (n,) can be used; the others are counted in `part`. sizes (n, 2) of the images as (W, H)."""
    values = [values[rows] for values in data.params.values()]
    if data.points_3d is not None:
        values.append(data.points_3d.take(rows)[:, :144, :3])
    finite = finite_rows(np.zeros((len(rows), 1)), *values)  # a file may have none of them
    kid = data.params.get('betas_extra', np.zeros((data.count, 1)))[rows].any(1)
    shown = _tight(data.boxes['bbox_xywh'][rows], padding, sizes)[2].numpy()
    for i in np.flatnonzero(~finite | kid | ~shown):
        part.drop('not_finite' if not finite[i] else 'kid' if kid[i] else 'person_outside_image', _name(data, rows[i]))
    return np.flatnonzero(finite & ~kid & shown)


def set_persons(records: np.ndarray, data: HumanData, rows: np.ndarray, sizes: Tensor, absolute: bool,
                layer: SMPLXLayer | None, padding: float, part: Part) -> None:
    """Fill the records (n) of these rows, all of them usable; what lacks a label is counted in `part`.

    Args:
        sizes: (n, 2) images as (W, H).
        absolute: what the fingers are; if not, `layer` has the mean hand.
        padding: of the body's boxes.
    """
    records['hw'], records['model'] = sizes.flip(-1).numpy(), MODELS.index(data.body or 'none')
    params = {name: values[rows] for name, values in data.params.items()}
    names = [_name(data, row) for row in rows]
    _set_boxes(records, data, rows, sizes, padding)
    _set_points(records, data, rows)
    _set_camera(records, data, rows, names, part)
    _set_rotations(records, params)
    _set_shape(records, data, rows, params, names, part)
    _set_fingers(records, params, absolute, layer, names, part)


def stored_meshes(part: Part, places: list[Path]) -> list[np.ndarray]:
    """Give the part's records a verts_row where their mesh (V, 3) can be read and lies about their joints, and return them."""
    records, meshes = part.records, []
    for i, path in enumerate(places):
        try:
            mesh = np.asarray(load_object_npy(path), dtype=np.float32)
            if mesh.ndim != 2 or mesh.shape[1:] != (3,) or not np.isfinite(mesh).all():
                raise DamagedFileError(path, 'a mesh', f'it has the shape {mesh.shape} or a value that is not finite')
        except FileNotFoundError:
            part.lacks('missing_mesh', str(path))
            continue
        except (DamagedFileError, TypeError) as error:
            print_log(str(error), 'current')
            part.lacks('damaged_mesh', str(path))
            continue
        pelvis = records['kpts3d'][i, 0]
        if meshes and mesh.shape != meshes[0].shape[1:]:
            part.lacks('mesh_of_other_topology', str(path))
        elif pelvis[3] and np.abs(mesh.mean(0) - pelvis[:3]).max() > FARTHEST_MESH:
            part.lacks('mesh_away_from_joints', str(path))
        else:
            records['verts_row'][i] = len(meshes)
            meshes.append(mesh[None])
    set_flag(records, 'has_verts', records['verts_row'] >= 0)
    return meshes


def _name(data: HumanData, row: int) -> str:
    return f'{data.path.name}, row {row}'


def _tight(stored: np.ndarray, padding: float, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (n, 5) as files have them -> corners (n, 4) without padding, their part within the image, which (n,) are boxes and
    more than a pixel of the image; the others are 0."""
    with np.errstate(invalid='ignore', over='ignore'):
        center, half = stored[:, :2] + stored[:, 2:4] / 2, stored[:, 2:4] / 2 / padding
        tight = torch.from_numpy(np.concatenate((center - half, center + half), axis=1).astype(np.float32))
        usable = torch.from_numpy((stored[:, 4] > 0) & (stored[:, 2:4] > 0).all(1)) & tight.isfinite().all(1)
    tight = torch.where(usable[:, None], tight, 0.0)
    inside = boxes.clip_box(tight, sizes)
    usable &= (inside[:, 2:] - inside[:, :2] > 1).all(1)
    return tight * usable[:, None], inside * usable[:, None], usable


def _set_boxes(records: np.ndarray, data: HumanData, rows: np.ndarray, sizes: Tensor, padding: float) -> None:
    """Boxes of body, hands and face."""
    records['bbox_body'] = _tight(data.boxes['bbox_xywh'][rows], padding, sizes)[1].numpy()
    set_flag(records, 'has_bbox_body')
    targets = dict(left_hand=records['bbox_hand'][:, 0], right_hand=records['bbox_hand'][:, 1], face=records['bbox_face'])
    for name, place in PART_BOXES.items():
        if name in data.boxes:
            tight, _, usable = _tight(data.boxes[name][rows], float(data.misc.get('bbox_facehand_scale') or 1.0), sizes)
            targets[place][:] = tight.numpy()
            set_flag(records, f'has_bbox_{place}', usable.numpy())


def _set_camera(records: np.ndarray, data: HumanData, rows: np.ndarray, names: list[str], part: Part) -> None:
    """The camera, where the file has one that takes 3D joints to 2D ones; joints about their root have none that does."""
    focal, center = data.per_image('focal_length', 2), data.per_image('principal_point', 2)
    if focal is None or center is None:
        return
    focal, center = focal[rows], center[rows]
    known = np.isfinite(focal).all(1) & np.isfinite(center).all(1) & (focal > 0).all(1)
    points, pixels = records['kpts3d'].astype(np.float64), records['kpts2d'].astype(np.float64)
    both = (points[..., 3] > 0) & (pixels[..., 2] > 0)
    depth = np.where(both & (points[..., 2] > MIN_DEPTH), points[..., 2], 1.0)[..., None]
    gaps = np.linalg.norm(points[..., :2] / depth * focal[:, None] + center[:, None] - pixels[..., :2], axis=-1)
    size = (records['bbox_body'][:, 2:] - records['bbox_body'][:, :2]).max(1)
    away, seen = np.zeros(len(records), bool), both.any(1)
    away[seen] = np.nanmedian(np.where(both, gaps, np.nan)[seen], axis=1) > PROJECTION_PX + PROJECTION_SHARE * size[seen]
    for i in np.flatnonzero(known & away):
        part.lacks('camera_away_from_joints', names[i])
    known &= ~away
    records['focal'], records['princpt'] = (np.where(known[:, None], value, 0) for value in (focal, center))
    set_flag(records, 'has_K', known)


def _set_points(records: np.ndarray, data: HumanData, rows: np.ndarray) -> None:
    """Joints of the body and of both hands, 2D and 3D."""
    for name, stored in (('kpts2d', data.points_2d), ('kpts3d', data.points_3d)):
        if stored is None:
            continue
        points = stored.take(rows)[:, :144]
        with np.errstate(over='ignore', invalid='ignore'):
            good = np.isfinite(points.astype(np.float32)).all(-1) & stored.mask[:144]
        confidence = np.where(good, points[..., -1], 0).clip(0, 1)
        if not (stored.stored[..., -1] > 0).any():
            confidence = good.astype(float)  # a file without confidences: its mask says it all
        records[name] = np.where(confidence[..., None] > 0, np.concatenate((points[..., :-1], confidence[..., None]), -1), 0)
        set_flag(records, f'has_{name}', records[name][..., -1].any(1))
        for i, side in enumerate(SIDES):
            records[f'hand_{name}'][:, i] = records[name][:, list(HAND21_FROM_SMPLX144[side])]
            set_flag(records, f'has_{side}_hand_{name}', records[f'hand_{name}'][:, i, :, -1].any(1))
    # joints behind the camera are about a root, whatever misc says
    known = records['kpts3d'][..., 3] > 0
    before = ((records['kpts3d'][..., 2] > MIN_DEPTH) | ~known).all(1) & known.any(1)
    set_flag(records, 'has_abs_depth', before & (not data.misc.get('kps3d_root_aligned', False)))


def _set_rotations(records: np.ndarray, params: dict[str, np.ndarray]) -> None:
    """Rotations of the body and the face, translation, expression: those that the file has."""
    count = len(records)
    eyes = [params[name] for name in ('leye_pose', 'reye_pose') if name in params]
    values = dict(global_orient=params.get('global_orient'), transl=params.get('transl'), jaw_pose=params.get('jaw_pose'),
                  eye_pose=np.stack(eyes, axis=1) if len(eyes) == 2 else None)
    body = params.get('body_pose')
    if body is not None:
        values['body_pose'], records['body_pose_valid'] = body[:, :63].reshape(count, 21, 3), 1
        if body.shape[1] == 69:
            records['smpl_tail'] = body[:, 63:].reshape(count, 2, 3)
    if 'expression' in params:
        values['expression'] = np.zeros((count, EXPRESSIONS))
        values['expression'][:, :params['expression'].shape[1]] = params['expression'][:, :EXPRESSIONS]
    for name, value in values.items():
        if value is not None:
            records[name] = value
            set_flag(records, dict(jaw_pose='has_jaw', eye_pose='has_eyes').get(name, f'has_{name}'))


def _set_shape(records: np.ndarray, data: HumanData, rows: np.ndarray, params: dict[str, np.ndarray], names: list[str],
               part: Part) -> None:
    """Gender and betas; neutral betas go first."""
    neutral = 'betas_neutral' in params
    betas = params.get('betas_neutral', params.get('betas'))
    if not neutral and data.meta.get('gender') is not None:
        records['gender'] = _genders(data)[rows]
    if betas is None:
        return
    failed = (np.abs(betas) > LARGEST_BETA).any(1)
    for i in np.flatnonzero(failed):
        part.lacks('shape_beyond_3', names[i])
    count = min(betas.shape[1], BETAS)
    records['betas'][:, :count], records['num_betas'] = np.where(failed[:, None], 0, betas[:, :count]), count
    set_flag(records, 'has_betas', ~failed & betas.any(1))  # all zero stands for unknown, as in SMPLer-X


def _genders(data: HumanData) -> np.ndarray:
    """(N,) numbers of GENDERS."""
    said = data.meta['gender']
    said = [said] * data.count if isinstance(said, str) else [str(one) for one in said]
    letters = [name[0] for name in GENDERS]
    unknown = sorted({one for one in said if one[:1].lower() not in letters})
    if unknown or len(said) != data.count:
        raise DamagedFileError(data.path, 'HumanData', f"meta['gender'] has {len(said)} entries for {data.count} persons, "
                                                       f'among them {unknown}; they must be one of {GENDERS}')
    return np.array([letters.index(one[0].lower()) for one in said])


def _set_fingers(records: np.ndarray, params: dict[str, np.ndarray], absolute: bool, layer: SMPLXLayer | None,
                 names: list[str], part: Part) -> None:
    """Fingers, absolute, and each hand's orientation as the product of the arm's rotations."""
    for i, side in enumerate(SIDES):
        pose = params.get(f'{side}_hand_pose')
        if pose is not None:
            known = pose.any(1)  # all zero is a placeholder, whatever zero would mean
            for row in np.flatnonzero(~known):
                part.lacks(f'{side}_fingers_all_zero', names[row])
            pose = pose if absolute else pose + hand_means(layer)[i]
            records['hand_pose'][:, i] = np.where(known[:, None], pose, 0).reshape(-1, 15, 3)
            set_flag(records, f'has_{side}_hand_pose', known)
        if 'global_orient' in params and 'body_pose' in params:
            body = torch.from_numpy(np.concatenate((params['global_orient'], params['body_pose'][:, :63]), axis=1))
            turns = axis_angle_to_rotmat(body.unflatten(1, (22, 3)))
            records['hand_global_orient'][:, i] = rotmat_to_axis_angle(chain_product(turns, ARM_CHAIN[side])).numpy()
            set_flag(records, f'has_{side}_hand_global')
