"""Puts the open body together: arrays of an SMPL-X file per gender, and of a MANO file per hand, all from one mesh."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmradapter.body_models.open_model import hands, landmarks, makehuman, people, shape_space, skeleton

SEED = 20
NUM_PEOPLE = 160
PELVIS = (0.0, -0.35, 0.01)  # of the neutral template, metres: off the origin, as in SMPL-X, so that forgetting J0 shows
# Squared weight of hand coordinates against body coordinates in what makes people differ: with 1, ten directions hold no hands.
HAND_IMPORTANCE = 300.0
EXPRESSIONS = (('mouthSmileLeft', 'mouthSmileRight'), ('mouthFrownLeft', 'mouthFrownRight'), ('browDownLeft', 'browDownRight'),
               ('browInnerUp', 'browOuterUpLeft', 'browOuterUpRight'), ('eyeBlinkLeft', 'eyeBlinkRight'), ('cheekPuff',),
               ('mouthFunnel',), ('mouthPucker',), ('mouthStretchLeft', 'mouthStretchRight'),
               ('noseSneerLeft', 'noseSneerRight'))
_EXPRESSION_SCALE = 0.5  # of MakeHuman's full action per unit coefficient
_MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass
class OpenBody:
    """One mesh, V vertices: template (V, 3), shapes (V, 3, 10), gender_shapes {gender: (10,)}, expressions (V, 3, 10), faces
    (F, 3), weights (V, 55), regressor (55, V), correctives (V, 3, 486), mirror (V,), extra_joints (21,)."""
    template: np.ndarray
    shapes: np.ndarray
    gender_shapes: dict
    expressions: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    regressor: np.ndarray
    correctives: np.ndarray
    mirror: np.ndarray
    extra_joints: np.ndarray

    @property
    def joints(self) -> np.ndarray:
        """(55, 3) of the neutral template."""
        return self.regressor @ self.template


def make_open_body(assets: Path, progress=iter) -> OpenBody:
    """Build the model from MakeHuman's files; `progress` wraps the loop over morph targets (e.g. tqdm)."""
    mesh = makehuman.read_base_mesh(assets)
    targets = people.read_targets(assets, len(mesh.vertices), progress)
    quads = mesh.skin_quads()
    used = np.unique(quads)
    place = np.full(len(mesh.vertices), -1)
    place[used] = np.arange(len(used))
    mirror = place[mesh.mirror[used]]
    weights = _symmetric_weights(skeleton.merged_weights(mesh)[used], mirror)

    sliders = people.draw_people(NUM_PEOPLE, SEED)
    crowd, joints = _t_posed(mesh, targets, sliders, used, weights)
    faces = makehuman.triangulate(place[quads], mesh.vertices[used])
    right = hands.hand_vertices(weights, faces, 'right')
    template, shapes = _shape_space(crowd, right)
    genders = {'neutral': np.zeros(shape_space.NUM_SHAPES)}
    for gender, chosen in (('male', sliders['gender'] < 0.5), ('female', sliders['gender'] >= 0.5)):
        genders[gender] = shape_space.shape_of(crowd[chosen].mean(axis=0) - template, shapes)

    regressor = _symmetric_regressor(shape_space.joint_regressor(
        crowd, joints, _readable(weights, right, mirror[right])), mirror)
    shift = np.array(PELVIS) - regressor[0] @ template
    template = template + shift
    rest = regressor @ template
    correctives = shape_space.pose_correctives(template, faces, rest, weights, skeleton.PARENTS)
    bones = {bone: _bone_weight(mesh, bone)[used] for bone in ('toe1-2.L', 'toe5-3.L')}
    extra = landmarks.extra_joint_vertices(template, rest, weights, mirror, bones)
    expressions = np.stack([_EXPRESSION_SCALE * sum(
        makehuman.read_target(assets / f'faceunits01/targets/faceunits/{action}.target', len(mesh.vertices))[used]
        for action in actions) for actions in EXPRESSIONS], axis=-1)
    return OpenBody(template, shapes, genders, expressions, faces, weights, regressor, correctives, mirror, extra)


def smplx_arrays(body: OpenBody, gender: str) -> dict[str, np.ndarray]:
    """Content of SMPLX_<GENDER>.npz under the official keys. Of our own: extra_joint_vertex_ids, and mano_betas_from_betas
    (10, 11), whose first 10 columns and last one give MANO coefficients of the same hands from this gender's betas."""
    template = body.template + body.shapes @ body.gender_shapes[gender]
    joints = body.regressor @ template
    right = hands.hand_vertices(body.weights, body.faces, 'right')
    turn = shape_space.hand_space(body.shapes[right])[1]
    hand_joints = body.joints[list(skeleton.HAND_JOINTS['right'])]  # neutral: mean hands are those of MANO, whatever the gender
    mean, components = hands.relaxed_pose(hand_joints), hands.pose_components(hand_joints, SEED)
    static = landmarks.face_landmarks(template, body.faces, joints, body.weights, body.extra_joints[0])
    contour = landmarks.contour_landmarks(template, body.faces, joints, body.weights)
    floats = dict(v_template=template, shapedirs=np.concatenate([body.shapes, body.expressions], axis=-1),
                  posedirs=body.correctives, J_regressor=body.regressor, weights=body.weights, J=joints,
                  hands_meanr=mean, hands_meanl=hands.mirror_pose(mean), hands_componentsr=components,
                  hands_componentsl=hands.mirror_pose(components), hands_coeffsr=np.zeros((1, 45)),
                  hands_coeffsl=np.zeros((1, 45)), lmk_bary_coords=static[1], dynamic_lmk_bary_coords=contour[1],
                  mano_betas_from_betas=np.concatenate([turn, (turn @ body.gender_shapes[gender])[:, None]], axis=1))
    ids = dict(f=body.faces, lmk_faces_idx=static[0], dynamic_lmk_faces_idx=contour[0],
               extra_joint_vertex_ids=body.extra_joints)
    return ({name: stored(array) for name, array in floats.items()}
            | {name: array.astype(np.int64) for name, array in ids.items()}
            | dict(kintree_table=kintree(skeleton.PARENTS)))


def mano_arrays(body: OpenBody, side: str) -> tuple[dict, np.ndarray]:
    """Content of MANO_<SIDE>.pkl under the official keys, with tip_vertex_ids of our own, and its vertices' ids in the body.
    The left hand is the exact mirror image of the right: same vertex order, faces turned over."""
    ids = hands.hand_vertices(body.weights, body.faces, 'right')
    joints = list(skeleton.HAND_JOINTS['right'])
    template, regressor = body.template[ids], body.regressor[np.ix_(joints, ids)]
    template = template - template.mean(axis=0)
    shapes = shape_space.hand_space(body.shapes[ids])[0]
    weights = body.weights[np.ix_(ids, joints)]
    weights[:, 0] += 1 - weights.sum(axis=1)  # what hangs on the forearm follows the wrist
    columns = np.concatenate([9 * (joint - 1) + np.arange(9) for joint in joints[1:]])
    correctives = body.correctives[ids][:, :, columns]
    place = np.full(len(body.template), -1)
    place[ids] = np.arange(len(ids))
    faces = place[body.faces[(place[body.faces] >= 0).all(axis=1)]]
    rest = regressor @ template
    mean, components = hands.relaxed_pose(rest), hands.pose_components(rest, SEED)
    if side == 'left':
        ids, template, shapes, faces = body.mirror[ids], template * _MIRROR, shapes * _MIRROR[:, None], faces[:, ::-1]
        correctives = correctives * _MIRROR[:, None] * np.tile(np.outer(_MIRROR, _MIRROR).ravel(), 15)
        mean, components = hands.mirror_pose(mean), hands.mirror_pose(components)
    tips = {name: np.flatnonzero(ids == vertex) for name, vertex in zip(landmarks.EXTRA_JOINTS, body.extra_joints, strict=True)}
    fingers = [side[0] + finger for finger in ('thumb', 'index', 'middle', 'ring', 'pinky')]
    floats = dict(v_template=template, shapedirs=shapes, posedirs=correctives, J_regressor=regressor, weights=weights,
                  J=regressor @ template, hands_mean=mean, hands_components=components, hands_coeffs=np.zeros((1, 45)))
    return ({name: stored(array) for name, array in floats.items()}
            | dict(f=np.ascontiguousarray(faces, np.int64), kintree_table=kintree(skeleton.MANO_PARENTS),
                   tip_vertex_ids=np.concatenate([tips[name] for name in fingers]), bs_type='lrotmin', bs_style='lbs')), ids


def stored(array: np.ndarray) -> np.ndarray:
    """float32 without the last digits, in which machines differ (1e-9 is a nanometre): all write the same bytes."""
    return np.ascontiguousarray(array.round(9) + 0.0, np.float32)  # + 0.0 turns -0.0 into 0.0


def _t_posed(mesh, targets, sliders, used, weights):
    """Symmetric T-posed people (N, V, 3) on the used vertices, centred, with joints (N, 55, 3)."""
    shares = people.target_weights(sliders)
    crowd, joints = [], []
    for rows in np.array_split(np.arange(len(shares)), max(1, len(shares) // 20)):  # 20 people of 19158 vertices at a time
        raw = mesh.vertices + np.tensordot(shares[rows], targets, axes=1)
        raw = shape_space.symmetrize(raw, mesh.mirror)
        at, ends = skeleton.bone_ends(mesh, raw)
        posed, at = skeleton.t_pose(raw[:, used], at, ends, weights)
        skeleton.stretch_fingers(posed, at, weights, {name: sliders[name][rows] for name in people.FINGER_LENGTHS})
        centre = posed.mean(axis=1, keepdims=True)
        crowd.append(posed - centre)
        joints.append(at - centre)
    return np.concatenate(crowd), np.concatenate(joints)


def _shape_space(crowd: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hand = crowd[:, right]
    hand = hand - hand.mean(axis=1, keepdims=True)  # where the hand is, is the arm's matter
    features = np.concatenate([crowd.reshape(len(crowd), -1), np.sqrt(HAND_IMPORTANCE) * hand.reshape(len(crowd), -1)], axis=1)
    return shape_space.principal_shapes(crowd, features)


def _readable(weights: np.ndarray, right: np.ndarray, left: np.ndarray) -> np.ndarray:
    """(55, V) vertices that a joint may be regressed from: hand joints from the hand alone, so that MANO has the same."""
    allowed = np.ones(weights.T.shape, bool)
    for side, ids in (('right', right), ('left', left)):
        allowed[list(skeleton.HAND_JOINTS[side])] = np.isin(np.arange(len(weights)), ids)
    for joint, name in enumerate(skeleton.JOINT_NAMES):
        if name.endswith('eye_smplhf'):
            allowed[joint] = weights[:, joint] > 0.9
    return allowed


def _swap_joints() -> np.ndarray:
    names = {name: joint for joint, name in enumerate(skeleton.JOINT_NAMES)}
    swapped = (name.replace('left', '?').replace('right', 'left').replace('?', 'right') for name in names)
    return np.array([names[name] for name in swapped])


def _symmetric_weights(weights: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    return (weights + weights[mirror][:, _swap_joints()]) / 2


def _symmetric_regressor(regressor: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    return (regressor + regressor[_swap_joints()][:, mirror]) / 2


def _bone_weight(mesh, bone: str) -> np.ndarray:
    weight = np.zeros(len(mesh.vertices))
    ids, values = np.array(mesh.weights[bone], float).T
    weight[ids.astype(int)] = values
    return weight


def kintree(parents) -> np.ndarray:
    """(2, J) as in the official files: parents (the root's is 2**32 - 1), then the joints themselves."""
    return np.stack([np.array(parents, np.int64) % 2 ** 32, np.arange(len(parents))])


def j14_regressor(body: OpenBody) -> np.ndarray:
    """(14, V) of the evaluated LSP joints (right ankle, knee, hip, left hip, knee, ankle, right wrist, elbow, shoulder, left
    shoulder, elbow, wrist, neck, head top), the counterpart of the official SMPLX_to_J14.pkl. Head top: the highest vertex."""
    names = ('right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'right_wrist', 'right_elbow',
             'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist', 'neck')
    rows = np.zeros((14, len(body.template)))
    rows[:13] = body.regressor[[skeleton.JOINT_NAMES.index(name) for name in names]]
    rows[13, body.template[:, 1].argmax()] = 1
    return rows


def face_vertex_ids(body: OpenBody) -> np.ndarray:
    """Sorted vertices of the head with its neck, the counterpart of the official SMPL-X__FLAME_vertex_ids.npy."""
    names = ('neck', 'head', 'jaw', 'left_eye_smplhf', 'right_eye_smplhf')
    return np.flatnonzero(body.weights[:, [skeleton.JOINT_NAMES.index(name) for name in names]].sum(axis=1) >= 0.5)
