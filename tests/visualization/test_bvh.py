"""BVH files, re-parsed."""
import numpy as np
import pytest
import torch
from moving_person import layer_output, waving

from hmradapter.body_models import SMPLXLayer
from hmradapter.body_models.open_model.skeleton import JOINT_NAMES
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.visualization.bvh import euler_degrees, read_bvh, write_bvh


@pytest.fixture(scope='module')
def layer(open_body_models):
    return SMPLXLayer(open_body_models)


def in_model_order(found):
    """Positions (F, 55, 3) in SMPL-X's order."""
    return found.joints()[:, [found.names.index(name) for name in JOINT_NAMES]]


@pytest.mark.parametrize('scale', [1.0, 100.0])
def test_joints_of_the_file_are_those_of_the_body_model(layer, tmp_path, scale):
    motion = waving(40)
    write_bvh(tmp_path / 'm.bvh', motion, layer, scale=scale)
    found = read_bvh(tmp_path / 'm.bvh')
    expected = layer_output(layer, motion).joints[:, :55].numpy() * (1, -1, -1)
    assert found.frame_time == pytest.approx(1 / 25)
    np.testing.assert_allclose(in_model_order(found) / scale, expected, atol=1e-5)  # m
    assert sorted(found.names) == sorted(JOINT_NAMES)
    assert [found.names[p] for p in found.parents[1:]] == [JOINT_NAMES[layer.parents[JOINT_NAMES.index(n)]]
                                                           for n in found.names[1:]]


def test_gaps_are_filled_at_the_frame_rate(layer, tmp_path):
    motion = waving(30)
    seen = np.delete(np.arange(30), [7, 8, 20])
    write_bvh(tmp_path / 'm.bvh', motion.resampled(motion.times[seen]), layer)
    joints = in_model_order(read_bvh(tmp_path / 'm.bvh'))
    expected = layer_output(layer, motion).joints[:, :55].numpy() * (1, -1, -1)
    assert len(joints) == 30
    np.testing.assert_allclose(joints[seen], expected[seen], atol=1e-5)
    assert np.abs(joints - expected).max() < 0.05


def test_angles_stay_true_and_near_their_neighbours_through_gimbal_lock():
    bend = np.linspace(0, 3 * np.pi, 181)  # about x, the middle axis: at 90, 270 and 450 degrees the others coincide
    other = 0.3 * np.sin(np.arange(181) / 9)
    zero = np.zeros(181)

    def turns(*vector):
        return axis_angle_to_rotmat(torch.from_numpy(np.stack(vector, axis=-1)))
    for tilt in (zero, zero + 1e-9, zero + 1e-5, other):
        matrices = (turns(zero, zero, tilt) @ turns(bend, zero, zero) @ turns(zero, tilt, zero))[:, None].numpy()
        angles = euler_degrees(matrices)
        z, x, y = np.radians(angles[:, 0]).T
        np.testing.assert_allclose((turns(zero, zero, z) @ turns(x, zero, zero) @ turns(zero, y, zero)).numpy(), matrices[:, 0],
                                   atol=2e-6)
        assert np.abs(np.diff(angles, axis=0)).max() < 8  # degrees: 3 a frame about x
    matrices = turns(*np.random.default_rng(0).normal(size=(3, 500))).numpy()[:, None]
    assert np.isfinite(euler_degrees(matrices)).all()


def test_a_reader_takes_other_orders_and_places(tmp_path):
    text = ('HIERARCHY\nROOT a {\n OFFSET 1 2 3\n CHANNELS 3 Yrotation Xrotation Zrotation\n JOINT b {\n  OFFSET 0 1 0\n'
            '  CHANNELS 3 Xrotation Yrotation Zrotation\n  End Site {\n   OFFSET 0 1 0\n  }\n }\n}\n'
            'MOTION\nFrames: 1\nFrame Time: 0.04\n0 90 0 0 0 0\n')
    (tmp_path / 'm.bvh').write_text(text)
    found = read_bvh(tmp_path / 'm.bvh')
    np.testing.assert_allclose(found.joints(), [[[1, 2, 3], [1, 2, 4]]], atol=1e-12)
    for wrong, message in ((text.replace('MOTION', ''), 'no BVH'), (text + ' 7', '1 frames of 6'),
                           (text.replace('Frames:', ''), 'no BVH'), (text.replace('0 90', '0 nan'), 'finite'), ('', 'no BVH')):
        (tmp_path / 'w.bvh').write_text(wrong)
        with pytest.raises(ValueError, match=message):
            read_bvh(tmp_path / 'w.bvh')
    with pytest.raises(FileNotFoundError):
        read_bvh(tmp_path / 'absent.bvh')


def test_mistakes_are_named_and_leave_no_file(layer, tmp_path):
    with pytest.raises(ValueError, match='scale'):
        write_bvh(tmp_path / 'm.bvh', waving(2), layer, scale=0)
    with pytest.raises(ValueError, match='fps'):
        write_bvh(tmp_path / 'm.bvh', waving(2), layer, fps=-1)
    with pytest.raises(ValueError, match='num_betas'):
        write_bvh(tmp_path / 'm.bvh', waving(2, betas=np.zeros(3)), layer)
    assert not list(tmp_path.iterdir())
