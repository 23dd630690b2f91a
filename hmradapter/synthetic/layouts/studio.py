"""Who can be photographed: people of drawn shapes in drawn poses, and what a camera that is given sees of them."""
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hmradapter.body_models import MANOLayer, SMPLXLayer
from hmradapter.body_models.open_model.skeleton import HAND_JOINTS, JOINT_NAMES
from hmradapter.body_models.smplx_layer import GENDERS, POSE_PARTS
from hmradapter.structures.joints import ARM_CHAIN
from hmradapter.synthetic.backdrop import make_backdrop
from hmradapter.synthetic.body_motion import separate_poses, with_legs
from hmradapter.synthetic.body_pose import BodyPose
from hmradapter.synthetic.cameras import Camera
from hmradapter.synthetic.curves import rotvecs, turns
from hmradapter.synthetic.motion import Motion, gesture
from hmradapter.synthetic.people import PARTS, SIDES, Person, join_people, make_person
from hmradapter.synthetic.runs import stream
from hmradapter.synthetic.scene import Scene, WorldMotion, put_in_world
from hmradapter.synthetic.scenery import floor, stool

from .figures import Figure, Hand, Shot, read_hand_space

HAND_SPACES = ('free', 'pca12')       # any finger pose, or those that the model file's first 12 components reach
_HANGING = 1.25   # radians that an arm at rest is let down
_YAW = 2.2        # radians to either side of facing the cameras' middle
_VERGENCE = 0.03  # radians that each eye turns inwards, lest both be told by the same numbers
_GESTURES = 4     # of both hands that are drawn for a picture, of which the one with the hands closest together is kept
_PREVIEW = 32     # points across and down at which a view of hands is looked at


def check_among(given: Sequence[str], known: Sequence[str], name: str) -> None:
    """ValueError unless `given` is a list of some of the `known`."""
    if isinstance(given, str) or not given or not set(given) <= set(known):
        raise ValueError(f'{name} is {given!r}: give a list of at least one of {tuple(known)}.')


@dataclass(frozen=True)
class Pose:
    """A person at one moment in the world: rotations (55, 3, 3), transl (3,), expression (10,), vertices (V, 3); whether
    seated. `pointed`: the person's layer, which skins no more than joints need."""
    person: Person
    pointed: SMPLXLayer
    rotations: np.ndarray
    transl: np.ndarray
    expression: np.ndarray
    vertices: np.ndarray
    seated: bool

    def moved(self, by) -> 'Pose':
        """The same, aside."""
        return replace(self, transl=self.transl + by, vertices=self.vertices + by)


@dataclass(frozen=True)
class Studio:
    """Who can be photographed, and how."""
    body_models: str
    seed: int
    genders: tuple[str, ...]
    hand_space: str
    device: str

    def __post_init__(self):
        if self.hand_space not in HAND_SPACES:
            raise ValueError(f'hand_space is {self.hand_space!r}: choose from {HAND_SPACES}.')
        check_among(self.genders, GENDERS, 'genders')

    def stand(self, number: int, count: int) -> list[Pose]:
        """A subject in `count` poses of the whole body."""
        person = self._subject(number)
        whole = separate_poses(person, count, stream(self.seed, 'poses', str(number)), _YAW)
        return self._posed(person, whole.motion, np.array([kind == 'sit' for kind in whole.kinds]))

    def show_hands(self, number: int, count: int, sides: Sequence[str]) -> list[Pose]:
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

    def photograph(self, group: list[Pose], cameras: list[Camera], rng: np.random.Generator,
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

    def _posed(self, person: Person, motion: Motion, seated: np.ndarray) -> list[Pose]:
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
        return [Pose(person, pointed, *moment) for moment in moments]


def _between(person: Person, motion: Motion) -> float:
    """Metres from wrist to wrist in the first frame."""
    body = BodyPose(person, 1)
    body.local, body.transl = motion.rotations[:1], motion.transl[:1]
    return float(np.linalg.norm(body.place('left_wrist') - body.place('right_wrist')))


def _figure(pose: Pose, world_to_cam: np.ndarray, body_models: str) -> Figure:
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


def _shown(scene: Scene, camera: Camera, sides: Sequence[str]) -> int:
    """Of a grid of points in the picture, how many see the hand that is least seen."""
    grid = np.stack(np.meshgrid(*(np.linspace(0, length - 1, _PREVIEW) for length in camera.size)), axis=-1).reshape(-1, 2)
    face = scene.mesh.sample(grid, camera.K, camera.world_to_cam, scene.light).face
    part = scene.person.part[face[(face >= 0) & (face < len(scene.person.part))]]
    return min(int((part == PARTS.index(side)).sum()) for side in sides)


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
