"""The open body in SMPL's layout: 24 joints, and a coarser mesh of its own whose vertices lie on the SMPL-X mesh.

V vertices of SMPL-X, U of SMPL. Neighbours are merged into each other, twice on hands and head, which have few joints here:
fingers move with joints 22 and 23, jaw and eyes with the head. A vertex of the new mesh is a blend of old ones with equal
skinning weights, so a body with flat fingers and a jaw at rest is the same in both layouts, in any pose, shape and gender.
"""
from dataclasses import dataclass

import numpy as np

from hmradapter.body_models.open_model import shape_space, skeleton
from hmradapter.body_models.open_model.assemble import OpenBody, kintree, stored

PARENTS = (*skeleton.PARENTS[:22], 20, 21)  # SMPL's 24: the 22 of SMPL-X's body, then the hands
_HAND_ROOTS = ('left_middle1', 'right_middle1')  # where joints 22 and 23 are
_HEAD = (15, 22, 23, 24)                    # head, jaw, eyes
_CORNERS = (0.5, 0.25, 0.25)                # of a triangle: exact in half precision, which keeps the matrix small on disk
_SAME = 1e-6                                # difference of skinning weights that counts as none


@dataclass
class CoarseMesh:
    """matrix (U, V) of barycentric weights: each row lies in one triangle of SMPL-X; faces (T, 3)."""
    matrix: np.ndarray
    faces: np.ndarray


def coarse_mesh(body: OpenBody) -> CoarseMesh:
    """The mesh of SMPL's layout; vertices that its joints are regressed from are kept as they are."""
    regressed = np.flatnonzero((_regressor(body) > 0).any(axis=0))
    fine = body.weights[:, [*_HEAD, *skeleton.HAND_JOINTS['left'][1:], *skeleton.HAND_JOINTS['right'][1:]]].sum(axis=1) > 0.5
    owner, faces = np.arange(len(body.template)), body.faces
    for allowed in (np.ones_like(fine), fine):
        owner = owner[_merge(body.template, faces, allowed, regressed, body.mirror)][owner]
        faces = _contracted(owner[body.faces])
    kept, faces = np.unique(faces, return_inverse=True)
    return CoarseMesh(_rows(body, kept, regressed), faces.reshape(-1, 3))


def smpl_arrays(body: OpenBody, mesh: CoarseMesh, gender: str) -> dict[str, np.ndarray]:
    """Content of SMPL_<GENDER>.pkl under the official keys: the same shape space and joints as smplx_arrays of that gender."""
    blend = mesh.matrix
    template = blend @ (body.template + body.shapes @ body.gender_shapes[gender])
    weights = blend @ merged_weights(body.weights)
    shapes, correctives = (np.tensordot(blend, part, axes=1) for part in (body.shapes, body.correctives[..., :9 * 21]))
    regressor = _regressor(body) @ (blend == 1).T  # its vertices were kept as they are
    hands = shape_space.pose_correctives(blend @ body.template, mesh.faces, regressor @ blend @ body.template, weights, PARENTS)
    floats = dict(v_template=template, shapedirs=shapes, posedirs=np.concatenate([correctives, hands[..., 9 * 21:]], axis=-1),
                  J_regressor=regressor, weights=weights, J=regressor @ template)
    return ({name: stored(array) for name, array in floats.items()}
            | dict(f=mesh.faces.astype(np.uint32), kintree_table=kintree(PARENTS), bs_type='lrotmin', bs_style='lbs'))


def merged_weights(weights: np.ndarray) -> np.ndarray:
    """Skinning weights (V, 55) of SMPL-X -> (V, 24) of SMPL."""
    merged = weights[:, :24].copy()
    merged[:, 22:] = 0
    merged[:, 15] = weights[:, list(_HEAD)].sum(axis=1)
    for hand, side in ((22, 'left'), (23, 'right')):
        merged[:, hand] = weights[:, list(skeleton.HAND_JOINTS[side][1:])].sum(axis=1)
    return merged


def _regressor(body: OpenBody) -> np.ndarray:
    """(24, V) of SMPL's joints from SMPL-X's vertices."""
    return body.regressor[[*range(22), *(skeleton.JOINT_NAMES.index(name) for name in _HAND_ROOTS)]]


def _merge(points, faces, allowed, fixed, mirror) -> np.ndarray:
    """(V,) the vertex into which each vertex of `faces` goes: itself, or its nearest neighbour in a set of which no two are
    neighbours. Only `allowed` (V,) vertices go, `fixed` ones stay. What is not in the mesh keeps its number."""
    neighbours: list[set[int]] = [set() for _ in points]
    for a, b in np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist():
        neighbours[a].add(b)
        neighbours[b].add(a)
    goes = np.zeros(len(points), bool)
    stays = np.zeros(len(points), bool)
    stays[fixed] = True
    for vertex in [*fixed.tolist(), *np.unique(faces).tolist()]:
        for one in (vertex, int(mirror[vertex])):  # in pairs, so that the mesh stays symmetric
            if not goes[one]:
                stays[one] = True
                around = [other for other in neighbours[one] if allowed[other] and not stays[other]]
                goes[around] = True
    into = np.arange(len(points))
    for vertex in np.flatnonzero(goes).tolist():
        near = sorted(other for other in neighbours[vertex] if stays[other])
        into[vertex] = near[int(np.linalg.norm(points[near] - points[vertex], axis=1).round(7).argmin())]
    return into


def _contracted(faces: np.ndarray) -> np.ndarray:
    """What is left of triangles (F, 3) after corners were merged; two that fell onto each other both go."""
    left = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    _, group, count = np.unique(np.sort(left, axis=1), axis=0, return_inverse=True, return_counts=True)
    return left[count[group.reshape(-1)] == 1]


def _rows(body: OpenBody, kept: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """(U, V) barycentric weights: a point inside a triangle at each kept vertex where its corners are skinned alike."""
    merged = merged_weights(body.weights)
    alike = body.faces[(np.ptp(merged[body.faces], axis=1) < _SAME).all(axis=1)]
    rows = np.zeros((len(kept), len(body.template)))
    for row, vertex in enumerate(kept):
        around = alike[(alike == vertex).any(axis=1)] if vertex not in fixed else ()
        if len(around):
            rows[row, around[0]] = np.where(around[0] == vertex, _CORNERS[0], _CORNERS[1])
        else:
            rows[row, vertex] = 1
    return rows
