"""HMRInferencer as a user calls it: what may be handed in, that batches and order change nothing, cameras, mistakes."""
import cv2
import numpy as np
import pytest
from tiny_experts import write_adapters, write_dual_path, write_experts

from hmradapter.apis import FrameResult, HMRInferencer, PersonPrediction
from hmradapter.registry import INFERENCERS

BOX = [20.0, 10, 90, 110]


@pytest.fixture(scope='module')
def config(open_body_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp('dual_path')
    parts = write_experts(folder, open_body_models)
    return write_dual_path(folder / 'dual_path.py', parts, write_adapters(parts, folder))


@pytest.fixture(scope='module')
def inferencer(config):
    return HMRInferencer(config, device='cpu', det_model='whole_image', rows=('expert', 'combined'), batch_size=3)


def picture(seed, size=(120, 160)):
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)


def assert_same(found: PersonPrediction, expected: PersonPrediction, atol=1e-5):
    for name in ('global_orient', 'body_pose', 'left_hand_pose', 'right_hand_pose', 'betas', 'vertices', 'mano_betas'):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=atol, err_msg=name)


def test_pictures_of_any_form_give_the_same(inferencer, tmp_path):
    images = [picture(seed) for seed in range(2)]
    for k, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f'{k}.png'), image)
    arrays = inferencer.predict(images)
    files = inferencer.predict([tmp_path / '0.png', str(tmp_path / '1.png')])
    folder = inferencer.predict(tmp_path)
    for results in zip(arrays, files, folder, strict=True):
        assert all(isinstance(result, FrameResult) and len(result.persons) == 1 for result in results)
        for result in results[1:]:
            assert_same(result.persons[0], results[0].persons[0], atol=0)
    assert [result.frame.path.name for result in folder] == ['0.png', '1.png']
    assert folder[0].boxes_from == 'whole_image' and 'whole_image' in folder[0].persons[0].flags
    assert set(folder[0].rows) == {'ours', 'expert', 'combined'}


@pytest.mark.parametrize('batch_size', [1, 2, 5])
def test_batches_over_persons_and_pictures_change_nothing(inferencer, batch_size):
    images = [picture(seed) for seed in range(3)]
    boxes = [BOX, [40.0, 20, 150, 100]]
    together = inferencer.predict(images, bboxes=boxes, batch_size=batch_size)
    for image, result in zip(images, together, strict=True):
        assert result.boxes_from == 'given' and len(result.persons) == 2 == len(result.rows['combined'])
        alone = inferencer.predict(image, bboxes=boxes[::-1])[0]
        for found, expected in zip(result.persons, alone.persons[::-1], strict=True):
            assert_same(found, expected)


def test_results_come_while_pictures_are_still_read(inferencer):
    results = inferencer(iter_list := [picture(seed) for seed in range(4)], batch_size=1)
    first = next(results)
    assert first.frame.index == 0 and len(list(results)) == len(iter_list) - 1


def test_what_cannot_be_used_is_told_and_the_rest_goes_on(inferencer, tmp_path):
    (tmp_path / 'cut.jpg').write_bytes(b'no picture')
    good = picture(0)
    results = inferencer.predict([good, tmp_path / 'cut.jpg', good], bboxes=[BOX, [np.nan, 0, 5, 5], [500, 500, 600, 600]])
    assert [len(result.persons) for result in results] == [1, 0, 1]
    assert [len(result.errors) for result in results] == [2, 1, 2]
    assert 'nan' in results[0].errors[0] and 'outside the image' in results[0].errors[1]


def test_given_intrinsics_are_used(inferencer):
    K = np.array([[300.0, 0, 70], [0, 310, 65], [0, 0, 1]])
    near, = inferencer.predict(picture(0), bboxes=[BOX], intrinsics=K)
    far, = inferencer.predict(picture(0), bboxes=[BOX], intrinsics=np.diag([2, 2, 1]) @ K)
    person = near.persons[0]
    assert person.camera.source == 'given' and np.array_equal(person.camera.K.astype(int), K)
    assert far.persons[0].translation[2] == pytest.approx(2 * person.translation[2], rel=1e-5)  # twice the lens
    pixels = person.keypoints_camera @ K.T
    np.testing.assert_allclose(person.keypoints_2d, pixels[:, :2] / pixels[:, 2:], atol=1e-2)


def test_a_whole_body_expert_alone_has_its_own_hands(config, open_body_models, tmp_path):
    parts = write_experts(tmp_path, open_body_models)
    alone = tmp_path / 'body.py'
    alone.write_text(f'model = {parts["body"]!r}\ntest_dataloader = dict(dataset=dict(pipeline=['
                     "dict(type='PersonCrop', size=(256, 192), ratio=1.2)]))\n")
    inferencer = HMRInferencer(alone, device='cpu', det_model='whole_image')
    person = inferencer.predict(picture(0))[0].persons[0]
    assert {'left_hand_missing', 'right_hand_missing'} <= set(person.flags) and not person.hand_boxes.any()
    with pytest.raises(ValueError, match='only a DualPathEstimator has rows'):
        HMRInferencer(alone, rows=('combined',))


def test_mistakes_are_told_at_once(config, inferencer):
    assert INFERENCERS.get('HMRInferencer') is HMRInferencer
    with pytest.raises(ValueError, match="weights has .'hand_adaptor'."):
        HMRInferencer(config, weights=dict(hand_adaptor='x'))
    with pytest.raises(ValueError, match='batch_size is 0'):
        HMRInferencer(config, batch_size=0)
    with pytest.raises(ValueError, match='the focal length is -3'):
        inferencer(picture(0), focal=-3.0)
    with pytest.raises(ValueError, match='batch_size is 0'):
        inferencer(picture(0), batch_size=0)
    with pytest.raises(ValueError, match='belong to a model that is given by its config'):
        HMRInferencer(inferencer.model, weights=dict(hand_adapter=None))


def test_boxes_beyond_the_border_are_cut_and_thin_ones_refused(inferencer):
    image = picture(0)
    whole, cut = (inferencer.predict(image, bboxes=[box])[0].persons[0] for box in ([-90, -40, 80, 100], [0, 0, 80, 100]))
    assert_same(whole, cut, atol=0)
    np.testing.assert_array_equal(whole.crop_center, cut.crop_center)
    result, = inferencer.predict(image, bboxes=[BOX, [100, 20, 100.5, 80], [-50, 10, 0.5, 90]])
    assert len(result.persons) == 1 and all('no more than one pixel' in error for error in result.errors)
    assert [error[:8] for error in result.errors] == ['person 1', 'person 2']
    for wrong in (BOX, 5, 'abcd'):
        result, = inferencer.predict(image, bboxes=wrong)
        assert not result.persons and 'must be a list of boxes' in result.errors[0]


@pytest.mark.parametrize('squeeze', [1.0, 0.5])
def test_hands_and_body_lie_where_the_boxes_are(inferencer, squeeze):
    K = np.array([[700.0, 0, 80], [0, 700 * squeeze, 60], [0, 0, 1]])
    person = inferencer.predict(picture(0), bboxes=[BOX], intrinsics=K)[0].persons[0]
    reference = inferencer.predict(picture(0), bboxes=[BOX], focal=700.0)[0].persons[0]
    for name in ('translation', 'mano_translation'):  # the same pixels whatever the lens
        here, there = np.atleast_2d(getattr(person, name)), np.atleast_2d(getattr(reference, name))
        f, g, c, d = K[[0, 1], [0, 1]], np.float32([700, 700]), K[:2, 2], np.float32([80, 60])
        np.testing.assert_allclose(f * here[:, :2] / here[:, 2:] + c, g * there[:, :2] / there[:, 2:] + d, atol=0.05)


def test_two_inferencers_may_share_a_model(inferencer):
    other = HMRInferencer(inferencer.model, det_model='whole_image')
    assert set(other.predict(picture(0))[0].rows) == {'ours'}
    assert set(inferencer.predict(picture(0))[0].rows) == {'ours', 'expert', 'combined'}
    for rows in ('combined', ('best',)):
        with pytest.raises(ValueError, match='it must be a list of'):
            HMRInferencer(inferencer.model, rows=rows)


def test_rays_of_an_assumed_camera_are_refused(config):
    inferencer = HMRInferencer(config, device='cpu', det_model='whole_image', cfg_options={'model.ray_strength': [1.0, 1.0]})
    with pytest.raises(ValueError, match='needs true intrinsics'):
        inferencer(picture(0))
    assert len(inferencer.predict(picture(0), focal=500.0)[0].persons) == 1


def test_random_weights_are_refused(tmp_path, open_body_models):
    parts = write_experts(tmp_path, open_body_models)
    config = tmp_path / 'random.py'
    config.write_text(f'model = {dict(parts["body"], expert=None)!r}\ntest_dataloader = dict(dataset=dict(pipeline=['
                      "dict(type='PersonCrop', size=(256, 192), ratio=1.2)]))\n")
    with pytest.raises(ValueError, match='names no weights for its WholeBodyExpert'):
        HMRInferencer(config)
    assert HMRInferencer(config, weights=dict(body_expert=parts['body']['expert']), det_model='whole_image')
    with pytest.raises(ValueError, match='whose weights are'):
        HMRInferencer(config, weights=dict(hand_expert='x'))
