"""Who is in the picture: a shape of the open body model, with skin, hair and clothes painted on.

Rest frame: SMPL-X's T-pose, metres, y up, facing +z, left at +x, palms down.
"""
from dataclasses import dataclass, replace

import numpy as np
import torch

from hmradapter.body_models.open_model.skeleton import HAND_JOINTS, JOINT_NAMES
from hmradapter.body_models.smplx_layer import SMPLXLayer
from hmradapter.synthetic.shading import PATTERNS, Material

SIDES = ('left', 'right')
FINGERS = ('index', 'middle', 'pinky', 'ring', 'thumb')  # MANO's order of joints
PARTS = ('body', 'left', 'right', 'head', 'object', 'scenery')  # labels of faces: index into this
# Materials of a person, in the order of `Person.materials`; an object's two follow.
SKIN, HAND, TOP, TROUSERS, HAIR, EYE, OBJECT = range(7)
CLOTH_THICKNESS = {TOP: 0.006, TROUSERS: 0.005, HAIR: 0.012}  # metres off the body
_ASIDE = 4.0  # metres between rest places, so that the ray tree keeps people apart
# sRGB, fair to dark.
_SKIN_TONES = np.array([(244, 208, 186), (228, 182, 150), (206, 155, 120), (176, 124, 90), (135, 88, 62), (98, 62, 44),
                        (66, 42, 32)]) / 255
_HAIR_TONES = np.array([(28, 22, 20), (60, 40, 28), (110, 78, 48), (176, 142, 92), (130, 128, 126)]) / 255


@dataclass
class Person:
    """layer: SMPL-X of `gender` with the template (V, 3) metres of this shape; betas (10,) that made it from the gender's own,
    mano_betas (10,) of its hands; joints (55, 3);
    tips {side: (5, 3)} in the order of FINGERS; faces (F, 3); hand_weight {side: (V,)} skinning weight on that hand.
    Looks: part (F,) into PARTS, material (F,) into materials, albedo (V, 3) linear RGB, crease (V,), padding (V,) metres."""
    name: str
    gender: str
    layer: SMPLXLayer
    betas: np.ndarray
    mano_betas: np.ndarray
    template: np.ndarray
    joints: np.ndarray
    tips: dict[str, np.ndarray]
    faces: np.ndarray
    hand_weight: dict[str, np.ndarray]
    part: np.ndarray
    material: np.ndarray
    materials: list[Material]
    albedo: np.ndarray
    crease: np.ndarray
    padding: np.ndarray

    def at(self, joint: str) -> np.ndarray:
        """Rest place (3,) of a joint by its SMPL-X name."""
        return self.joints[JOINT_NAMES.index(joint)]


def make_person(name: str, layers: dict[str, SMPLXLayer], rng: np.random.Generator) -> Person:
    """Draw a person; layers {'male': ..., 'female': ...} are of the open body model."""
    gender = ('male', 'female')[rng.integers(2)]
    betas = torch.from_numpy(np.clip(rng.normal(0, 1, (1, 10)), -2.2, 2.2).astype(np.float32))
    template = layers[gender](betas=betas).vertices[0].numpy()  # T-pose: template plus shape directions times betas
    mano_betas = layers[gender].hand_betas(betas)[0].numpy()
    layer = layers[gender].with_template(template)
    joints = layer.joint_template.numpy().astype(np.float64)
    tip_ids = np.array(layer.extra_ids[11:]).reshape(2, 5)  # left, right; thumb, index, middle, ring, pinky
    tips = {side: template[tip_ids[i][[1, 2, 4, 3, 0]]].astype(np.float64) for i, side in enumerate(SIDES)}
    faces, weights = layer.faces, layer.weights.numpy().T
    hand_weight = {side: weights[:, list(HAND_JOINTS[side])].sum(axis=1) for side in SIDES}
    zone = _zones(template, joints, weights, hand_weight, rng)
    material = zone[faces].max(axis=1)
    part = _parts(faces, weights, hand_weight)
    crease = _finger_coordinate(template, joints, tips, weights)
    albedo = _paint(template, joints, tips, faces, zone, crease, rng)
    padding = np.select([zone == z for z in CLOTH_THICKNESS], list(CLOTH_THICKNESS.values()), 0.0)
    return Person(name, gender, layer, betas[0].numpy(), mano_betas, template, joints, tips, faces, hand_weight, part, material,
                  _materials(rng), albedo, crease, padding)


def join_people(people: list[Person]) -> Person:
    """All meshes and looks as one, to be photographed together; what is not looks is the first person's."""
    first, vertices, materials = people[0], 0, []
    looks: dict[str, list] = {name: [] for name in ('template', 'faces', 'part', 'material', 'albedo', 'crease', 'padding')}
    for k, person in enumerate(people):
        moved = dict(template=person.template + (_ASIDE * k, 0, 0), faces=person.faces + vertices,
                     material=person.material + len(materials))
        for name, parts in looks.items():
            parts.append(moved.get(name, getattr(person, name)))
        vertices, materials = vertices + len(person.template), [*materials, *person.materials]
    return replace(first, materials=materials, **{name: np.concatenate(parts) for name, parts in looks.items()})


def neutral_betas(person: Person, layers: dict[str, SMPLXLayer]) -> np.ndarray:
    """Betas (10,) of the neutral model that give the person's template: the open model's genders share one shape space."""
    directions = layers['neutral'].directions[:10].T  # (3 V, 10)
    away = (layers[person.gender].v_template - layers['neutral'].v_template).T.reshape(-1, 1)
    return person.betas + torch.linalg.lstsq(directions.double(), away.double()).solution[:, 0].numpy().astype(np.float32)


def to_linear(srgb) -> np.ndarray:
    """sRGB 0..1 to linear light, by the plain 2.2 power that `film` undoes."""
    return np.asarray(srgb, float) ** 2.2


def random_color(rng: np.random.Generator) -> np.ndarray:
    """(3,) linear RGB of paint or cloth: any hue, rarely glaring."""
    hue, saturation, value = rng.uniform(), rng.beta(1.5, 2), rng.uniform(0.15, 0.95)
    ramp = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return to_linear(value * (1 - saturation * (1 - ramp)))


def random_material(rng: np.random.Generator, shine: float = 0.03, period: tuple[float, float] = (0.02, 0.09)) -> Material:
    """Cloth or paint with one of the patterns."""
    return Material(pattern=PATTERNS[rng.choice(len(PATTERNS), p=(0.45, 0.2, 0.15, 0.08, 0.12))],
                    second=tuple(random_color(rng)), period=rng.uniform(*period), mottle=rng.uniform(0.05, 0.25),
                    bump=rng.uniform(0.05, 0.3), grain=rng.uniform(0.01, 0.05), shine=shine)


def _materials(rng: np.random.Generator) -> list[Material]:
    skin = dict(mottle=0.10, bump=0.02, grain=0.004, shine=rng.uniform(0.03, 0.10))
    return [Material(**skin), Material(**skin, creased=True), random_material(rng), random_material(rng),
            Material(mottle=0.35, bump=0.5, grain=0.006, shine=0.08), Material(mottle=0.0, shine=0.3)]


def _zones(template, joints, weights, hand_weight, rng) -> np.ndarray:
    """(V,) material of each vertex."""
    at = dict(zip(JOINT_NAMES, joints, strict=True))
    owner = np.array(JOINT_NAMES)[weights.argmax(axis=1)]
    x, y, z = template.T
    zone = np.full(len(template), SKIN)
    legs = np.isin(owner, ('pelvis', 'left_hip', 'right_hip', 'left_knee', 'right_knee'))
    waist = at['spine1'][1] + rng.uniform(-0.06, 0.04)
    trunk = np.isin(owner, ('pelvis', 'left_hip', 'right_hip', 'spine1', 'spine2', 'spine3', 'left_collar', 'right_collar',
                            'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow', 'neck'))
    sleeve = np.interp(rng.uniform(), (0, 0.45, 0.75, 1), (0.3, 0.9, 1.5, 1.95))  # 1 elbow, 2 wrist
    shoulder, elbow, wrist = (abs(at[f'left_{j}'][0]) for j in ('shoulder', 'elbow', 'wrist'))
    covered = np.interp(np.abs(x), (shoulder, elbow, wrist), (0, 1, 2)) < sleeve
    collar = at['neck'][1] + rng.uniform(0.0, 0.03) + 0.3 * np.minimum(at['neck'][2] - z, 0)
    zone[(legs | trunk) & (y <= waist)] = TROUSERS
    zone[trunk & (y > waist) & covered & (y < np.where(np.abs(x) < 0.12, collar, 9))] = TOP
    eyes = (at['left_eye_smplhf'] + at['right_eye_smplhf']) / 2
    head = np.isin(owner, ('head', 'jaw', 'neck'))
    hairline, nape = eyes[1] + rng.uniform(0.055, 0.075), at['jaw'][1] - rng.uniform(0.0, 0.05)
    temple = at['jaw'][2] - 0.005
    crown = y > hairline - 0.25 * (eyes[2] - z)
    back = (z < temple - 0.012) & (y > nape) & (z < at['head'][2] + 0.03)
    zone[head & (crown | back)] = HAIR
    zone[np.isin(owner, ('left_eye_smplhf', 'right_eye_smplhf'))] = EYE
    for side in SIDES:
        zone[hand_weight[side] >= 0.4] = HAND
    return zone


def _parts(faces, weights, hand_weight) -> np.ndarray:
    head = weights[:, [JOINT_NAMES.index(j) for j in ('head', 'jaw', 'left_eye_smplhf', 'right_eye_smplhf')]].sum(axis=1)
    part = np.zeros(len(faces), np.int32)
    part[(head[faces] > 0.5).all(axis=1)] = PARTS.index('head')
    for side in SIDES:
        part[(hand_weight[side][faces] >= 0.5).all(axis=1)] = PARTS.index(side)
    return part


def _finger_coordinate(template, joints, tips, weights) -> np.ndarray:
    """(V,) how far along its finger a vertex lies: 1 knuckle, 2, 3 middle joints, 4 tip; 0 off the fingers."""
    out = np.zeros(len(template))
    for side in SIDES:
        for f, finger in enumerate(FINGERS):
            ids = [JOINT_NAMES.index(f'{side}_{finger}{k}') for k in (1, 2, 3)]
            mine = np.flatnonzero(weights[:, ids].sum(axis=1) > 0.35)
            chain = np.stack([*joints[ids], tips[side][f]])
            bones = np.diff(chain, axis=0)
            along = np.einsum('vkc,kc->vk', template[mine, None] - chain[:-1], bones) / (bones ** 2).sum(-1)
            out[mine] = np.clip(along[:, 0], -0.6, 1) + np.clip(along[:, 1], 0, 1) + np.clip(along[:, 2], 0, 1) + 1
    return out


def _paint(template, joints, tips, faces, zone, crease, rng) -> np.ndarray:
    """(V, 3) linear RGB."""
    at = dict(zip(JOINT_NAMES, joints, strict=True))
    normals = vertex_normals(template, faces)
    tone = rng.uniform(0, len(_SKIN_TONES) - 1)
    skin = to_linear([np.interp(tone, range(len(_SKIN_TONES)), channel) for channel in _SKIN_TONES.T])
    albedo = np.tile(skin, (len(template), 1))
    rosy = skin * (1.08, 0.80, 0.76)
    hand = zone == HAND
    palm = np.clip(-1.6 * normals[:, 1], 0, 1) * hand
    pale = 0.35 * to_linear(_SKIN_TONES[0]) * (1.0, 0.82, 0.74) + 0.65 * rosy  # palms are paler than the back of dark hands
    albedo += palm[:, None] * (pale - albedo)
    ruddy = 0.6 * np.exp(-((crease - 4.0) / 0.5) ** 2) * hand + 0.35 * np.exp(-((crease - 1.0) / 0.25) ** 2) * hand * (1 - palm)
    albedo += ruddy[:, None] * (rosy - albedo)
    nail = hand & (crease > 3.50) & (normals[:, 1] > 0.35)
    thumb = hand & (np.abs(template[:, 2] - at['left_thumb3'][2]) < 0.03) & (crease > 3.5)  # its nail looks forward and up
    nail |= thumb & (normals @ np.array([0, 0.6, 0.8]) > 0.6)
    albedo[nail] = 0.5 * albedo[nail] + 0.5 * to_linear((0.93, 0.74, 0.70))
    albedo[zone == TOP], albedo[zone == TROUSERS] = random_color(rng), random_color(rng)
    albedo[zone == HAIR] = to_linear(_HAIR_TONES[rng.integers(len(_HAIR_TONES))])
    albedo[zone == EYE] = 0.8
    for side in SIDES:
        pupil = at[f'{side}_eye_smplhf'] + (0, 0, 0.012)
        iris = (zone == EYE) & (np.linalg.norm((template - pupil) * (1, 1, 0.3), axis=1) < 0.0065)
        albedo[iris] = to_linear((0.2, 0.14, 0.1))
    return albedo


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, weighted by face areas."""
    corners = vertices[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack([np.bincount(faces.ravel(), np.repeat(flat[:, c], 3), len(vertices)) for c in range(3)], axis=1)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
