"""Small photographs of open-world people with the whole truth in the camera frame; writers of layouts say it in others' words.

Camera frame: OpenCV (x right, y down, z forward), metres; the centre of the top left pixel is (0, 0). Poses are axis-angle,
radians, hands absolute, all float64.
A figure's vertices and joints are those of SMPLXLayer for its parameters, a hand's those of MANOLayer, to 5e-6 m (float32).
A body turns about its rest root joint J0, pelvis or wrist for its betas, so a root joint lies at J0 + transl however it turns.
"""
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hmradapter.body_models import MANOLayer, SMPLXLayer
from hmradapter.body_models.model_files import find_model_file, read_model_file
from hmradapter.body_models.open_model.skeleton import HAND_JOINTS, JOINT_NAMES
from hmradapter.body_models.smplx_layer import GENDERS, POSE_PARTS
from hmradapter.structures.joints import ARM_CHAIN
from hmradapter.synthetic.backdrop import make_backdrop
from hmradapter.synthetic.body_motion import separate_poses, with_legs
from hmradapter.synthetic.body_pose import BodyPose
from hmradapter.synthetic.cameras import Camera, look
from hmradapter.synthetic.curves import rotvecs, turns
from hmradapter.synthetic.motion import Motion, gesture
from hmradapter.synthetic.people import PARTS, SIDES, Person, join_people, make_person
from hmradapter.synthetic.runs import stream
from hmradapter.synthetic.scene import Scene, WorldMotion, put_in_world
from hmradapter.synthetic.scenery import floor, stool

FRAMINGS = ('whole', 'upper', 'cut')  # all of everybody; all but the legs; a part of somebody beyond a side of the picture
HAND_SPACES = ('free', 'pca12')       # any finger pose, or those that the model file's first 12 components reach
PCA = 12
_LEGS = [JOINT_NAMES.index(f'{side}_{joint}') for side in SIDES for joint in ('hip', 'knee', 'ankle', 'foot')]
_HANGING = 1.25   # radians that an arm at rest is let down
_YAW = 2.2        # radians to either side of facing the cameras' middle
_APART = 1.0      # metres between two people
_MARGIN = 0.04    # of the picture that stays free around what is framed
_HAND_MARGIN = 0.1
_CUT = 0.3        # share of a person's vertices that may be lost
_NEAREST = 0.25   # metres that the camera keeps off everything
_VERGENCE = 0.03  # radians that each eye turns inwards, lest both be told by the same numbers
_GESTURES = 4     # of both hands that are drawn for a picture, of which the one with the hands closest together is kept
_LOOKS = 4        # directions tried for a close-up, of which the one that hides least is kept
_PREVIEW = 32     # points across and down at which they are looked at


@dataclass(frozen=True)
class Hand:
    """A MANO hand. side 'left' or 'right'; betas (10,), global_orient (3,), hand_pose (15, 3) absolute, transl (3,);
    vertices (Vh, 3), keypoints (21, 3) in HAND21."""
    side: str
    betas: np.ndarray
    global_orient: np.ndarray
    hand_pose: np.ndarray
    transl: np.ndarray
    vertices: np.ndarray
    keypoints: np.ndarray


@dataclass(frozen=True)
class Figure:
    """An SMPL-X person. betas (10,), expression (10,), global_orient (3,), body_pose (21, 3), jaw_pose (3,), eye_pose (2, 3)
    and hand_pose (2, 15, 3), absolute, of left and right, transl (3,); vertices (V, 3), joints (144, 3) in SMPLX144;
    hands {side: Hand}, which turn and lie as the body's wrists do."""
    gender: str
    betas: np.ndarray
    expression: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    jaw_pose: np.ndarray
    eye_pose: np.ndarray
    hand_pose: np.ndarray
    transl: np.ndarray
    vertices: np.ndarray
    joints: np.ndarray
    hands: dict[str, Hand]


@dataclass(frozen=True)
class Shot:
    """A picture: image (H, W, 3) uint8 BGR, K (3, 3) px, and who is in it."""
    image: np.ndarray
    K: np.ndarray
    figures: list[Figure]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.image.shape[1], self.image.shape[0]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Camera points (..., 3) -> pixels (..., 2)."""
        return Camera(self.K, np.eye(4), self.size).project(points)


@dataclass(frozen=True)
class HandSpace:
    """mean (45,) and components (n, 45), orthonormal rows: hand poses as `mean + coefficients @ components`."""
    mean: np.ndarray
    components: np.ndarray

    def residual(self, hand_pose: np.ndarray) -> np.ndarray:
        """Absolute (15, 3) -> (15, 3) less the mean hand: what files with flat_hand_mean=False say."""
        return hand_pose - self.mean.reshape(15, 3)

    def coefficients(self, hand_pose: np.ndarray) -> np.ndarray:
        """Absolute (15, 3) -> (n,); exact for hands taken in this space, else the nearest."""
        return self.components @ self.residual(hand_pose).reshape(45)

    def pose(self, coefficients: np.ndarray) -> np.ndarray:
        """(n,) -> absolute (15, 3)."""
        return (self.mean + coefficients @ self.components).reshape(15, 3)


@functools.lru_cache(maxsize=8)
def read_hand_space(body_model_root: str | Path, side: str, count: int = PCA) -> HandSpace:
    """The model file's own first `count` components of one hand."""
    arrays = read_model_file(find_model_file(str(Path(body_model_root) / 'mano'), 'MANO', f'MANO_{side.upper()}'), 'MANO')
    return HandSpace(np.array(arrays['hands_mean'], float), np.array(arrays['hands_components'], float)[:count])


def to_world(who: Figure | Hand, rotation: np.ndarray, translation: np.ndarray) -> Figure | Hand:
    """The same person or hand, parameters and points, in another frame.
    Convention: X_c = R X_w + t with R = rotation (3, 3), t = translation (3,) metres, so X_w = R^T (X_c - t). J0 stays:
    orient_w = log(R^T exp(orient_c)), transl_w = R^T (J0 + transl_c - t) - J0.
    With R = 1 and t = (0, 0, 1), whoever stands at z = 3 in the camera stands at z = 2 in the world.
    Joints 127..143, the face's contour, stay the same points; a layer posed in the world takes others, since `smplx` chooses
    them by the head's yaw in the frame it is given."""
    rotation, translation = np.asarray(rotation, float), np.asarray(translation, float)
    if rotation.shape != (3, 3) or not np.allclose(rotation @ rotation.T, np.eye(3)) or np.linalg.det(rotation) < 0:
        raise ValueError(f'rotation is {rotation.tolist()}, but a frame is turned by a matrix (3, 3) with R R^T = 1, det 1.')
    root = (who.joints if isinstance(who, Figure) else who.keypoints)[0]  # J0 + transl
    rest = root - who.transl
    orient = Rotation.from_matrix(rotation.T) * Rotation.from_rotvec(who.global_orient)

    def moved(points: np.ndarray) -> np.ndarray:
        return (points - translation) @ rotation

    same = dict(global_orient=orient.as_rotvec(), transl=moved(root) - rest, vertices=moved(who.vertices))
    if isinstance(who, Hand):
        return replace(who, **same, keypoints=moved(who.keypoints))
    hands = {side: to_world(hand, rotation, translation) for side, hand in who.hands.items()}
    return replace(who, **same, joints=moved(who.joints), hands=hands)


def take_shots(body_model_root: str | Path, count: int, size: tuple[int, int] = (320, 240), seed: int = 0, people: int = 1,
               genders: Sequence[str] = ('neutral',), framings: Sequence[str] = FRAMINGS, hand_space: str = 'free',
               K: np.ndarray | None = None, subjects: int | None = None, device: str = 'cpu') -> list[Shot]:
    """`count` pictures of `people` persons each, every one in a pose of its own. size (width, height), both even.
    `subjects` persons take turns, as many as `people` or `genders` need if None; genders take turns among them, framings among
    pictures. K (3, 3) holds for all pictures, or None: drawn for each."""
    studio = _Studio(str(body_model_root), seed, tuple(genders), hand_space, device)
    _check(framings, FRAMINGS, 'framings')
    turn = _turns(count, people, subjects or max(2, people, len(genders)))
    poses = {n: iter(studio.stand(n, int((turn == n).sum()))) for n in np.unique(turn).tolist()}
    shots = []
    for k, numbers in enumerate(turn.tolist()):
        rng = stream(seed, 'shot', str(k))
        places = (np.arange(people) - (people - 1) / 2) * _APART
        group = [next(poses[n]).moved((x, rng.uniform(-0.3, 0.3), 0.0)) for n, x in zip(numbers, places, strict=True)]
        intrinsics = _draw_K(size, (1.0, 1.5), rng) if K is None else np.array(K, float)
        shots.append(studio.photograph(group, [_framed(group, framings[k % len(framings)], intrinsics, size, rng)], rng))
    return shots


def take_hand_shots(body_model_root: str | Path, count: int, size: tuple[int, int] = (224, 224),
                    sides: Sequence[str] = ('right',), seed: int = 0, genders: Sequence[str] = ('neutral',),
                    hand_space: str = 'free', K: np.ndarray | None = None, subjects: int | None = None,
                    device: str = 'cpu') -> list[Shot]:
    """`count` close-ups of a person's hands of `sides`, one or both, which fill the picture; the other arm hangs down.
    A shot's one figure is the whole person, so its truth is `figures[0].hands[side]`. The rest as in `take_shots`."""
    studio = _Studio(str(body_model_root), seed, tuple(genders), hand_space, device)
    _check(sides, SIDES, 'sides')
    turn = _turns(count, 1, subjects or max(2, len(genders)))[:, 0]
    poses = {n: iter(studio.show_hands(n, int((turn == n).sum()), sides)) for n in np.unique(turn).tolist()}
    shots = []
    for k, number in enumerate(turn.tolist()):
        rng, pose = stream(seed, 'close-up', *sides, str(k)), next(poses[number])
        intrinsics = _draw_K(size, (1.9, 2.5), rng) if K is None else np.array(K, float)
        hands = np.concatenate([pose.vertices[pose.person.hand_weight[side] > 0.5] for side in sides])
        cameras = [_fitted(hands, pose.vertices, _direction(rng, 1.2, (-25, 60)), intrinsics, size, _HAND_MARGIN)
                   for _ in range(_LOOKS)]
        shots.append(studio.photograph([pose], cameras, rng, sides))
    return shots


@dataclass(frozen=True)
class _Pose:
    """A person at one moment in the world: rotations (55, 3, 3), transl (3,), expression (10,), vertices (V, 3); whether
    seated. `pointed`: the person's layer, which skins no more than joints need."""
    person: Person
    pointed: SMPLXLayer
    rotations: np.ndarray
    transl: np.ndarray
    expression: np.ndarray
    vertices: np.ndarray
    seated: bool

    def moved(self, by) -> '_Pose':
        """The same, aside."""
        return replace(self, transl=self.transl + by, vertices=self.vertices + by)


@dataclass(frozen=True)
class _Studio:
    """Who can be photographed, and how."""
    body_models: str
    seed: int
    genders: tuple[str, ...]
    hand_space: str
    device: str

    def __post_init__(self):
        if self.hand_space not in HAND_SPACES:
            raise ValueError(f'hand_space is {self.hand_space!r}: choose from {HAND_SPACES}.')
        _check(self.genders, GENDERS, 'genders')

    def stand(self, number: int, count: int) -> list[_Pose]:
        """A subject in `count` poses of the whole body."""
        person = self._subject(number)
        whole = separate_poses(person, count, stream(self.seed, 'poses', str(number)), _YAW)
        return self._posed(person, whole.motion, np.array([kind == 'sit' for kind in whole.kinds]))

    def show_hands(self, number: int, count: int, sides: Sequence[str]) -> list[_Pose]:
        """A subject who stands with hands before the chest."""
        person, rng = self._subject(number), stream(self.seed, 'gestures', *sides, str(number))
        tries = _GESTURES if len(set(sides)) > 1 else 1
        drawn = [min((gesture(person, 1, rng) for _ in range(tries)), key=lambda one: _between(person, one))
                 for _ in range(count)]
        motion = Motion(*(np.concatenate([getattr(one, name) for one in drawn]) for name in ('rotations', 'transl')))
        for side in set(SIDES) - set(sides):
            for joint, angle in (('shoulder', _HANGING), ('elbow', 0.0), ('wrist', 0.0)):
                down = (0, 0, angle if side == 'right' else -angle)
                motion.rotations[:, JOINT_NAMES.index(f'{side}_{joint}')] = turns(down)
        return self._posed(person, with_legs(person, motion, rng), np.zeros(count, bool))

    def photograph(self, group: list[_Pose], cameras: list[Camera], rng: np.random.Generator,
                   sides: Sequence[str] = ()) -> Shot:
        """The picture, and what the camera has before it: of several the one that sees the hands of `sides` best."""
        props = [floor(rng)]
        for pose in group:
            pelvis = pose.transl + pose.person.at('pelvis')
            props.append(stool(pose.vertices[None], pelvis[None], pose.rotations[None, 0], np.array([pose.seated]), rng))
        vertices, size = np.concatenate([pose.vertices for pose in group]).astype(np.float32), cameras[0].size
        world = WorldMotion(group[0].rotations[None], group[0].transl[None], vertices[None], {})
        scene = Scene(join_people([pose.person for pose in group]), world, None, size, rng, 0.0, self.device, props)
        camera = cameras[0] if len(cameras) == 1 else max(cameras, key=lambda one: _shown(scene, one, sides))
        image, _ = scene.photograph(0, camera, make_backdrop(size, rng))
        return Shot(image, camera.K, [_figure(pose, camera.world_to_cam, self.body_models) for pose in group])

    def _subject(self, number: int) -> Person:
        return _subject(self.body_models, self.genders[number % len(self.genders)], self.seed, number)

    def _posed(self, person: Person, motion: Motion, seated: np.ndarray) -> list[_Pose]:
        """The motion's moments, with hands of the space that is asked for."""
        for side, inwards in zip(SIDES, (-_VERGENCE, _VERGENCE), strict=True):
            eye, fingers = JOINT_NAMES.index(f'{side}_eye_smplhf'), list(HAND_JOINTS[side][1:])
            motion.rotations[:, eye] = turns((0, inwards, 0)) @ motion.rotations[:, eye]
            if self.hand_space == 'pca12':
                space = read_hand_space(self.body_models, side)
                drawn = rotvecs(motion.rotations[:, fingers])
                motion.rotations[:, fingers] = turns(np.stack([space.pose(space.coefficients(hand)) for hand in drawn]))
        world = put_in_world(person, motion)
        moments = zip(world.rotations, world.transl, world.expression, world.vertices.astype(float), seated.tolist(),
                      strict=True)
        pointed = person.layer.landmarks_only()
        return [_Pose(person, pointed, *moment) for moment in moments]


def _between(person: Person, motion: Motion) -> float:
    """Metres from wrist to wrist in the first frame."""
    body = BodyPose(person, 1)
    body.local, body.transl = motion.rotations[:1], motion.transl[:1]
    return float(np.linalg.norm(body.place('left_wrist') - body.place('right_wrist')))


def _figure(pose: _Pose, world_to_cam: np.ndarray, body_models: str) -> Figure:
    """A person as the camera (4, 4) has it."""
    turn, shift = world_to_cam[:3, :3], world_to_cam[:3, 3]
    rest = pose.person.at('pelvis')
    rotations = pose.rotations.copy()
    rotations[0] = turn @ rotations[0]
    rotvec, transl = rotvecs(rotations), turn @ (rest + pose.transl) + shift - rest
    parts = torch.from_numpy(rotations[None]).float().split(tuple(POSE_PARTS.values()), dim=1)
    with torch.no_grad():  # not the world's joints: which points make the face's contour depends on the frame
        out = pose.pointed(**dict(zip(POSE_PARTS, parts, strict=True)), expression=torch.from_numpy(pose.expression[None]))
    joints = out.joints[0].double().numpy() + transl
    return Figure(pose.person.gender, pose.person.betas.astype(float), pose.expression.astype(float), rotvec[0], rotvec[1:22],
                  rotvec[22], rotvec[23:25], rotvec[25:].reshape(2, 15, 3), transl, pose.vertices @ turn.T + shift, joints,
                  {side: _hand(pose.person, side, rotations, joints, body_models) for side in SIDES})


def _hand(person: Person, side: str, rotations: np.ndarray, joints: np.ndarray, body_models: str) -> Hand:
    """The hand at a body's wrist: rotations (55, 3, 3) and joints (144, 3) of the camera frame."""
    layer, fingers = _mano(body_models, side), rotations[list(HAND_JOINTS[side][1:])]
    orient = functools.reduce(np.matmul, rotations[list(ARM_CHAIN[side])])
    betas = torch.from_numpy(person.mano_betas)[None]
    transl = joints[HAND_JOINTS[side][0]] - layer.root_joint(betas)[0].double().numpy()
    with torch.no_grad():
        out = layer(*(torch.from_numpy(turn).float() for turn in (orient[None, None], fingers[None])), betas)
    return Hand(side, person.mano_betas.astype(float), rotvecs(orient), rotvecs(fingers), transl,
                *(points[0].double().numpy() + transl for points in (out.vertices, out.keypoints)))


def _framed(group: list[_Pose], framing: str, K: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> Camera:
    """A camera, from about the front, that holds of a group what FRAMINGS say."""
    points, looking = [pose.vertices for pose in group], _direction(rng, 1.0, (-3, 22))
    everything = np.concatenate(points)
    if framing == 'upper':
        owners = [pose.person.layer.weights.argmax(dim=0).numpy() for pose in group]
        points = [vertices[~np.isin(owner, _LEGS)] for vertices, owner in zip(points, owners, strict=True)]
    wanted = np.concatenate(points)
    if framing != 'cut':
        return _fitted(wanted, everything, looking, K, size, _MARGIN)
    side = rng.choice((-1, 1))  # left or right
    along = side * (wanted @ looking[0])
    wanted = wanted[along < np.quantile(along, 1 - _CUT / len(group))]
    camera = _fitted(wanted, everything, looking, K, size, _MARGIN)
    columns = camera.project(wanted)[:, 0]
    edge = (side * columns).argmax()
    depth = looking[2] @ wanted[edge] + camera.world_to_cam[2, 3]
    camera.world_to_cam[0, 3] += ((size[0] - 1 if side > 0 else 0) - columns[edge]) * depth / K[0, 0]  # the rest is beyond
    return camera


def _direction(rng: np.random.Generator, around: float, elevation: tuple[float, float]) -> np.ndarray:
    """Rotation (3, 3) world to camera: azimuth radians to either side of the front, elevation degrees."""
    azimuth, up = rng.uniform(-around, around), np.radians(rng.uniform(*elevation))
    eye = np.array([np.sin(azimuth) * np.cos(up), -np.cos(azimuth) * np.cos(up), np.sin(up)])
    return look(eye, np.zeros(3), np.radians(rng.normal(0, 3)))[:3, :3]


def _draw_K(size: tuple[int, int], focal: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Pixels not quite square, principal point not quite in the middle; focal: in lengths of the longer side."""
    fx = max(size) * rng.uniform(*focal)
    cx, cy = (np.array(size) - 1) / 2 + rng.uniform(-0.03, 0.03, 2) * size
    return np.array([[fx, 0, cx], [0, fx * rng.uniform(0.99, 1.01), cy], [0, 0, 1]])


def _fitted(wanted: np.ndarray, everything: np.ndarray, looking: np.ndarray, K: np.ndarray, size: tuple[int, int],
            margin: float) -> Camera:
    """The nearest camera on the line through the middle of `wanted` (N, 3), world, that holds all of it and stays before
    `everything` (M, 3)."""
    local = wanted @ looking.T
    middle = (local.min(axis=0) + local.max(axis=0)) / 2
    local -= middle
    free, centre = margin * np.array(size), K[:2, 2]
    reach = np.where(local[:, :2] > 0, np.array(size) - 1 - free - centre, centre - free)  # pixels to the border on that side
    if reach.min() <= 0:
        raise ValueError(f'K is {np.asarray(K).tolist()}, whose principal point is not within a picture of {size}.')
    depth = (np.diag(K)[:2] * np.abs(local[:, :2]) / reach - local[:, 2:]).max()
    depth = max(depth, _NEAREST - (everything @ looking[2] - middle[2]).min())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = looking, np.array([0, 0, depth]) - middle
    return Camera(K, matrix, size)


def _shown(scene: Scene, camera: Camera, sides: Sequence[str]) -> int:
    """Of a grid of points in the picture, how many see the hand that is least seen."""
    grid = np.stack(np.meshgrid(*(np.linspace(0, length - 1, _PREVIEW) for length in camera.size)), axis=-1).reshape(-1, 2)
    face = scene.mesh.sample(grid, camera.K, camera.world_to_cam, scene.light).face
    part = scene.person.part[face[(face >= 0) & (face < len(scene.person.part))]]
    return min(int((part == PARTS.index(side)).sum()) for side in sides)


def _turns(count: int, people: int, subjects: int) -> np.ndarray:
    """Numbers (count, people) of the subjects in each picture."""
    if not 1 <= people <= subjects or count < 1:
        raise ValueError(f'count is {count}, people is {people}, subjects is {subjects}: take at least one picture, with at '
                         'least one person and at most as many as there are subjects.')
    return np.arange(count * people).reshape(count, people) % subjects


def _check(given: Sequence[str], known: Sequence[str], name: str) -> None:
    if isinstance(given, str) or not given or not set(given) <= set(known):
        raise ValueError(f'{name} is {given!r}: give a list of at least one of {tuple(known)}.')


@functools.lru_cache(maxsize=3)
def smplx_layer(body_models: str, gender: str) -> SMPLXLayer:
    """The layer of a gender, which shots are taken with."""
    return SMPLXLayer(body_models, gender)


@functools.lru_cache(maxsize=2)
def _mano(body_models: str, side: str) -> MANOLayer:
    return MANOLayer(body_models, side)


@functools.lru_cache(maxsize=8)
def _subject(body_models: str, gender: str, seed: int, number: int) -> Person:
    """`make_person` knows two genders; whichever it draws, the person is made with the layer that is asked for."""
    layer, name = smplx_layer(body_models, gender), f'subject{number}'
    drawn = make_person(name, dict.fromkeys(('male', 'female'), layer), stream(seed, 'person', 'shots', name))
    return replace(drawn, gender=gender)
