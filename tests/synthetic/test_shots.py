"""Pictures with their truth: parameters, meshes and pixels agree; another frame shows the same; hands' components are exact."""
import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmradapter.body_models import MANOLayer, SMPLXLayer, load_hand_vertex_ids
from hmradapter.structures.joints import HAND21_FROM_SMPLX144
from hmradapter.synthetic.layouts.shots import read_hand_space, take_hand_shots, take_shots, to_world
from hmradapter.synthetic.renderer import RayCaster

R = Rotation.from_rotvec((1.9, -0.4, 0.8)).as_matrix()
T = np.array([0.4, -1.3, 2.2])
CONTOUR = 127  # of SMPLX144: from here on `smplx` chooses points by the head's yaw in the frame it is given


def turned(pose):
    """(n, 3) axis-angle to what layers take, (1, n, 3, 3); by scipy."""
    return torch.from_numpy(Rotation.from_rotvec(np.reshape(pose, (-1, 3))).as_matrix()).float()[None]


def row(values):
    return torch.from_numpy(values).float()[None]


def posed_body(layer, figure):
    left_eye, right_eye = figure.eye_pose
    left, right = figure.hand_pose
    out = layer(turned(figure.global_orient), turned(figure.body_pose), turned(left), turned(right), turned(figure.jaw_pose),
                turned(left_eye), turned(right_eye), row(figure.betas), row(figure.expression), row(figure.transl))
    return out.vertices[0].numpy(), out.joints[0].numpy()


def posed_hand(layer, hand):
    out = layer(turned(hand.global_orient), turned(hand.hand_pose), row(hand.betas), row(hand.transl))
    return out.vertices[0].numpy(), out.keypoints[0].numpy()


@pytest.fixture(scope='module')
def bodies(open_body_models):
    return {gender: SMPLXLayer(open_body_models, gender) for gender in ('neutral', 'female')}


@pytest.fixture(scope='module')
def hands(open_body_models):
    return {side: MANOLayer(open_body_models, side) for side in ('left', 'right')}


@pytest.fixture(scope='module')
def shots(open_body_models):
    """A picture of each framing; not to be changed."""
    return take_shots(open_body_models, 3, (160, 120), seed=1, genders=('neutral', 'female'), hand_space='pca12')


@pytest.fixture(scope='module')
def crowd(open_body_models):
    return take_shots(open_body_models, 2, (200, 120), seed=2, people=2, framings=['whole'], K=np.array(
        [[180, 0, 90], [0, 190, 65], [0, 0, 1.0]]))


def test_parameters_give_the_mesh(shots, crowd, bodies):
    genders = set()
    for shot in (*shots, *crowd):
        for figure in shot.figures:
            vertices, joints = posed_body(bodies[figure.gender], figure)
            np.testing.assert_allclose(figure.vertices, vertices, atol=5e-6)
            np.testing.assert_allclose(figure.joints, joints, atol=5e-6)
            genders.add(figure.gender)
            values = [getattr(figure, field.name) for field in dataclasses.fields(figure)]
            assert all(value.dtype == np.float64 for value in values if isinstance(value, np.ndarray))
    assert genders == {'neutral', 'female'}


def test_a_hand_is_the_bodys_own(shots, hands, open_body_models):
    ids = load_hand_vertex_ids(open_body_models)
    for figure in (figure for shot in shots for figure in shot.figures):
        for i, (side, hand) in enumerate(figure.hands.items()):
            vertices, keypoints = posed_hand(hands[side], hand)
            np.testing.assert_allclose(hand.vertices, vertices, atol=5e-6)
            np.testing.assert_allclose(hand.keypoints, keypoints, atol=5e-6)
            np.testing.assert_allclose(hand.keypoints, figure.joints[list(HAND21_FROM_SMPLX144[side])], atol=1e-5)
            np.testing.assert_array_equal(hand.hand_pose, figure.hand_pose[i])
            away = np.linalg.norm(hand.vertices - figure.vertices[ids[side]], axis=1)
            assert np.median(away) < 1e-5 and away.max() < 0.02  # where the forearm pulls at the wrist, MANO has no forearm
            assert hand.side == side


def test_sides_and_people_differ(shots, crowd):
    """What a writer or a reader might swap is never the same twice."""
    figures = [figure for shot in (*shots, *crowd) for figure in shot.figures]
    for figure in figures:
        assert np.abs(figure.hand_pose[0] - figure.hand_pose[1]).max() > 0.1
        assert np.abs(figure.hand_pose[0] - figure.hand_pose[1] * (1, -1, -1)).max() > 0.1  # nor mirrored
        assert np.abs(figure.eye_pose[0] - figure.eye_pose[1]).max() > 0.02
        assert np.abs(figure.expression).max() > 0.01 and np.abs(figure.jaw_pose).max() > 1e-3
    facing = [Rotation.from_rotvec(figure.global_orient).as_matrix()[:, 2] for figure in figures]
    assert np.ptp(facing, axis=0).max() > 0.8
    assert len({figure.betas.tobytes() for figure in crowd[0].figures}) == 2


@pytest.mark.parametrize('part', ['body', 'left', 'right'])
def test_another_frame_shows_the_same(shots, bodies, hands, part):
    """Posed anew by the parameters of the world and moved into the camera, X_c = R X_w + t."""
    figure = shots[0].figures[0]
    world = to_world(figure, R, T)
    if part == 'body':
        np.testing.assert_allclose(world.joints @ R.T + T, figure.joints, atol=1e-12)
        vertices, points = posed_body(bodies[figure.gender], world)
        points, camera = points[:CONTOUR], (figure.vertices, figure.joints[:CONTOUR])
        told = world.vertices, world.joints[:CONTOUR]
    else:
        hand = world.hands[part]
        (vertices, points), camera = posed_hand(hands[part], hand), (figure.hands[part].vertices, figure.hands[part].keypoints)
        told = hand.vertices, hand.keypoints
        np.testing.assert_array_equal(hand.hand_pose, figure.hands[part].hand_pose)
    for mesh, seen, said in zip((vertices, points), camera, told, strict=True):
        np.testing.assert_allclose(mesh @ R.T + T, seen, atol=1e-5)
        np.testing.assert_allclose(said @ R.T + T, seen, atol=1e-12)


def test_no_move_is_no_change(shots):
    figure = shots[0].figures[0]
    same = to_world(figure, np.eye(3), np.zeros(3))
    np.testing.assert_allclose(same.global_orient, figure.global_orient, atol=1e-12)
    np.testing.assert_allclose(same.transl, figure.transl, atol=1e-12)
    with pytest.raises(ValueError, match='det 1'):
        to_world(figure, np.diag((1.0, 1, -1)), np.zeros(3))


def test_components_say_a_hand_exactly(shots, hands, open_body_models):
    for figure in (figure for shot in shots for figure in shot.figures):
        for side, hand in figure.hands.items():
            space = read_hand_space(open_body_models, side)
            coefficients = space.coefficients(hand.hand_pose)
            assert coefficients.shape == (12,) and np.abs(coefficients).max() > 0.05
            np.testing.assert_allclose(space.pose(coefficients), hand.hand_pose, atol=1e-6)
            np.testing.assert_allclose(space.residual(hand.hand_pose).reshape(45) + hands[side].hand_mean.numpy(),
                                       hand.hand_pose.reshape(45), atol=1e-6)
    free = take_shots(open_body_models, 1, (32, 24), seed=1, genders=('neutral', 'female'))[0].figures[0].hands['left']
    space = read_hand_space(open_body_models, 'left')
    assert np.abs(space.pose(space.coefficients(free.hand_pose)) - free.hand_pose).max() > 0.05


def inside(shot, points):
    pixels = shot.project(points)
    return ((pixels >= 0) & (pixels <= np.array(shot.size) - 1)).all(axis=-1)


def test_framings(shots, crowd):
    whole, upper, cut = ((shot, shot.figures[0]) for shot in shots)
    assert inside(whole[0], whole[1].vertices).all() and np.ptp(whole[0].project(whole[1].vertices)[:, 1]) > 50
    arms = [15, 16, 17, 18, 19, 20, 21]  # and the head
    assert inside(upper[0], upper[1].joints[arms]).all() and not inside(upper[0], upper[1].vertices).all()
    assert 0.4 < inside(cut[0], cut[1].vertices).mean() < 0.97
    for shot in crowd:
        assert shot.size == (200, 120) and shot.K[1, 1] == 190 and shot.image.dtype == np.uint8
        assert all(inside(shot, figure.vertices).all() for figure in shot.figures)
    for shot in (*shots, *crowd):
        assert min(figure.vertices[:, 2].min() for figure in shot.figures) > 0.2


def test_the_mesh_lies_on_its_picture(open_body_models, bodies):
    """The picture of a person is flat where the mesh is not: moved aside, the mesh's outline meets fewer edges."""
    shot = take_shots(open_body_models, 1, (320, 240), seed=5, framings=['whole'])[0]
    mask = RayCaster('cpu').cast(shot.figures[0].vertices, bodies['neutral'].faces, shot.K, shot.size).mask
    rim = mask & ~(np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1))
    grey = shot.image.mean(axis=2)
    steep = np.hypot(*np.gradient(grey))
    here = steep[rim].mean()
    for by in ((0, 8), (0, -8), (8, 0), (-8, 0)):
        assert steep[np.roll(rim, by, (0, 1))].mean() < 0.8 * here


def test_the_seed_says_all(shots, open_body_models):
    again = take_shots(open_body_models, 3, (160, 120), seed=1, genders=('neutral', 'female'), hand_space='pca12')
    for shot, other in zip(shots, again, strict=True):
        np.testing.assert_array_equal(shot.image, other.image)
        np.testing.assert_array_equal(shot.figures[0].vertices, other.figures[0].vertices)
    assert (take_shots(open_body_models, 1, (160, 120), seed=3)[0].K != shots[0].K).any()


@pytest.mark.parametrize(('sides', 'size'), [(['right'], (224, 224)), (['left'], (224, 224)), (['left', 'right'], (334, 512))])
def test_hands_fill_a_close_up(open_body_models, hands, sides, size):
    shots = take_hand_shots(open_body_models, 2, size, sides, seed=4)
    for shot in shots:
        assert shot.size == size and len(shot.figures) == 1
        pixels = np.concatenate([shot.project(shot.figures[0].hands[side].vertices) for side in sides])
        assert np.ptp(pixels, axis=0).max() > 0.5 * min(size)
        for side in sides:
            hand = shot.figures[0].hands[side]
            assert inside(shot, hand.keypoints).all()
            np.testing.assert_allclose(hand.vertices, posed_hand(hands[side], hand)[0], atol=5e-6)
    np.testing.assert_array_equal(shots[1].image, take_hand_shots(open_body_models, 2, size, sides, seed=4)[1].image)


@pytest.mark.parametrize(('wrong', 'told'), [
    (dict(framings=['nearly']), 'framings'), (dict(framings='whole'), 'framings'), (dict(hand_space='pca6'), 'hand_space'),
    (dict(genders=[]), 'genders'), (dict(people=3, subjects=2), 'subjects is 2'), (dict(count=0), 'count is 0'),
    (dict(size=(33, 20)), 'even'), (dict(K=np.diag((50.0, 50, 1)) - 9 * np.eye(3)[:, 2:] * (0, 0, 1)), 'principal point')])
def test_what_cannot_be_taken_is_named(open_body_models, wrong, told):
    with pytest.raises(ValueError, match=told):
        take_shots(open_body_models, **(dict(count=1, size=(32, 24)) | wrong))
