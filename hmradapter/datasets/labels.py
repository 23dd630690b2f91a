"""From points and parameters in a source's frame to the fields of records: what converters share.
N records, J joints; R (N, 3, 3), t (N, 3) lead from the source's frame to the camera, K (N, 3, 3), float64 tensors."""
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hmradapter.geometry import boxes, cameras, kinematics
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle

from .record import SIDES, set_flag

MIN_DEPTH = 0.05   # metres; what is nearer, or behind the camera, is not projected
MIN_INSIDE = 3     # joints inside the image that make a box valid (ARCTIC's rule, data set docs)
BODY_FLAGS = dict(jaw_pose='has_jaw', eye_pose='has_eyes')
FACE = slice(76, 144)  # landmarks of the face in SMPLX144


class View(NamedTuple):
    """The cameras of N records: R, t, K and image sizes (N, 2) as (W, H)."""
    rotation: Tensor
    translation: Tensor
    intrinsics: Tensor
    img_size: Tensor


def set_cameras(records: np.ndarray, view: View, world: bool = True) -> None:
    """Image size, intrinsics and extrinsics of the records; without the latter where the source knows no `world`."""
    records['hw'] = view.img_size.flip(-1).numpy()
    records['focal'] = torch.stack((view.intrinsics[:, 0, 0], view.intrinsics[:, 1, 1]), dim=-1).numpy()
    records['princpt'] = view.intrinsics[:, :2, 2].numpy()
    set_flag(records, 'has_K')
    if world:
        records['cam_R'], records['cam_t'] = view.rotation.numpy(), view.translation.numpy()
        set_flag(records, 'has_extrinsics')


def set_hand(records: np.ndarray, side: str, pose: Tensor, orient: Tensor, transl: Tensor, betas: Tensor, root: Tensor,
             points: Tensor, view: View) -> Tensor:
    """Labels of one hand of every record from a MANO hand in the source's frame.

    Args:
        pose: (N, 15, 3) axis-angle, absolute.
        orient, transl, betas: (N, 3), (N, 3), (N, 10) in the source's frame; root: (N, 3) rest wrist for these betas.
        points: (N, 21, 3) HAND21 in the source's frame, metres.

    Returns:
        (N,) bool: which hands have a box. A hand with a value that is not finite gets nothing at all.
    """
    # as float32, which the records hold: a damaged file may well say 1e200
    finite = torch.stack([value.float().flatten(1).isfinite().all(1) for value in (pose, orient, transl, betas, points)]).all(0)
    pose, orient, transl, betas, points = (torch.where(finite.view(-1, *[1] * (value.ndim - 1)), value, 0.0)
                                           for value in (pose, orient, transl, betas, points))
    set_mano(records, side, pose, orient, transl, betas, root, finite, view)
    return set_hand_points(records, side, points, finite, view)


def set_mano(records: np.ndarray, side: str, pose: Tensor, orient: Tensor, transl: Tensor, betas: Tensor, root: Tensor,
             valid: Tensor, view: View) -> None:
    """Parameters of one hand of every record, as in `set_hand`; a hand that is not valid (N,) gets none."""
    turned, moved = kinematics.move_root(axis_angle_to_rotmat(orient), transl, root, view.rotation, view.translation)
    values = dict(hand_pose=pose, hand_global_orient=rotmat_to_axis_angle(turned), hand_betas=betas, hand_transl=moved)
    for name, value in values.items():
        records[name][:, SIDES.index(side)] = torch.where(valid.view(-1, *[1] * (value.ndim - 1)), value, 0.0).numpy()
    for name in ('pose', 'global', 'betas', 'transl'):
        set_flag(records, f'has_{side}_hand_{name}', valid.numpy())


def set_hand_points(records: np.ndarray, side: str, points: Tensor, known: Tensor, view: View,
                    in_3d: Tensor | None = None) -> Tensor:
    """Keypoints and box of one hand of every record from points (N, 21, 3), HAND21 in the source's frame, metres, of which
    those `known`, (N,) whole hands or (N, 21) joints, count; `in_3d` (N,) says whose 3D does, too, all by default. Returns (N,)
    which hands have a box."""
    return _set_points(records, points, known, view, ('hand_kpts2d', 'hand_kpts3d', 'bbox_hand'), f'{side}_hand',
                       SIDES.index(side), in_3d)


def set_hand_of_body(records: np.ndarray, side: str, pose: Tensor, orient: Tensor, points: Tensor, valid: Tensor,
                     view: View) -> Tensor:
    """Labels of one hand of every record from the body that it belongs to; it has no MANO shape and no MANO translation.

    Args:
        pose: (N, 15, 3) axis-angle, absolute; orient: (N, 3, 3) the hand's global orientation in the camera frame.
        points: (N, 21, 3) HAND21 in the source's frame, metres; valid: (N,), a hand without gets nothing.

    Returns:
        (N,) bool: which hands have a box.
    """
    i = SIDES.index(side)
    records['hand_pose'][:, i] = torch.where(valid.view(-1, 1, 1), pose, 0.0).numpy()
    records['hand_global_orient'][:, i] = torch.where(valid[:, None], rotmat_to_axis_angle(orient), 0.0).numpy()
    for name in ('pose', 'global'):
        set_flag(records, f'has_{side}_hand_{name}', valid.numpy())
    return set_hand_points(records, side, torch.where(valid.view(-1, 1, 1), points, 0.0), valid, view)


def set_body(records: np.ndarray, params: dict[str, Tensor], root: Tensor, points: Tensor, valid: Tensor,
             view: View) -> Tensor:
    """Labels of every record's body from SMPL-X's parameters in the source's frame; rows where `valid` is false stay empty.

    Args:
        params: global_orient, transl, jaw_pose, leye_pose, reye_pose (N, 3) and body_pose (N, 63), axis-angle, metres; jaw and
            eyes may be missing (SMPL); expression (N, 10) where it is known.
        valid: (N,); root: (N, 3) rest pelvis; points: (N, J, 3) the first J of SMPLX144 in the source's frame.

    Returns:
        (N,) bool: which bodies have a box. It is the part within the image: SMPLer-X's rule for crops moves a box that begins
        left of or above the image inside as a whole, away from the person.
    """
    params = {name: torch.where(valid[:, None], value, 0.0) for name, value in params.items()}
    points = torch.where(valid[:, None, None], points, 0.0)
    turned, moved = kinematics.move_root(axis_angle_to_rotmat(params['global_orient']), params['transl'], root, view.rotation,
                                         view.translation)
    values = dict(global_orient=rotmat_to_axis_angle(turned), transl=moved,
                  body_pose=params['body_pose'].unflatten(-1, (21, 3)))
    if 'jaw_pose' in params:
        values['jaw_pose'], values['eye_pose'] = params['jaw_pose'], torch.stack((params['leye_pose'], params['reye_pose']), 1)
    if 'expression' in params:
        values['expression'] = params['expression']
    for name, value in values.items():
        records[name] = torch.where(valid.view(-1, *[1] * (value.ndim - 1)), value, 0.0).numpy()
        set_flag(records, BODY_FLAGS.get(name, f'has_{name}'), valid.numpy())
    records['body_pose_valid'] = valid[:, None].numpy()
    set_flag(records, 'has_abs_depth', valid.numpy())
    boxed = _set_points(records, points, valid, view, ('kpts2d', 'kpts3d', 'bbox_body'), '', np.s_[:])
    records['bbox_body'] = boxes.clip_box(torch.from_numpy(records['bbox_body']), view.img_size).numpy()
    face = torch.from_numpy(records['kpts2d'][:, FACE])
    box, shown = tight_boxes(face[..., :2].double(), face[..., 2] > 0, view)
    records['bbox_face'] = box.numpy()
    set_flag(records, 'has_bbox_face', shown.numpy())
    return boxed


def set_meshes(records: np.ndarray, has_mesh: np.ndarray, meshes: np.ndarray, rows: np.ndarray, view: View,
               chunk: int = 64) -> Iterator[np.ndarray]:
    """Give the records with `has_mesh` (N,) a verts_row, and return what `store.part.Part.vertices` wants: their meshes in
    the camera frame (n, V, 3) float32, a few at a time. Record i shows meshes[rows[i]] of (F, V, 3), metres, source's frame."""
    records['verts_row'] = np.where(has_mesh, np.cumsum(has_mesh) - 1, -1)
    set_flag(records, 'has_verts', has_mesh)
    chosen = np.flatnonzero(has_mesh)
    pieces = (chosen[start:start + chunk] for start in range(0, len(chosen), chunk))
    return (cameras.transform_points(torch.from_numpy(meshes[rows[i]]).double(), view.rotation[i],
                                     view.translation[i]).float().numpy() for i in pieces)


def set_visibility(records: np.ndarray, visible: dict[str, np.ndarray]) -> None:
    """Share of each hand's pixels in sight, {'left', 'right'}: (N,); NaN where it is not known."""
    for i, side in enumerate(SIDES):
        known = np.isfinite(visible[side])
        records['hand_visibility'][:, i] = np.where(known, visible[side], 0)
        set_flag(records, f'has_{side}_hand_visibility', known)


def mesh_boxes(meshes: np.ndarray, rows: np.ndarray, view: View, chunk: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) around what of meshes[rows[i]], metres of the source's frame, lies within the image, and which of them (N,)
    show something."""
    found = [np.zeros((0, 4))], [np.zeros(0, bool)]
    for start in range(0, len(rows), chunk):
        part = View(*(field[start:start + chunk] for field in view))
        points = torch.from_numpy(meshes[rows[start:start + chunk]]).double()
        _, pixels, front = _projected(points, torch.ones(points.shape[:2], dtype=torch.bool), part)
        box, shown = tight_boxes(pixels, front, part)
        found[0].append(boxes.clip_box(box, part.img_size).numpy())
        found[1].append(shown.numpy())
    return np.concatenate(found[0]), np.concatenate(found[1])


def tight_boxes(pixels: Tensor, front: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """Boxes (N, 4) around those of pixels (N, J, 2) that lie in front of the camera, and which of them (N,) show something:
    enough points, and more than a pixel, inside the image. The others are 0."""
    size = view.img_size.to(pixels)
    inside = front & (pixels >= 0).all(-1) & (pixels <= size[:, None] - 1).all(-1)
    box = boxes.box_from_points(pixels, front).nan_to_num(0.0)
    shown = boxes.clip_box(box, size)
    boxed = (inside.sum(1) >= MIN_INSIDE) & (shown[:, 2:] - shown[:, :2] > 1).all(1)
    return torch.where(boxed[:, None], box, 0.0), boxed


def _set_points(records: np.ndarray, points: Tensor, valid: Tensor, view: View, names: tuple[str, str, str], who: str,
                at, in_3d: Tensor | None = None) -> Tensor:
    """Points (N, J, 3) of the source's frame, valid as a whole (N,) or one by one (N, J), into 2D, 3D and box fields; `at` is
    the hand's place in them. Returns who has a box."""
    known = valid[:, None].expand(points.shape[:2]) if valid.ndim == 1 else valid
    seen, pixels, front = _projected(points, known, view)
    box, boxed = tight_boxes(pixels, front, view)
    count, deep = points.shape[1], known if in_3d is None else known & in_3d[:, None]
    places = [records[name] if isinstance(at, slice) else records[name][:, at] for name in names]
    places[0][:, :count] = torch.cat((pixels, front[..., None].to(pixels)), dim=-1).numpy()
    places[1][:, :count] = torch.cat((torch.where(deep[..., None], seen, 0.0), deep[..., None].to(seen)), dim=-1).numpy()
    places[2][:] = box.numpy()
    tag = f'{who}_' if who else ''
    set_flag(records, f'has_{tag}kpts2d', known.any(1).numpy())
    set_flag(records, f'has_{tag}kpts3d', deep.any(1).numpy())
    set_flag(records, f'has_bbox_{who or "body"}', boxed.numpy())
    return boxed


def _projected(points: Tensor, known: Tensor, view: View) -> tuple[Tensor, Tensor, Tensor]:
    """Points (N, J, 3) of the source's frame -> metres of the camera's, pixels, and which of them (N, J) lie in front of it.
    What does not, or is not known (N, J), is 0."""
    seen = cameras.transform_points(points, view.rotation, view.translation)
    front = (seen[..., 2] > MIN_DEPTH) & known
    pixels = cameras.project(torch.where(front[..., None], seen, torch.ones_like(seen)), view.intrinsics)
    return torch.where(known[..., None], seen, 0.0), torch.where(front[..., None], pixels, 0.0), front
