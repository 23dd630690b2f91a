"""Person detectors: their laws for every image, the built-in ones, plug-ins of users, and imitations of other packages."""
import sys
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from hmradapter.apis.detectors import (
    AutoDetector,
    Detections,
    HOGDetector,
    PersonDetector,
    WholeImage,
    box_iou,
    build_detector,
    merge_boxes,
)
from hmradapter.registry import DETECTORS


class FixedDetector(PersonDetector):
    """Gives what it was told, whatever the image."""
    name = 'fixed'

    def __init__(self, boxes=(), scores=(), score_thr=0.3):
        super().__init__(score_thr)
        self.found = boxes, scores

    def find(self, image):
        return self.found


def painted_person(width: int = 320, height: int = 300, tall: int = 200, center: int = 160) -> tuple[np.ndarray, list[float]]:
    """A grey scene with a standing figure of simple shapes, (H, W, 3) uint8 BGR, and its box."""
    image = np.full((height, width, 3), 190, np.uint8)
    top, unit = (height - tall) // 2, tall / 8
    dark = (50, 45, 40)
    cv2.ellipse(image, (center, int(top + unit * 0.55)), (int(unit * 0.4), int(unit * 0.55)), 0, 0, 360, dark, -1)
    cv2.ellipse(image, (center, int(top + unit * 2.6)), (int(unit * 1.0), int(unit * 1.6)), 0, 0, 360, dark, -1)
    for side in (-1, 1):
        foot = (int(center + side * unit * 0.7), top + tall - 4)
        cv2.line(image, (int(center + side * unit * 0.4), int(top + unit * 3.8)), foot, dark, int(unit * 0.75))
        shoulder, hand = (int(center + side * unit * reach) for reach in (1.0, 1.5))
        cv2.line(image, (shoulder, int(top + unit * 1.6)), (hand, int(top + unit * 4)), dark, int(unit * 0.4))
    return cv2.GaussianBlur(image, (0, 0), 1), [center - unit * 1.7, top, center + unit * 1.7, top + tall]


@pytest.fixture(scope='module')
def hog() -> HOGDetector:
    return HOGDetector()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 260), st.integers(1, 260), st.sampled_from(['noise', 'flat', 'person']), st.integers(0, 3))
def test_boxes_of_every_builtin_lie_inside_any_image(height, width, kind, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    if kind == 'flat':
        image[:] = 90
    elif kind == 'person':
        image = cv2.resize(painted_person()[0], (width, height))
    for detector in (HOGDetector(score_thr=0), AutoDetector(), WholeImage()):
        found = detector(image)
        boxes, scores = found.boxes, found.scores
        assert boxes.dtype == scores.dtype == np.float32 and boxes.shape == (len(found), 4) and scores.shape == (len(found),)
        assert (boxes >= 0).all() and (boxes[:, [0, 2]] <= width - 1).all() and (boxes[:, [1, 3]] <= height - 1).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (np.diff(scores) <= 0).all() and ((scores >= 0) & (scores <= 1)).all()
    assert len(AutoDetector()(image)) > 0 or min(height, width) == 1


@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 4, st.floats(0, 1)), max_size=6), st.integers(1, 50), st.integers(1, 50))
def test_whatever_a_plug_in_finds_is_clipped_thresholded_and_sorted(rows, height, width):
    rows = np.float32(rows).reshape(-1, 5)
    image = np.zeros((height, width, 3), np.uint8)
    found = FixedDetector(rows[:, :4], rows[:, 4])(image)
    limit = [width - 1, height - 1] * 2
    assert (found.boxes >= 0).all() and (found.boxes <= limit).all() and (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert (found.scores >= np.float32(0.3)).all() and (np.diff(found.scores) <= 0).all()
    again = FixedDetector(rows[::-1, :4], rows[::-1, 4])(image)
    np.testing.assert_array_equal(found.boxes, again.boxes)


def test_hog_finds_a_standing_figure_where_it_is_at_any_size(hog):
    for tall in (150, 200, 260):
        image, truth = painted_person(tall=tall)
        found = hog(image)
        assert len(found) >= 1 and found.origin == 'hog' and found.flags == ()
        assert box_iou(found.boxes[:1], [truth])[0, 0] > 0.5
    large = cv2.resize(painted_person()[0], None, fx=5, fy=5)  # searched at reduced size, told in the image's own pixels
    assert box_iou(hog(large).boxes[:1], [np.multiply(painted_person()[1], 5)])[0, 0] > 0.5


def test_hog_gives_the_same_boxes_every_time_and_with_any_number_of_threads(hog):
    image, _ = painted_person()
    first, threads = HOGDetector(score_thr=0)(image), cv2.getNumThreads()
    try:
        for number in (1, 2, 4):
            cv2.setNumThreads(number)
            again = HOGDetector(score_thr=0)(image)
            np.testing.assert_array_equal(first.boxes, again.boxes)
            np.testing.assert_array_equal(first.scores, again.scores)
    finally:
        cv2.setNumThreads(threads)


def test_auto_takes_the_whole_image_only_where_hog_finds_nobody_and_says_so():
    image, _ = painted_person()
    found = AutoDetector()(image)
    np.testing.assert_array_equal(found.boxes, HOGDetector(score_thr=0.6)(image).boxes)
    assert found.origin == 'hog' and found.flags == ()
    found = AutoDetector()(np.full((120, 200, 3), 128, np.uint8))
    assert found.boxes.tolist() == [[0, 0, 199, 119]] and found.scores.tolist() == [0]
    assert found.origin == 'whole_image' and found.flags == ('whole_image',)
    assert len(AutoDetector()(np.zeros((1, 1, 3), np.uint8))) == 0


@pytest.mark.parametrize('image', [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3)), None, 'a'])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ValueError, match='uint8 BGR'):
        WholeImage()(image)


@pytest.mark.parametrize('boxes, scores, message', [
    ([[0, 0, np.nan, 5]], [1], 'not finite'), ([[0, 0, 5, 5]], [2], '0..1'), ([[0, 0, 5, 5]], [np.nan], '0..1'),
    ([[0, 0, 5]], [1], r'\(N, 4\)'), ([[0, 0, 5, 5]], [1, 1], r'\(N, 4\)')])
def test_a_plug_in_that_gives_nonsense_is_named(boxes, scores, message):
    with pytest.raises(ValueError, match=message) as caught:
        FixedDetector(boxes, scores)(np.zeros((9, 9, 3), np.uint8))
    assert "'fixed'" in str(caught.value)


def test_overlapping_boxes_become_their_weighted_mean():
    boxes, sums = merge_boxes([[0, 0, 10, 10], [50, 0, 60, 10], [1, 0, 11, 10]], [1, 5, 3], 0.5)
    np.testing.assert_allclose(boxes, [[50, 0, 60, 10], [0.75, 0, 10.75, 10]])
    np.testing.assert_allclose(sums, [5, 4])
    assert merge_boxes(np.zeros((0, 4)), np.zeros(0), 0.5)[0].shape == (0, 4)
    np.testing.assert_allclose(box_iou([[0, 0, 10, 10]], [[5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]]), [[1 / 3, 0, 0]])
    assert box_iou([[3, 3, 3, 3]], [[3, 3, 3, 3]]) == 0


def test_detectors_are_built_from_names_dicts_and_ready_ones():
    assert isinstance(build_detector(), AutoDetector) and isinstance(build_detector('hog'), HOGDetector)
    detector = build_detector(dict(type='hog', score_thr=0.7, max_side=320))
    assert detector.score_thr == 0.7 and detector.max_side == 320 and build_detector(detector) is detector
    assert isinstance(build_detector(dict(type=WholeImage)), WholeImage)


def test_a_users_detector_by_its_module_and_by_its_registered_name(tmp_path, monkeypatch):
    (tmp_path / 'my_people.py').write_text('''if True:
        import numpy as np
        from hmradapter.apis.detectors import PersonDetector
        from hmradapter.registry import DETECTORS

        @DETECTORS.register_module(name='left_half')
        class LeftHalf(PersonDetector):
            name = 'left_half'

            def __init__(self, weights=None, device='cpu', share=0.5):
                super().__init__()
                self.weights, self.device, self.share = weights, device, share

            def find(self, image):
                height, width = image.shape[:2]
                return [[0, 0, self.share * width, height]], [0.9]
    ''')
    monkeypatch.syspath_prepend(tmp_path)
    image = np.zeros((50, 80, 3), np.uint8)
    try:
        detector = build_detector('my_people:LeftHalf', det_weights='w.pth', device='cpu')
        found = detector(image)
        assert isinstance(found, Detections) and found.boxes.tolist() == [[0, 0, 40, 49]] and found.origin == 'left_half'
        assert (detector.weights, detector.device) == ('w.pth', 'cpu')
        assert build_detector(dict(type='left_half', share=0.25))(image).boxes.tolist() == [[0, 0, 20, 49]]
    finally:
        DETECTORS.module_dict.pop('left_half', None)
        sys.modules.pop('my_people', None)


@pytest.mark.parametrize('det_model, weights, error, message', [
    ('yolo', None, ValueError, 'known are'), ('gone_module:Detector', None, ImportError, 'MODULE:CLASS'),
    ('json:Detector', None, ImportError, 'MODULE:CLASS'), ('json:JSONDecoder', None, ValueError, 'derive it from'),
    ('hog', 'w.pth', ValueError, 'takes no weights'), (dict(type='hog', speed=3), None, ValueError, 'speed'),
    (dict(name='hog'), None, ValueError, '"type"'), (None, None, ValueError, 'must be a name'), (3, None, ValueError, 'a name'),
    (dict(type='hog', score_thr=7), None, ValueError, 'between 0 and 1'),
    (dict(type='hog', max_side=5), None, ValueError, '128'),
    (WholeImage(), 'w.pth', ValueError, 'ready')])
def test_detectors_that_cannot_be_made_say_why(det_model, weights, error, message):
    with pytest.raises(error, match=message):
        build_detector(det_model, weights)


class FakeNetwork(torch.nn.Module):
    """Answers like torchvision's detection models in eval mode: boxes by score, with labels of COCO, person 1."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, images):
        assert not self.training and isinstance(images, list)
        answers = []
        for image in images:
            assert image.shape[0] == 3 and image.dtype == torch.float32 and image.min() >= 0 and image.max() <= 1
            self.seen = image
            answers.append(dict(boxes=torch.tensor([[1., 2, 30, 40], [0, 0, 20, 20], [5, 5, 99, 90]]),
                                labels=torch.tensor([18, 1, 1]), scores=torch.tensor([0.99, 0.9, 0.1])))
        return answers


@pytest.fixture
def torchvision(monkeypatch):
    """Imitates torchvision.models (0.14 or later): list_models(module), get_model(name, **config)."""
    calls = []
    models, detection = ModuleType('torchvision.models'), ModuleType('torchvision.models.detection')

    def get_model(name, **config):
        calls.append((name, config))
        return FakeNetwork().train()
    names = {detection: ['fasterrcnn_resnet50_fpn', 'ssd300_vgg16']}
    models.list_models = lambda module=None: names.get(module, ['resnet50'])
    models.get_model, models.detection = get_model, detection
    root = ModuleType('torchvision')
    root.models = models
    for module in (root, models, detection):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


def test_torchvision_finds_persons_from_a_file_of_weights_and_downloads_nothing(torchvision, tmp_path):
    trained = FakeNetwork()
    torch.save(trained.state_dict(), tmp_path / 'w.pth')
    detector = build_detector('torchvision:ssd300_vgg16', tmp_path / 'w.pth', 'cpu')
    assert torchvision == [('ssd300_vgg16', dict(weights=None, weights_backbone=None))]
    torch.testing.assert_close(detector.network.layer.weight, trained.layer.weight)
    image = np.zeros((60, 80, 3), np.uint8)
    image[..., 0] = 255  # blue
    found = detector(image)
    assert found.boxes.tolist() == [[0, 0, 20, 20]] and found.origin == 'torchvision'
    np.testing.assert_allclose(found.scores, [0.9])
    assert detector.network.seen[:, 0, 0].tolist() == [0, 0, 1]  # red, green, blue
    everyone = build_detector(dict(type='torchvision', weights=tmp_path / 'w.pth', score_thr=0, num_classes=5, device='cpu'))
    assert torchvision[-1][1]['num_classes'] == 5
    assert everyone(image).boxes.tolist() == [[0, 0, 20, 20], [5, 5, 79, 59]]


def test_torchvision_fetches_its_weights_only_when_it_is_told_to(torchvision, tmp_path):
    build_detector(dict(type='torchvision', download=True, device='cpu'))
    assert torchvision == [('fasterrcnn_resnet50_fpn', dict(weights='DEFAULT', weights_backbone=None))]
    (tmp_path / 'text.pth').write_text('hello')
    torch.save({'other.weight': torch.zeros(1)}, tmp_path / 'other.pth')
    for options, error, message in ((dict(), ValueError, 'download=True'),
                                    (dict(weights='gone.pth'), FileNotFoundError, 'gone'),
                                    (dict(weights=tmp_path / 'text.pth'), Exception, 'text.pth'),
                                    (dict(weights=tmp_path / 'other.pth'), ValueError, 'does not hold the weights'),
                                    (dict(model='resnet50', download=True), ValueError, 'no detection model')):
        with pytest.raises(error, match=message):
            build_detector(dict(type='torchvision', device='cpu', **options))


@pytest.fixture
def mmdet(monkeypatch):
    """Imitates mmdet.apis (3.x): init_detector sets mmdet's default scope, inference_detector gives a sample with
    pred_instances (bboxes, scores, labels)."""
    calls = SimpleNamespace(init=[], images=[], meta=dict(classes=('dog', 'Person')))

    def init_detector(config, checkpoint=None, palette='none', device='cuda:0', cfg_options=None):
        calls.init.append((config, checkpoint, device))
        DefaultScope.get_instance(f'mmdet-{len(calls.init)}-{id(calls)}', scope_name='mmdet')
        model = torch.nn.Linear(1, 1)
        model.dataset_meta = calls.meta
        return model

    def inference_detector(model, imgs, test_pipeline=None, text_prompt=None, custom_entities=False):
        calls.images.append(imgs)
        instances = InstanceData(bboxes=torch.tensor([[0., 0, 20, 20], [5, 5, 30, 40]]), scores=torch.tensor([0.8, 0.9]),
                                 labels=torch.tensor([0, 1]))
        return SimpleNamespace(pred_instances=instances)
    apis = ModuleType('mmdet.apis')
    apis.init_detector, apis.inference_detector = init_detector, inference_detector
    monkeypatch.setitem(sys.modules, 'mmdet', ModuleType('mmdet'))
    monkeypatch.setitem(sys.modules, 'mmdet.apis', apis)
    return calls


def test_mmdet_finds_persons_and_leaves_the_scope_as_it_was(mmdet, tmp_path):
    for name in ('det.py', 'det.pth'):
        (tmp_path / name).write_text('')
    before = DefaultScope.get_current_instance()
    detector = build_detector(str(tmp_path / 'det.py'), tmp_path / 'det.pth', 'cpu')
    assert mmdet.init == [(str(tmp_path / 'det.py'), str(tmp_path / 'det.pth'), 'cpu')]
    image = np.zeros((60, 80, 3), np.uint8)
    found = detector(image)
    assert found.boxes.tolist() == [[5, 5, 30, 40]] and found.origin == 'mmdet' and mmdet.images[0] is image
    after = DefaultScope.get_current_instance()
    assert (before and before.scope_name) == (after and after.scope_name)
    options = dict(type='mmdet', config=tmp_path / 'det.py', weights=tmp_path / 'det.pth', device='cpu')
    assert build_detector(options | dict(person_label=0))(image).boxes.tolist() == [[0, 0, 20, 20]]
    mmdet.meta = {}
    with pytest.raises(ValueError, match='person_label'):
        build_detector(options)
    with pytest.raises(ValueError, match='checkpoint'):
        build_detector(str(tmp_path / 'det.py'))
    with pytest.raises(FileNotFoundError, match='gone.py'):
        build_detector(str(tmp_path / 'gone.py'), tmp_path / 'det.pth')


@pytest.mark.parametrize('det_model, package', [('torchvision:ssd300_vgg16', 'torchvision'), ('det.py', 'mmdet')])
def test_a_package_that_is_missing_or_broken_is_named(det_model, package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f'pip install {package}'):
        build_detector(det_model)
    monkeypatch.delitem(sys.modules, package)
    (tmp_path / package).mkdir()
    (tmp_path / package / '__init__.py').write_text('assert False, "mmcv is too new"')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match='AssertionError: mmcv is too new'):
        build_detector(det_model)
