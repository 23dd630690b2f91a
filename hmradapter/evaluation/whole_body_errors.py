"""Errors of whole-body meshes: the paper's PVE, PA-PVE and PA-MPJPE of body, hands and face, as SMPLer-X computes them.

Convention: vertices (N, V, 3) in metres, errors (N,) in millimetres, float64. "hands" is the mean of both, of the seen ones
where visibility counts. A hand is moved to its wrist, the face to the neck, the body to the pelvis; "pa" is fitted to each set
alone. Source: SMPLer-X `data/humandata.py`, `data/EHF/EHF.py`, `data/PW3D/PW3D.py`, `data/UBody/UBody.py` (their `evaluate`).
"""
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hmradapter.evaluation.errors import MM_PER_M, Points, as_double, mean_of_valid, pa_mpjpe_mm, pa_pve_mm, point_distances_mm
from hmradapter.geometry.cameras import project
from hmradapter.geometry.procrustes import similarity_align
from hmradapter.structures.joints import HAND21_FROM_SMPLX144

PELVIS, NECK, WRISTS = 0, 12, dict(left=20, right=21)
SIDES = ('left', 'right')
# Neck, collars, head, shoulders, elbows, wrists: what the arms' pose decides, measured from the pelvis.
UPPER_BODY = (12, 13, 14, 15, 16, 17, 18, 19, 20, 21)
# The 14 joints of 3DPW's protocol among SMPL's 24 and SMPL-X's 55 (hips to wrists, neck, head).
PW3D_JOINTS = (1, 2, 4, 5, 7, 8, 12, 15, 16, 17, 18, 19, 20, 21)


@dataclass(frozen=True)
class BodyRegions:
    """What a whole-body mesh is measured at.

    skeleton (55, V) and common14 (14, V): regressors of SMPL-X's joints and of the 14 that data sets share; hands {'left',
    'right'}: (778,) and face (5023,): vertex numbers; tips: the five fingertips of each hand.
    """
    skeleton: np.ndarray
    common14: np.ndarray
    hands: dict[str, np.ndarray]
    face: np.ndarray
    tips: dict[str, tuple[int, ...]]

    def joints(self, vertices: Points) -> Tensor:
        """SMPL-X's joints (N, 55, 3)."""
        return regress(self.skeleton, vertices)

    def hand_joints(self, side: str, vertices: Points) -> Tensor:
        """HAND21 (N, 21, 3) of one hand."""
        vertices = as_double(vertices)
        order = HAND21_FROM_SMPLX144[side]
        found = torch.empty(*vertices.shape[:-2], len(order), 3, dtype=vertices.dtype)
        regressed = [joint for joint in order if joint < len(self.skeleton)]  # fingertips are vertices
        at = [i for i, joint in enumerate(order) if joint < len(self.skeleton)]
        found[..., at, :] = regress(self.skeleton[regressed], vertices)
        found[..., [i for i in range(len(order)) if i not in at], :] = vertices[..., list(self.tips[side]), :]
        return found


def regress(regressor: np.ndarray, vertices: Points) -> Tensor:
    """Joints (..., J, 3) of vertices (..., V, 3) by a regressor (J, V)."""
    return torch.as_tensor(regressor, dtype=torch.float64) @ as_double(vertices)


def whole_body_errors(pred: Points, true: Points, regions: BodyRegions,
                      in_sight: Callable[[Tensor], Tensor] | None = None) -> dict[str, Tensor]:
    """Errors of meshes (N, V, 3): pve, pa_pve, mpjpe and pa_mpjpe (of 14 body joints), mpjpe_upper (of UPPER_BODY), pve_face,
    pa_pve_face, and pve_, pa_pve_, mpjpe_, pa_mpjpe_ of left_hand, right_hand and hands; mrrpe, how wrong the way from right to
    left wrist is.

    `in_sight(points (N, P, 3)) -> (N, P) bool` restricts every mean to true points that it accepts (UBody); alignment still
    uses all, and a part without such a point is NaN."""
    pred, true = as_double(pred), as_double(true)
    pred_joints, true_joints = regions.joints(pred), regions.joints(true)

    def distance(a: Tensor, b: Tensor, seen: Tensor | None = None) -> Tensor:
        return mean_of_valid(point_distances_mm(a, b), in_sight and in_sight(b if seen is None else seen))

    def moved(a: Tensor, b: Tensor, root: int) -> Tensor:
        return distance(a - pred_joints[:, root:root + 1], b - true_joints[:, root:root + 1], b)

    def aligned(a: Tensor, b: Tensor) -> Tensor:
        return distance(similarity_align(a, b), b)

    body = [regress(regions.common14, mesh) for mesh in (pred, true)]
    face = [mesh[:, regions.face] for mesh in (pred, true)]
    upper = [joints[:, list(UPPER_BODY)] for joints in (pred_joints, true_joints)]
    found = dict(pve=moved(pred, true, PELVIS), pa_pve=aligned(pred, true), mpjpe=moved(*body, PELVIS),
                 pa_mpjpe=aligned(*body), mpjpe_upper=moved(*upper, PELVIS), pve_face=moved(*face, NECK),
                 pa_pve_face=aligned(*face))
    for side in SIDES:
        hand = [mesh[:, regions.hands[side]] for mesh in (pred, true)]
        joints = [regions.hand_joints(side, mesh) for mesh in (pred, true)]
        for name, points in (('pve', hand), ('mpjpe', joints)):
            found[f'{name}_{side}_hand'] = moved(*points, WRISTS[side])
            found[f'pa_{name}_{side}_hand'] = aligned(*points)
    for measure in ('pve', 'pa_pve', 'mpjpe', 'pa_mpjpe'):
        found[f'{measure}_hands'] = torch.stack([found[f'{measure}_{side}_hand'] for side in SIDES]).nanmean(0)
    between = [joints[:, WRISTS['left']] - joints[:, WRISTS['right']] for joints in (pred_joints, true_joints)]
    return dict(found, mrrpe=MM_PER_M * (between[0] - between[1]).norm(dim=-1))


def pw3d_errors(pred: Points, true_smpl: Points, skeleton: np.ndarray, smpl_regressor: np.ndarray) -> dict[str, Tensor]:
    """mpjpe (pelvis to pelvis) and pa_mpjpe of 14 joints: SMPL-X's of the prediction (N, V, 3) by `skeleton` (55, V), SMPL's of
    the true SMPL mesh (N, 6890, 3) by its own regressor (24, 6890)."""
    joints = [regress(regressor, mesh) for regressor, mesh in ((skeleton, pred), (smpl_regressor, true_smpl))]
    pred_14, true_14 = ((points - points[:, :1])[:, list(PW3D_JOINTS)] for points in joints)
    return dict(mpjpe=point_distances_mm(pred_14, true_14).mean(-1), pa_mpjpe=pa_mpjpe_mm(pred_14, true_14))


def mapped_errors(pred: Points, true_smpl: Points, skeleton: np.ndarray, smpl_regressor: np.ndarray,
                  smpl_from_smplx: Points | None) -> dict[str, Tensor]:
    """pve and pa_pve on SMPL's mesh, and mpjpe_mapped, pa_mpjpe_mapped of 14 joints by SMPL's regressor, as SMPLest-X computes
    them: both meshes are moved to the pelvis that their own regressor gives, then the prediction (N, V, 3) becomes a mesh of
    SMPL by `smpl_from_smplx` (6890, V) (None: it is one already), and nothing is moved again. Source: SMPLest-X
    `datasets/humandata.py`."""
    pred, true = (points - regress(regressor[:1], points) for points, regressor in
                  ((as_double(pred), skeleton), (as_double(true_smpl), smpl_regressor)))
    if smpl_from_smplx is not None:
        pred = torch.stack([smpl_from_smplx @ mesh for mesh in pred])
    pred_14, true_14 = (regress(smpl_regressor[list(PW3D_JOINTS)], mesh) for mesh in (pred, true))
    return dict(pve=point_distances_mm(pred, true).mean(-1), pa_pve=pa_pve_mm(pred, true),
                mpjpe_mapped=point_distances_mm(pred_14, true_14).mean(-1), pa_mpjpe_mapped=pa_mpjpe_mm(pred_14, true_14))


def inside_picture(camera: Points, img_size: Points) -> Callable[[Tensor], Tensor]:
    """For `whole_body_errors`: whether points (N, P, 3) m of the frame of a camera K (3, 3) fall inside its image (W, H),
    strictly. SMPLer-X's guard of the depth, 0.1 mm, is left out."""
    camera, img_size = as_double(camera), as_double(img_size)

    def in_sight(points: Tensor) -> Tensor:
        pixels = project(as_double(points), camera)
        return ((points[..., 2:] > 0) & (pixels > 0) & (pixels < img_size)).all(-1)

    return in_sight
