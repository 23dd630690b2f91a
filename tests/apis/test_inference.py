"""init_model and infer_hands: units, sides, cameras, guidance, bad input."""
import numpy as np
import pytest
import torch

from hmradapter.apis import adapter_off, infer_hands, init_model, make_camera
from hmradapter.apis.inference import check_body, inference_crop
from hmradapter.geometry.mirror import mirror_body_axis_angle
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.models.adapters.adapter_file import AdapterMismatchError

BOXES = [[60, 50, 140, 150], [150, 40, 250, 120]]


def test_predictions_are_typed_placed_and_finite(base_model, picture):
    found = infer_hands(base_model, picture, BOXES, ['right', 'left'])
    assert [p.hand for p in found] == ['right', 'left']
    for p, box in zip(found, BOXES, strict=True):
        assert p.box_xyxy.tolist() == box
        assert p.vertices.dtype == np.float32 and p.keypoints_3d.shape == (21, 3) and p.faces.max() < len(p.vertices)
        assert np.allclose(p.hand_pose @ p.hand_pose.transpose(0, 2, 1), np.eye(3), atol=1e-5)
        assert np.allclose(np.linalg.det(p.global_orient), 1, atol=1e-5)
        assert p.crop_center.tolist() == [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
        # HaMeR's rule: the box times the config's factor, grown to 3 : 4
        w, h = inference_crop(base_model).rescale_factor * np.subtract(box[2:], box[:2])
        assert p.crop_size == pytest.approx(max(w, h, w * 4 / 3))
        assert p.camera.source == 'assumed' and p.camera.focal[0] == pytest.approx(5000 / 256 * 320)


def test_joints_lie_in_the_image_where_the_crop_says(base_model, picture):
    """The full-image camera and the crop's weak camera agree to within perspective, for both sides and for given intrinsics."""
    K = np.array([[900., 0, 130], [0, 900., 140], [0, 0, 1]])
    for options in ({}, dict(focal=5000.), dict(intrinsics=K)):
        for p in infer_hands(base_model, picture, BOXES, ['right', 'left'], **options):
            if p.flags:
                continue
            scale, shift = p.crop_cam[0], p.crop_cam[1:]
            weak = p.crop_center + p.crop_size / 2 * scale * (p.keypoints_3d[:, :2] + shift)
            perspective = np.abs(p.keypoints_3d[:, 2]).max() / p.translation[2]
            assert np.abs(p.keypoints_2d - weak).max() < 2 * perspective * np.abs(weak - p.camera.princpt).max() + 0.01


def test_given_intrinsics_are_honoured(base_model, picture):
    K = np.array([[900., 0, 130], [0, 850., 140], [0, 0, 1]])
    given, = infer_hands(base_model, picture, BOXES[:1], ['right'], intrinsics=K)
    assert given.camera.source == 'given'
    np.testing.assert_allclose(given.camera.K, K)
    assert given.translation[2] == pytest.approx(2 * 900 / (given.crop_size * given.crop_cam[0]), rel=1e-5)
    far, = infer_hands(base_model, picture, BOXES[:1], ['right'], focal=9000.)
    assert far.translation[2] == pytest.approx(10 * given.translation[2], rel=1e-5)
    points = given.keypoints_camera @ K.T
    np.testing.assert_allclose(given.keypoints_2d, points[:, :2] / points[:, 2:], atol=1e-2)


def test_a_mirrored_picture_gives_the_mirrored_hand(adapted_model, picture, body):
    """The law of sides, through crop, network, camera and mesh, guidance included."""
    width = picture.shape[1]
    right, = infer_hands(adapted_model, picture, BOXES[:1], ['right'], [body])
    x0, y0, x1, y1 = BOXES[0]
    mirrored_body = mirror_body_axis_angle(torch.from_numpy(body)).numpy()
    left, = infer_hands(adapted_model, np.ascontiguousarray(picture[:, ::-1]), [[width - 1 - x1, y0, width - 1 - x0, y1]],
                        ['left'], [mirrored_body], intrinsics=_mirrored(right.camera.K, width))
    flip = np.array([-1, 1, 1])
    np.testing.assert_allclose(left.vertices, right.vertices * flip, atol=1e-5)
    np.testing.assert_allclose(left.translation[1:], right.translation[1:], rtol=1e-3)
    np.testing.assert_allclose(left.keypoints_2d[:, 0], width - 1 - right.keypoints_2d[:, 0], atol=0.05)


def _mirrored(K, width):
    K = K.copy()
    K[0, 2] = width - 1 - K[0, 2]
    return K


def test_order_and_batches_change_nothing(base_model, picture):
    boxes, hands = BOXES * 3, ['right', 'left', 'left', 'right', 'right', 'right']
    together = infer_hands(base_model, picture, boxes, hands)
    for batch_size in (1, 4):
        for a, b in zip(together, infer_hands(base_model, picture, boxes, hands, batch_size=batch_size), strict=True):
            np.testing.assert_allclose(a.vertices, b.vertices, atol=1e-5)
    backwards = infer_hands(base_model, picture, boxes[::-1], hands[::-1])[::-1]
    for a, b in zip(together, backwards, strict=True):
        np.testing.assert_allclose(a.vertices, b.vertices, atol=1e-5)


def test_guidance_reaches_the_adapter_and_only_the_adapter(base_model, adapted_model, picture, body):
    arguments = (picture, BOXES[:1], ['right'])
    guided, = infer_hands(adapted_model, *arguments, [body])
    unguided, = infer_hands(adapted_model, *arguments)
    same, = infer_hands(adapted_model, *arguments, [axis_angle_to_rotmat(torch.from_numpy(body)).numpy()])
    assert guided.guided and not unguided.guided
    assert np.abs(guided.vertices - unguided.vertices).max() > 1e-5
    np.testing.assert_allclose(same.vertices, guided.vertices, atol=1e-6)
    base, = infer_hands(base_model, *arguments, [body])
    assert not base.guided
    with adapter_off(adapted_model):
        off, = infer_hands(adapted_model, *arguments, [body])
    np.testing.assert_array_equal(off.vertices, base.vertices)
    assert adapted_model.adapter is not None


def test_a_side_can_be_left_to_the_program(base_model, picture):
    chosen, = infer_hands(base_model, picture, BOXES[:1], ['auto'])
    assert chosen.hand in ('right', 'left') and not chosen.side_given
    given, = infer_hands(base_model, picture, BOXES[:1], [chosen.hand])
    np.testing.assert_allclose(chosen.vertices, given.vertices, atol=1e-6)


@pytest.mark.parametrize('box, message', [
    ([10, 10, 10, 50], 'is empty'), ([50, 10, 10, 50], 'is empty'), ([400, 10, 500, 50], 'outside the image of 320 x 240'),
    ([-50, 10, -3, 50], 'outside'), ([float('nan'), 0, 1, 1], 'not four finite'), ([1, 2, 3], 'not four finite'),
    (None, 'not four finite'), ('abcd', 'not four finite'), ([0, 0, float('inf'), 9], 'not four finite')])
def test_bad_boxes_are_told_apart(base_model, picture, box, message):
    with pytest.raises(ValueError, match=message):
        infer_hands(base_model, picture, [box], ['right'])


def test_other_bad_input_is_refused_by_name(base_model, picture, body):
    box = BOXES[:1]
    with pytest.raises(ValueError, match="'rihgt'"):
        infer_hands(base_model, picture, box, ['rihgt'])
    with pytest.raises(ValueError, match='uint8 BGR'):
        infer_hands(base_model, picture.astype(np.float32), box, ['right'])
    with pytest.raises(ValueError, match='uint8 BGR'):
        infer_hands(base_model, picture[..., 0], box, ['right'])
    with pytest.raises(ValueError, match='1 boxes, 2 sides'):
        infer_hands(base_model, picture, box, ['right', 'left'])
    with pytest.raises(ValueError, match='intrinsics'):
        infer_hands(base_model, picture, box, ['right'], intrinsics=np.zeros((3, 3)))
    with pytest.raises(ValueError, match='focal length is -5'):
        make_camera((10, 10), focal=-5)
    with pytest.raises(ValueError, match=r'\(21, 3\)'):
        check_body(body[:21])
    with pytest.raises(ValueError, match='no rotations'):
        check_body(np.ones((22, 3, 3)))


def test_no_hands_is_no_error(base_model, picture):
    assert infer_hands(base_model, picture, [], []) == []


def test_weights_that_do_not_fit_are_refused(weights, adapted_model, tmp_path):
    random_options = weights.options | {'model.head.depth': 2}
    with pytest.raises(ValueError, match='does not fit the expert'):
        init_model(weights.config, weights.expert, device='cpu', cfg_options=random_options)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        init_model(weights.config, 'nowhere.safetensors', device='cpu', cfg_options=weights.options)
    other = init_model(weights.config.replace('adapter_open', 'expert_open'), device='cpu', cfg_options=weights.options)
    assert other.base_hash != adapted_model.base_hash
    with pytest.raises(AdapterMismatchError, match=adapted_model.base_hash):
        init_model(weights.config.replace('adapter_open', 'expert_open'), adapter=weights.adapter, device='cpu',
                   cfg_options=weights.options)
    with pytest.raises(ValueError, match="device 'cuda:77'"):
        init_model(weights.config, weights.expert, device='cuda:77', cfg_options=weights.options)


def test_an_untrained_adapter_is_never_run(weights):
    model = init_model(weights.config, weights.expert, device='cpu', cfg_options=weights.options)
    assert model.cfg.model.adapter is not None  # the config describes one, but no file was given
    assert model.adapter is None
