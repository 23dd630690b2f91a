"""The open body stands, bends and differs like a human body, in SMPL-X's conventions."""
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hmradapter.body_models import MANOLayer, SMPLXLayer, load_hand_vertex_ids, require_open_body_models
from hmradapter.body_models.open_model.landmarks import EXTRA_JOINTS
from hmradapter.body_models.open_model.skeleton import JOINT_NAMES, PARENTS
from hmradapter.fileio.pickles import load_pickle
from hmradapter.geometry.kinematics import chain_product
from hmradapter.geometry.mirror import mirror_body_pose, mirror_points, mirror_rotmat
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures.joints import ARM_CHAIN, HAND21_FROM_SMPLX144

LEFT, RIGHT = ([k for k, name in enumerate(JOINT_NAMES) if name.startswith(side)] for side in ('left', 'right'))


@pytest.fixture(scope='module')
def body(open_body_models):
    return SMPLXLayer(open_body_models)


@pytest.fixture(scope='module')
def hands(open_body_models):
    return {side: MANOLayer(open_body_models, side) for side in ('right', 'left')}


def turned(joint, axis_angle, count=22):
    """(1, count, 3, 3) at rest but for one joint; joint 0 is the root."""
    pose = torch.zeros(1, count, 3)
    pose[0, joint] = torch.tensor(axis_angle)
    return axis_angle_to_rotmat(pose)


def at(joints, name):
    extra = {point: 55 + k for k, point in enumerate(EXTRA_JOINTS)}
    return joints[..., extra[name] if name in extra else JOINT_NAMES.index(name), :]


def test_rest_pose_is_smplx_convention(body):
    joints, vertices = (x[0] for x in (body().joints, body().vertices))
    assert at(joints, 'head')[1] > at(joints, 'pelvis')[1] > at(joints, 'left_foot')[1]      # y up
    assert at(joints, 'nose')[2] > at(joints, 'head')[2] + 0.05                              # facing +z
    assert at(joints, 'LBigToe')[2] > at(joints, 'LHeel')[2] + 0.15
    assert at(joints, 'left_wrist')[0] > 0.5 > -0.5 > at(joints, 'right_wrist')[0]           # T-pose, left at +x
    for side in ('left', 'right'):
        arm = torch.stack([at(joints, f'{side}_{name}') for name in ('shoulder', 'elbow', 'wrist', 'middle1', 'middle3')])
        assert (arm[:, 1] - arm[0, 1]).abs().max() < 0.02
    assert 1.5 < vertices[:, 1].max() - vertices[:, 1].min() < 2.0


def test_parents_are_smplxs(body):
    from smplx.joint_names import JOINT_NAMES as OFFICIAL
    assert list(JOINT_NAMES) == OFFICIAL[:55]
    assert body.parents == list(PARENTS)


def test_skinning_is_a_blend_and_joints_are_means_of_vertices(open_body_models):
    with np.load(open_body_models / 'smplx' / 'SMPLX_MALE.npz') as file:
        weights, regressor = file['weights'], file['J_regressor']
    assert_close(weights.sum(1), np.ones(len(weights), np.float32), atol=1e-5, rtol=0)
    assert_close(regressor.sum(1), np.ones(55, np.float32), atol=1e-5, rtol=0)
    assert weights.min() >= 0
    assert regressor.min() >= 0


def test_faces_look_outwards(body):
    """Signed volume is that of a person in litres, and positive."""
    a, b, c = (body.v_template[body.faces[:, k]].double() for k in range(3))
    assert 40 < (a * torch.linalg.cross(b, c)).sum() / 6 * 1000 < 120


def test_a_mirrored_pose_gives_the_mirrored_body(body):
    generator = torch.Generator().manual_seed(3)
    pose = axis_angle_to_rotmat(0.5 * torch.randn(1, 22, 3, generator=generator))
    fingers = axis_angle_to_rotmat(0.5 * torch.randn(2, 1, 15, 3, generator=generator))
    mirrored, swapped = mirror_body_pose(pose), mirror_rotmat(fingers.flip(0))
    one = body(pose[:, :1], pose[:, 1:], fingers[0], fingers[1]).joints[:, :55]
    other = body(mirrored[:, :1], mirrored[:, 1:], swapped[0], swapped[1]).joints[:, :55]
    swap = np.arange(55)
    swap[LEFT], swap[RIGHT] = RIGHT, LEFT
    assert_close(mirror_points(one)[:, swap], other, atol=2e-5, rtol=0)


@pytest.mark.parametrize(('joint', 'axis_angle', 'moved', 'direction'), [
    ('left_elbow', (0, -1.2, 0), 'left_wrist', (0, 0, 1)),     # forearms fold forward
    ('right_elbow', (0, 1.2, 0), 'right_wrist', (0, 0, 1)),
    ('left_shoulder', (0, 0, -1.2), 'left_wrist', (0, -1, 0)),  # arms drop
    ('right_shoulder', (0, 0, 1.2), 'right_wrist', (0, -1, 0)),
    ('left_knee', (1.2, 0, 0), 'left_ankle', (0, 0, -1)),       # shins fold back
    ('right_hip', (-1.2, 0, 0), 'right_knee', (0, 0, 1)),       # thighs lift
    ('spine2', (0.8, 0, 0), 'head', (0, 0, 1)),                 # bow
    ('neck', (0, 0.8, 0), 'nose', (1, 0, 0))])                  # look to the left
def test_joints_bend_the_right_way(body, joint, axis_angle, moved, direction):
    pose = turned(JOINT_NAMES.index(joint), axis_angle)
    shift = at(body(pose[:, :1], pose[:, 1:]).joints - body().joints, moved)[0]
    assert shift @ torch.tensor(direction, dtype=torch.float32) > 0.6 * shift.norm() > 0.03


@pytest.mark.parametrize('side', ['right', 'left'])
def test_the_relaxed_hand_curls_towards_the_palm(hands, side):
    """Palm down: tips of the four fingers go down and come nearer to the wrist."""
    layer, flat = hands[side], torch.eye(3).expand(1, 1, 3, 3)
    pose = axis_angle_to_rotmat(layer.hand_mean.reshape(1, 15, 3))
    rest = layer(flat, flat.expand(1, 15, 3, 3), torch.zeros(1, 10)).keypoints[0]
    curled = layer(flat, pose, torch.zeros(1, 10)).keypoints[0]
    tips = [8, 12, 16, 20]
    assert ((curled - rest)[tips, 1] < -0.02).all()
    assert ((curled[tips] - curled[0]).norm(dim=-1) < (rest[tips] - rest[0]).norm(dim=-1) - 0.005).all()


def test_fingertips_end_their_fingers_in_hand21(hands, body):
    for side, layer in hands.items():
        points = layer(torch.eye(3).expand(1, 1, 3, 3), torch.eye(3).expand(1, 15, 3, 3), torch.zeros(1, 10)).keypoints[0]
        whole = body().joints[0, list(HAND21_FROM_SMPLX144[side])]
        assert_close(points - points[0], whole - whole[0], atol=1e-5, rtol=0)
        lengths = (points[1:] - points[0]).norm(dim=-1).unflatten(0, (5, 4))
        assert (lengths.diff(dim=-1) > 0.01).all()
        assert (points[[4, 8, 12, 16, 20], 2].diff() < 0).all()  # from thumb (front) to pinky (back) on both sides


def test_left_mano_is_the_right_one_in_a_mirror(hands):
    generator = torch.Generator().manual_seed(5)
    pose = axis_angle_to_rotmat(0.6 * torch.randn(4, 16, 3, generator=generator))
    betas = torch.randn(4, 10, generator=generator)
    right = hands['right'](pose[:, :1], pose[:, 1:], betas)
    left = hands['left'](mirror_rotmat(pose[:, :1]), mirror_rotmat(pose[:, 1:]), betas)
    assert_close(left.vertices, mirror_points(right.vertices), atol=1e-6, rtol=0)
    assert_close(left.keypoints, mirror_points(right.keypoints), atol=1e-6, rtol=0)
    assert (hands['left'].faces == hands['right'].faces[:, ::-1]).all()
    assert_close(hands['left'].hand_mean, hands['right'].hand_mean * torch.tensor([1., -1, -1]).repeat(15))


@pytest.mark.parametrize('gender', ['neutral', 'male', 'female'])
def test_mean_hands_of_smplx_are_manos(open_body_models, hands, gender):
    body = SMPLXLayer(open_body_models, gender)
    assert_close(body.left_hand_mean, hands['left'].hand_mean, atol=1e-6, rtol=0)
    assert_close(body.right_hand_mean, hands['right'].hand_mean, atol=1e-6, rtol=0)


@pytest.mark.parametrize('gender', ['neutral', 'male', 'female'])
@pytest.mark.parametrize('side', ['right', 'left'])
def test_a_hand_of_the_body_is_the_mano_hand(open_body_models, hands, side, gender):
    """Same fingers, global_orient = product along the arm, betas mapped, wrists put together: vertices that do not hang on the
    forearm agree to rounding (0.01 mm). Those of the wrist's ring follow the forearm in part, but in MANO the wrist alone."""
    body, generator = SMPLXLayer(open_body_models, gender), torch.Generator().manual_seed(7)
    pose = axis_angle_to_rotmat(0.4 * torch.randn(2, 22, 3, generator=generator))
    fingers = axis_angle_to_rotmat(0.5 * torch.randn(2, 15, 3, generator=generator))
    betas = torch.randn(2, 10, generator=generator)
    whole = body(pose[:, :1], pose[:, 1:], betas=betas, **{f'{side}_hand_pose': fingers})
    hand = hands[side](chain_product(pose, ARM_CHAIN[side])[:, None], fingers, body.hand_betas(betas))
    ids = load_hand_vertex_ids(open_body_models)[side]
    wrist = JOINT_NAMES.index(f'{side}_wrist')
    gap = ((whole.vertices[:, ids] - whole.joints[:, wrist, None]) - (hand.vertices - hand.joints[:, :1])).norm(dim=-1).amax(0)
    on_forearm = body.weights[JOINT_NAMES.index(f'{side}_elbow'), ids] > 1e-6
    assert gap[~on_forearm].max() < 1e-5
    assert gap.max() < 0.03
    assert (~on_forearm).float().mean() > 0.85
    fingers_at = slice(25, 40) if side == 'left' else slice(40, 55)
    assert_close(hand.joints[:, 1:] - hand.joints[:, :1], whole.joints[:, fingers_at] - whole.joints[:, wrist, None],
                 atol=1e-5, rtol=0)


def test_shape_directions_are_people_and_hands_that_differ(body, hands):
    betas = torch.eye(10)
    change = (body(betas=betas).vertices - body().vertices).norm(dim=-1).mean(1)
    assert (change > 5e-4).all()
    assert change[0] > 0.02
    assert torch.linalg.matrix_rank(body.directions[:10]) == 10
    hand = hands['right'].directions[:10]
    gram = hand @ hand.T
    assert_close(gram, torch.diag(gram.diagonal()), atol=1e-3 * float(gram.max()), rtol=0)  # principal directions
    male, female = (np.ptp(SMPLXLayer(body.path.parent, gender).v_template[:, 1].numpy()) for gender in ('male', 'female'))
    assert male > female + 0.03


def test_expressions_move_the_face_alone(body):
    change = (body(expression=torch.eye(10)).vertices - body().vertices).norm(dim=-1)
    assert (change.amax(1) > 1e-3).all()
    head = body.weights[[JOINT_NAMES.index(name) for name in ('neck', 'head', 'jaw')]].sum(0) > 0.1
    assert change[:, ~head].max() < 1e-3


def test_face_landmarks_lie_where_their_names_say(body):
    points = body().joints[0, 76:]  # iBUG 17-67, then the contour 0-16
    brows, nose, eyes, mouth, contour = points[:10], points[10:19], points[19:31], points[31:51], points[51:]
    assert brows[:, 1].min() > eyes[:, 1].max() > nose[:, 1].max() - 0.02 > mouth[:, 1].max() > contour[:, 1].min()
    assert (eyes[:6, 0] < 0).all()
    assert (eyes[6:, 0] > 0).all()
    assert (contour[:, 0].diff() > 0).all() or contour[0, 0] < 0 < contour[-1, 0]
    assert contour[:, 1].argmin() in (7, 8, 9)


def test_pose_correctives_keep_a_bent_elbow_thick(body):
    """Blending alone flattens a joint bent by 90 degrees; the correctives give volume back without touching the rest pose."""
    pose = turned(JOINT_NAMES.index('left_elbow'), (0., -1.57, 0.))
    seam = (body.weights[18] * body.weights[16]) > 0.2
    plain = body.with_template(body.v_template)
    plain._buffers['directions'] = torch.cat([body.directions[:20], torch.zeros_like(body.directions[20:])])
    full, thin = (layer(pose[:, :1], pose[:, 1:]) for layer in (body, plain))
    elbow = at(full.joints, 'left_elbow')[:, None]
    assert (full.vertices - elbow)[:, seam].norm(dim=-1).mean() > 1.02 * (thin.vertices - elbow)[:, seam].norm(dim=-1).mean()
    assert_close(body().vertices, plain().vertices, atol=1e-6, rtol=0)


def test_j14_regressor_reads_limbs(open_body_models, body):
    j14 = torch.from_numpy(load_pickle(open_body_models / 'SMPLX_to_J14.pkl')) @ body.v_template
    assert_close(j14[0], at(body().joints, 'right_ankle')[0], atol=1e-5, rtol=0)
    assert j14[13, 1] == body.v_template[:, 1].max()


def test_unbuilt_models_are_asked_for_with_the_command(tmp_path, open_body_models):
    assert require_open_body_models(open_body_models) == open_body_models
    with pytest.raises(FileNotFoundError, match='build_body_models.py'):
        require_open_body_models(tmp_path)


def test_a_finished_folder_is_not_built_again(open_body_models, monkeypatch):
    from hmradapter.body_models.open_model import build
    monkeypatch.setattr(build.assemble, 'make_open_body', lambda *_: pytest.fail('built again'))
    assert build.build_open_body_models(open_body_models) == open_body_models
