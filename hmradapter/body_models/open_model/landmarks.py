"""Named points on the open body's mesh: the vertices that `smplx` adds as joints, and 68 face landmarks in iBUG's order."""
import numpy as np

from hmradapter.body_models.open_model.skeleton import JOINT_NAMES

# Order of smplx.vertex_joint_selector.VertexJointSelector: joints 55-75 of SMPLX144.
EXTRA_JOINTS = ('nose', 'reye', 'leye', 'rear', 'lear', 'LBigToe', 'LSmallToe', 'LHeel', 'RBigToe', 'RSmallToe', 'RHeel',
                *(side + finger for side in 'lr' for finger in ('thumb', 'index', 'middle', 'ring', 'pinky')))
CONTOUR_YAWS = 79  # rows of smplx's table: head yaws about +y of 0 .. -39 degrees, then 1 .. 39
_JAW_ANGLES = np.radians(np.linspace(-95, 95, 17))  # of contour points about the head: 0 = chin, right ear to left ear


def extra_joint_vertices(template: np.ndarray, joints: np.ndarray, weights: np.ndarray, mirror: np.ndarray,
                         bones: dict) -> np.ndarray:
    """Vertex ids (21,) of EXTRA_JOINTS; bones: vertex weights (V,) of single MakeHuman bones."""
    at = dict(zip(JOINT_NAMES, joints, strict=True))
    head = weights[:, JOINT_NAMES.index('head')]
    found = {'nose': _furthest(template[:, 2] - 50 * np.abs(template[:, 0]), head > 0.5),
             'leye': _furthest(template[:, 2], weights[:, JOINT_NAMES.index('left_eye_smplhf')] > 0.5),
             'lear': _furthest(template[:, 0] - 2 * np.abs(template[:, 1] - at['left_eye_smplhf'][1]), head > 0.5),
             'LBigToe': _furthest(template[:, 2], bones['toe1-2.L'] > 0.5),
             'LSmallToe': _furthest(template[:, 2] + template[:, 0], bones['toe5-3.L'] > 0.3),
             'LHeel': _furthest(-template[:, 2] - np.abs(template[:, 1] - at['left_foot'][1]),
                                weights[:, JOINT_NAMES.index('left_ankle')] > 0.5)}
    for finger in ('thumb', 'index', 'middle', 'ring', 'pinky'):
        last = f'left_{finger}3'
        outward = template @ (at[last] - at[f'left_{finger}2'])
        found[f'l{finger}'] = _furthest(outward, weights[:, JOINT_NAMES.index(last)] > 0.5)
    for name in list(found):  # the right side by the mesh's own symmetry
        if name != 'nose':
            found[('R' if name[0] == 'L' else 'r') + name[1:]] = mirror[found[name]]
    return np.array([found[name] for name in EXTRA_JOINTS])


def face_landmarks(template: np.ndarray, faces: np.ndarray, joints: np.ndarray, weights: np.ndarray,
                   nose: int) -> tuple[np.ndarray, np.ndarray]:
    """iBUG points 17-67 (brows, nose, eyes, lips) as face ids (51,) and barycentric coordinates (51, 3).
    Laid out from eye centres, nose tip and mouth line, then dropped onto the skin along -z: plausible, not annotated."""
    at = dict(zip(JOINT_NAMES, joints, strict=True))
    skin = (weights[:, [JOINT_NAMES.index('head'), JOINT_NAMES.index('jaw'), JOINT_NAMES.index('left_eye_smplhf'),
                        JOINT_NAMES.index('right_eye_smplhf')]].sum(axis=1) > 0.5) & (template[:, 2] > at['head'][2])
    eye, tip = at['left_eye_smplhf'], template[nose]
    unit = eye[0]  # half the distance between the pupils, about 31 mm
    mouth = np.array([0.0, tip[1] - unit])
    wanted = np.array(_layout(unit, eye[:2], tip[:2], mouth))
    return _drop(wanted, template, faces[skin[faces].all(axis=1)], np.flatnonzero(skin[faces].all(axis=1)))


def contour_landmarks(template: np.ndarray, faces: np.ndarray, joints: np.ndarray,
                      weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Silhouette points 0-16 for each head yaw: face ids (79, 17) and barycentric coordinates (79, 17, 3), at vertices."""
    at = dict(zip(JOINT_NAMES, joints, strict=True))
    share = weights[:, JOINT_NAMES.index('head')] + weights[:, JOINT_NAMES.index('jaw')]
    ears = at['jaw'][2] + 0.005  # the ears end where the jaw is hinged
    ids = np.flatnonzero((share > 0.9) & (template[:, 2] > ears) & (template[:, 1] < at['left_eye_smplhf'][1]))
    centre = np.array([0.0, at['left_eye_smplhf'][1] - 0.02, at['head'][2]])
    face_of = np.full(len(template), -1)
    for corner in range(3):
        face_of[faces[::-1, corner]] = np.arange(len(faces))[::-1]
    found, corners = np.empty((CONTOUR_YAWS, 17), int), np.zeros((CONTOUR_YAWS, 17, 3))
    for row in range(CONTOUR_YAWS):
        yaw = np.radians(-row if row < 40 else row - 39)
        points = (template[ids] - centre) @ np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
        radius, around = np.hypot(points[:, 0], points[:, 1]), np.arctan2(points[:, 0], -points[:, 1])
        for k, angle in enumerate(_JAW_ANGLES):
            vertex = ids[(radius - 0.5 * np.abs(around - angle)).argmax()]  # m against radians: outermost near the ray
            found[row, k] = face_of[vertex]
            corners[row, k] = faces[face_of[vertex]] == vertex
    return found, corners


def _layout(u: float, eye: np.ndarray, tip: np.ndarray, mouth: np.ndarray) -> list[tuple[float, float]]:
    """Front-view (x, y) of iBUG 17-67; the person's right side (x < 0) first, as iBUG counts."""
    brow = [(1.65, 0.55), (1.3, 0.78), (0.95, 0.82), (0.6, 0.75), (0.3, 0.6)]
    brows = [(-x * u, eye[1] + y * u) for x, y in brow] + [(x * u, eye[1] + y * u) for x, y in brow[::-1]]
    bridge = [(0.0, eye[1] + (tip[1] - eye[1]) * k / 3) for k in range(4)]
    nostrils = [(x * u, tip[1] - (0.35 - 0.1 * abs(x)) * u) for x in (-0.4, -0.2, 0, 0.2, 0.4)]
    lid = [(-0.45, 0), (-0.15, 0.17), (0.15, 0.17), (0.45, 0), (0.15, -0.15), (-0.15, -0.15)]
    eyes = [(side * u + x * u, eye[1] + y * u) for side in (-1, 1) for x, y in lid]
    outer = [(-0.8, 0), (-0.5, 0.2), (-0.2, 0.3), (0, 0.27), (0.2, 0.3), (0.5, 0.2), (0.8, 0),
             (0.5, -0.25), (0.2, -0.35), (0, -0.37), (-0.2, -0.35), (-0.5, -0.25)]
    inner = [(-0.65, 0), (-0.2, 0.06), (0, 0.06), (0.2, 0.06), (0.65, 0), (0.2, -0.06), (0, -0.06), (-0.2, -0.06)]
    return brows + bridge + nostrils + eyes + [(x * u, mouth[1] + y * u) for x, y in outer + inner]


def _drop(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Foremost triangle under each (x, y): face ids (P,) and barycentric coordinates (P, 3)."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = _cross(b - a, c - a)
    found, bary = np.empty(len(points), int), np.empty((len(points), 3))
    for k, point in enumerate(points):
        with np.errstate(divide='ignore', invalid='ignore'):
            v = _cross(point - a[:, :2], c - a) / area
            w = _cross(b - a, point - a[:, :2]) / area
        corners = np.stack([1 - v - w, v, w], axis=1)
        depth = (corners * np.stack([a[:, 2], b[:, 2], c[:, 2]], axis=1)).sum(axis=1)
        inside = (corners >= -1e-6).all(axis=1) & (np.abs(area) > 1e-12)
        hit = int(np.where(inside, depth.round(7), -np.inf).argmax())  # rounded: of two triangles at an edge, always the first
        found[k], bary[k] = ids[hit], corners[hit]
    return found, bary


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """z of the cross product, of x and y alone."""
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


def _furthest(score: np.ndarray, allowed: np.ndarray) -> int:
    return int(np.where(allowed, score, -np.inf).argmax())

