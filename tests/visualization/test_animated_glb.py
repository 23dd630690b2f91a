"""The animated GLB, read back by a plain evaluation of glTF, by trimesh and by the Khronos validator."""
import numpy as np
import pytest
import torch
from gltf_evaluation import Scene
from khronos import gltf_report
from moving_person import layer_output, waving

from hmradapter.body_models import SMPLXLayer
from hmradapter.visualization.animated_glb import steady_quaternions, strongest_weights, write_animated_glb
from hmradapter.visualization.mesh_files import read_mesh, write_glb
from hmradapter.visualization.meshes import Mesh
from hmradapter.visualization.motion import RestBody

VIEWER = np.array([1, -1, -1])


@pytest.fixture(scope='module')
def layer(open_body_models):
    return SMPLXLayer(open_body_models)


@pytest.fixture(scope='module')
def motions():
    face = 0.5 * np.random.default_rng(1).normal(size=(12, 10))
    return [waving(24, start=2.0), waving(12, 3, start=2.4, name='second', expression=face)]


@pytest.fixture(scope='module')
def file(layer, motions, tmp_path_factory):
    path = tmp_path_factory.mktemp('glb') / 'video.glb'
    write_animated_glb(path, motions, layer)
    return path


def neutral(motion):
    """The motion without expressions, which do not reach the skeleton."""
    return waving(len(motion), 3, start=2.4) if np.any(motion.expression) else motion


def test_joints_are_those_of_the_body_model_at_every_frame(file, layer, motions):
    scene = Scene(file)
    for person, motion in enumerate(motions):
        expected = layer_output(layer, neutral(motion)).joints[:, :55].numpy() * VIEWER
        found = np.stack([scene.joints(person, time - 2.0) for time in motion.times])
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(scene.joints(person, None), expected[0], atol=1e-5)  # as it stands before it plays


def test_expressions_move_the_jaw_joint_by_about_half_a_millimetre(layer, motions):
    """What the docstring says that the skeleton leaves out."""
    shown, still = (layer_output(layer, m).joints[:, :55].numpy() for m in (motions[1], neutral(motions[1])))
    moved = np.linalg.norm(shown - still, axis=-1).max(axis=0)
    assert moved.max() == moved[22] == pytest.approx(0.44e-3, rel=0.05)
    assert np.delete(moved, 22).max() < 0.03e-3


def test_between_frames_joints_turn_by_the_shortest_way(file, layer, motions):
    middle = (motions[0].times[4:8] + motions[0].times[5:9]) / 2
    expected = layer_output(layer, motions[0].resampled(middle)).joints[:, :55].numpy() * VIEWER
    found = np.stack([Scene(file).joints(0, time - 2.0) for time in middle])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_skinned_mesh_is_linear_blend_skinning_but_for_the_weakest_weights(file, layer, motions):
    """And how far both are from SMPL-X with its pose correctives: the numbers of the module's docstring."""
    scene = Scene(file)
    for person, motion in enumerate(motions):
        rest, off = RestBody.of(motion, layer), []
        for frame in (0, 5, 11):
            nodes = scene.node_states(motion.times[frame] - 2.0)
            bones = scene.world(nodes)[scene.tree['skins'][person]['joints']]
            bones = bones @ scene.array(scene.tree['skins'][person]['inverseBindMatrices'])
            shaped = rest.vertices + np.einsum('e,evc->vc', motion.expression[frame], rest.expressions)
            mixed = np.einsum('jv,jab->vab', layer.weights.numpy(), bones)
            full = np.einsum('vab,vb->va', mixed[:, :3, :3], shaped) + mixed[:, :3, 3]
            off.append(np.linalg.norm(scene.vertices(person, motion.times[frame] - 2.0) - full, axis=1))
        assert np.mean(off) < 0.04e-3
        assert np.max(off) < 8e-3
        expected = layer_output(layer, motion).vertices[[0, 5, 11]].numpy() * VIEWER
        found = np.stack([scene.vertices(person, motion.times[frame] - 2.0) for frame in (0, 5, 11)])
        distance = np.linalg.norm(found - expected, axis=-1)
        assert distance.mean() < 1e-3
        assert np.percentile(distance, 95) < 5e-3


def test_people_are_there_in_their_own_frames_only(file, motions):
    scene = Scene(file)
    for time, visible in ((0.0, False), (0.37, False), (0.4, True), (0.84, True), (0.87, False), (0.92, False)):
        spread = np.ptp(scene.joints(1, time), axis=0).max()
        assert (spread > 0.3) == visible, time
        assert np.ptp(scene.joints(0, time), axis=0).max() > 0.3


def test_trimesh_opens_it_with_the_bounds_of_the_resting_bodies(file, layer, motions):
    found = read_mesh(file)
    rest = np.concatenate([RestBody.of(motion, layer).vertices for motion in motions]).astype(np.float32)
    np.testing.assert_array_equal(np.float32(found.bounds), np.stack([rest.min(0), rest.max(0)]))
    assert len(found.faces) == 2 * len(layer.faces)


def test_the_khronos_validator_finds_nothing_wrong(file, layer, motions, tmp_path):
    report = gltf_report(file)
    assert report['issues']['messages'] == []
    assert report['info']['animationCount'] == 1 and report['info']['hasSkins'] and report['info']['hasMorphTargets']
    one = tmp_path / 'one.glb'
    write_animated_glb(one, [motions[0].resampled(motions[0].times[:1])], layer)  # a single frame
    assert gltf_report(one)['issues']['messages'] == []
    broken = tmp_path / 'broken.glb'
    broken.write_bytes(file.read_bytes().replace(b'"VEC4"', b'"VEC3"'))
    assert gltf_report(broken)['issues']['numErrors'] > 0  # the judge can say no


def test_static_meshes_pass_the_khronos_validator_too(layer, motions, tmp_path):
    vertices = layer_output(layer, motions[0]).vertices.numpy()
    path = tmp_path / 'static.glb'
    write_glb(path, {'body': Mesh(vertices[0], layer.faces), 'other': Mesh(vertices[9], layer.faces, (1., 0.5, 0.2))})
    issues = gltf_report(path)['issues']
    assert (issues['numErrors'], issues['numWarnings'], issues['numInfos']) == (0, 0, 0), issues['messages']
    expected = (vertices[[0, 9]] * VIEWER).reshape(-1, 3)
    np.testing.assert_array_equal(np.float32(read_mesh(path).bounds), np.float32([expected.min(0), expected.max(0)]))


def test_quaternions_do_not_jump():
    turns = waving(200).rotations
    quaternions = steady_quaternions(turns)
    assert (np.abs(np.diff(quaternions, axis=0)).max() < 0.3) and quaternions.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1, atol=1e-6)
    assert (quaternions[:, 0] @ quaternions[0, 0]).min() < -0.5  # more than a full turn: it does reach the other sheet


def test_the_strongest_weights_sum_to_one_and_weightless_joints_are_zero():
    weights = np.array([[0.5, 0.0, 0.2, 0.1, 0.1, 0.1], [0, 0, 0, 0, 0, 1.0]])
    joints, kept = strongest_weights(weights)
    assert joints.tolist() == [[0, 2, 3, 4], [5, 0, 0, 0]]
    np.testing.assert_allclose(kept, [[5 / 9, 2 / 9, 1 / 9, 1 / 9], [1, 0, 0, 0]], rtol=1e-6)


def test_mistakes_are_named_and_leave_no_file(layer, tmp_path):
    with pytest.raises(ValueError, match='no motion'):
        write_animated_glb(tmp_path / 'a.glb', [], layer)
    with pytest.raises(ValueError, match='num_betas'):
        write_animated_glb(tmp_path / 'a.glb', [waving(2, betas=np.zeros(4))], layer)
    assert not list(tmp_path.iterdir())
    assert torch.is_grad_enabled()
