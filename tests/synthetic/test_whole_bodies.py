"""Whole people: postures within limits, feet on the floor, arms clear of the body; what ARCTIC's layout says of them."""
import dataclasses
import json

import numpy as np
import pytest
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.body_models.open_model.skeleton import JOINT_NAMES
from hmradapter.body_models.smplx_layer import POSE_PARTS
from hmradapter.datasets import PersonDataset
from hmradapter.datasets.sources import ArcticSource
from hmradapter.fileio import load_object_npy
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures.joints import POSE53_PARTS, WHOLE137_FROM_SMPLX144
from hmradapter.synthetic.body_motion import continuous_motion, separate_poses, with_legs
from hmradapter.synthetic.body_pose import BodyPose
from hmradapter.synthetic.clearance import arm_depth, trunk_and_legs
from hmradapter.synthetic.curves import rotvecs
from hmradapter.synthetic.generator import Recipe, generate
from hmradapter.synthetic.motion import handle
from hmradapter.synthetic.objects import make_object
from hmradapter.synthetic.people import join_people, neutral_betas
from hmradapter.synthetic.postures import KINDS
from hmradapter.synthetic.scene import put_in_world
from hmradapter.synthetic.scenery import floor, stool


def angle(motion, joint):
    return np.linalg.norm(rotvecs(motion.rotations[:, JOINT_NAMES.index(joint)]), axis=-1)


@pytest.fixture(scope='module')
def many(person):
    return separate_poses(person, 60, np.random.default_rng(2))


def test_every_pose_stands_on_the_floor_over_its_middle(person, many):
    vertices = put_in_world(person, many.motion).vertices
    np.testing.assert_allclose(vertices[..., 2].min(axis=1), 0, atol=1e-4)
    middle = (vertices.min(axis=1) + vertices.max(axis=1))[:, :2] / 2
    np.testing.assert_allclose(middle, np.tile((0.2, -0.1), (60, 1)), atol=1e-4)
    assert set(many.kinds) == set(KINDS)


def test_joints_keep_to_their_limits(many):
    motion = many.motion
    assert np.allclose(np.linalg.det(motion.rotations), 1) and motion.expression.shape == (60, 10)
    for side in ('left', 'right'):
        knee = rotvecs(motion.rotations[:, JOINT_NAMES.index(f'{side}_knee')])
        assert np.abs(knee[:, 1:]).max() < 1e-6 and knee[:, 0].min() >= 0 and knee[:, 0].max() < np.radians(131)  # a hinge
        assert angle(motion, f'{side}_hip').max() < np.radians(160)
        assert angle(motion, f'{side}_ankle').max() < np.radians(50)
        assert angle(motion, f'{side}_wrist').max() < np.radians(90)
    assert angle(motion, 'jaw').max() < np.radians(30)
    assert angle(motion, 'left_knee').std() > 0.3 and angle(motion, 'left_shoulder').std() > 0.2  # many poses


def test_arms_keep_clear_of_trunk_and_legs(person, many):
    """In nine of ten poses no arm is 1 cm deep in anything (balls along it, summed)."""
    body = BodyPose(person, 60)
    body.local, body.transl = many.motion.rotations, many.motion.transl
    obstacles = trunk_and_legs(body)
    for side, sign in (('left', 1), ('right', -1)):
        wrist = body.place(f'{side}_wrist')
        tip = wrist + sign * 0.15 * body.world(f'{side}_wrist')[:, :, 0]
        depth = arm_depth(obstacles, body.place(f'{side}_elbow'), wrist, tip)
        assert (depth < 0.01).mean() > 0.9
    far = BodyPose(person, 1)  # arms out in the T-pose are clear, and one laid onto the belly is not
    at = far.place('spine2')
    assert arm_depth(trunk_and_legs(far), far.place('left_elbow'), far.place('left_wrist'), far.place('left_index1'))[0] == 0
    assert arm_depth(trunk_and_legs(far), at, at, at)[0] > 0.1


def test_a_walk_goes_where_it_faces_and_flat_hands_are_flat(person):
    rng = np.random.default_rng(0)
    motion = continuous_motion(person, 'walk', 10, rng, 0.7, flat_hands=True).motion
    world = put_in_world(person, motion)
    gone = (world.vertices[-1].mean(axis=0) - world.vertices[0].mean(axis=0))[:2]
    assert gone @ (np.sin(0.7), -np.cos(0.7)) > 0.8
    assert (motion.rotations[:, 22:] == np.eye(3)).all() and motion.expression is None
    assert np.abs(np.diff(world.vertices, axis=0)).max() < 0.6  # nobody leaps


def test_legs_do_not_change_what_hands_do(person):
    thing = make_object('box', np.random.default_rng(0))
    held = handle(person, thing, 4, np.random.default_rng(1))
    stood = with_legs(person, held, np.random.default_rng(2))
    legs = [JOINT_NAMES.index(f'{side}_{joint}') for side in ('left', 'right') for joint in ('hip', 'knee', 'ankle', 'foot')]
    face = [JOINT_NAMES.index(joint) for joint in ('jaw', 'left_eye_smplhf', 'right_eye_smplhf')]
    same = np.setdiff1d(np.arange(55), [*legs, *face])
    np.testing.assert_array_equal(stood.rotations[:, same], held.rotations[:, same])
    np.testing.assert_allclose(stood.object_translation - stood.transl, held.object_translation - held.transl, atol=1e-12)
    np.testing.assert_allclose(put_in_world(person, stood).vertices[..., 2].min(axis=1), 0, atol=1e-4)


def test_a_stool_is_under_who_sits(person, many):
    world = put_in_world(person, many.motion)
    seated = np.array([kind == 'sit' for kind in many.kinds])
    pelvis = world.transl + person.at('pelvis')
    prop = stool(world.vertices, pelvis, world.rotations[:, 0], seated, np.random.default_rng(0))
    top = prop.points[..., 2].max(axis=1)
    assert ((top[seated] > 0.25) & (top[seated] < pelvis[seated, 2])).all() and (top[~seated] <= 0).all()
    ground = floor(np.random.default_rng(0))
    a, b, c = ground.points[0][ground.faces[0]]
    assert np.cross(b - a, c - a)[2] > 0  # faces up


def test_two_people_are_one_mesh(person):
    both = join_people([person, person])
    count = len(person.template)
    assert both.faces.max() == 2 * count - 1 and len(both.materials) == 2 * len(person.materials)
    np.testing.assert_array_equal(both.faces[len(person.faces):], person.faces + count)
    assert both.material.max() < len(both.materials) and len(both.padding) == 2 * count


@pytest.fixture(scope='module')
def bodies(open_body_models, tmp_path_factory):
    recipe = Recipe(domain='bodies', subjects=1, val_subjects=0, sequences=1, frames=2, views=(3,), size=(160, 120), seed=2,
                    body_models=str(open_body_models))
    out = tmp_path_factory.mktemp('bodies') / 'arctic'
    assert generate(recipe, out)['images'] == 2
    return recipe, out


def test_arctics_layout_says_shape_and_face_too(bodies, open_body_models):
    """The neutral model with betas_neutral and expression is the person that was photographed."""
    recipe, out = bodies
    assert recipe.split_sequences()['train'] == ['s01/none_pose_01']
    assert not (out / 'meta' / 'object_vtemplates').exists()
    content = load_object_npy(out / 'raw_seqs' / 's01' / 'none_pose_01.smplx.npy')
    assert content['expression'].shape == (22, 10) and content['betas_neutral'].shape == (22, 10)
    template = np.array([line.split()[1:] for line in (out / 'meta/subject_vtemplates/s01.obj').read_text().splitlines()
                         if line.startswith('v ')], np.float32)
    neutral = SMPLXLayer(open_body_models)(betas=torch.from_numpy(content['betas_neutral'])[:1])
    np.testing.assert_allclose(neutral.vertices[0], template, atol=1e-5)
    assert np.abs(content['jaw_pose']).max() > 0 and np.abs(content['expression']).max() > 0


def test_the_dataset_reads_shape_and_face(bodies, open_body_models):
    """The neutral model posed by the labels has the labelled joints to 0.1 mm; landmarks of the face are each gender's own."""
    _, out = bodies
    dataset = PersonDataset(ArcticSource(str(out), str(open_body_models), split='train', views=(3,), stride=1))
    info = dataset.get_data_info(0)
    assert info['has_betas'] == info['has_expression'] == 1 and info['pose_valid'].all()
    pose = info['pose'][None].float()
    posed = {name: pose[:, part] for name, part in POSE53_PARTS.items()}
    content = load_object_npy(out / 'raw_seqs' / 's01' / 'none_pose_01.smplx.npy')
    body = SMPLXLayer(open_body_models, face_contour=False)(
        **posed, betas=info['betas'][None], expression=info['expression'][None], transl=info['transl'][None])
    known = info['keypoints_3d'][:, 3] > 0
    of_model = np.array(WHOLE137_FROM_SMPLX144)[known.numpy()]
    away = (body.joints[0, of_model] - info['keypoints_3d'][known, :3]).norm(dim=-1)
    assert known.sum() > 100
    exact = (of_model < 76) & ~np.isin(of_model, (56, 57))  # pupils: the expert's pose has no eyes
    assert away[exact].max() < 1e-4 and away.max() < 0.008
    offset = json.loads((out / 'meta' / 'misc.json').read_text())['s01']['ioi_offset']
    np.testing.assert_array_equal(info['expression'], content['expression'][10 - offset])
    assert info['expression'].abs().max() > 0.01


def test_whole_people_are_in_the_frame(bodies, open_body_models):
    _, out = bodies
    about = json.loads((out / 'meta' / 'misc.json').read_text())['s01']
    content = load_object_npy(out / 'raw_seqs' / 's01' / 'none_pose_01.smplx.npy')
    layer = SMPLXLayer(open_body_models, about['gender'])
    pose = {name: torch.from_numpy(content[name]).reshape(-1, count, 3) for name, count in POSE_PARTS.items()}
    transl = torch.from_numpy(content['transl'])
    body = layer(**{name: axis_angle_to_rotmat(part) for name, part in pose.items()}, transl=transl)
    world2cam, K = (np.array(about[name][2]) for name in ('world2cam', 'intris_mat'))
    camera = body.joints.numpy()[10:12] @ world2cam[:3, :3].T + world2cam[:3, 3]
    pixels = camera @ K.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    assert (pixels > 0).all() and (pixels < (160, 120)).all()
    assert np.ptp(pixels[..., 1], axis=1).min() > 30


def test_neutral_betas_are_the_genders_own_and_more(person, open_body_models):
    layers = {gender: SMPLXLayer(open_body_models, gender) for gender in ('neutral', 'male', 'female')}
    same = dataclasses.replace(person, gender='neutral')
    np.testing.assert_allclose(neutral_betas(same, layers), person.betas, atol=1e-6)
