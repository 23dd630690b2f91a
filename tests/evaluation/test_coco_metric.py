"""OKS-AP of projected joints: what is perfect, what a shift costs by the formula, sides, processes, the way to the image."""
import json

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from hmradapter.datasets import PersonDataset
from hmradapter.datasets.sources import CocoWholeBodySource
from hmradapter.evaluation import CocoWholeBodyMetric, format_scores, gathered_metric, get_protocol
from hmradapter.evaluation.coco_metric import WHOLE137_FROM_COCO133
from hmradapter.evaluation.dump import concatenate
from hmradapter.evaluation.oks import SIGMAS
from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.structures import HMRDataSample
from hmradapter.structures.joints import COCO133_PARTS, WHOLE137_FROM_SMPLX144
from hmradapter.synthetic.layouts import write_coco_wholebody

pytest.importorskip('xtcocotools', reason='xtcocotools is not installed: requirements/runtime.txt')
AREA = 6000.0
FIELDS = ('keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts')
LEFT, RIGHT = COCO133_PARTS['left_hand'], COCO133_PARTS['right_hand']
THRESHOLDS = np.linspace(0.5, 0.95, 10)
# Crops of two to one, moved: 512 x 384 px of the crop show 256 x 192 px of the image
CROP = torch.tensor([[2.0, 0, -40], [0, 2.0, -20], [0, 0, 1]])


@pytest.fixture(scope='module')
def ann_file(tmp_path_factory):
    """Two images with four persons, one without a left hand, one with nothing but a body; and a third that nobody predicts.
    Wrists of hands are those of the body: two of the 133 joints that no mesh tells apart."""
    rng, annotations = np.random.default_rng(4), []
    for number, image in ((11, 1), (12, 1), (13, 2), (14, 2), (15, 3)):
        joints = np.concatenate((rng.uniform(30, 150, (133, 2)), np.ones((133, 1))), axis=1)
        joints[[LEFT.start, RIGHT.start]] = joints[[9, 10]]
        joints[COCO133_PARTS['face'], 2] = 0.4
        if number == 11:
            joints[LEFT] = 0
        if number == 14:
            joints[COCO133_PARTS['body'].stop:] = 0
        annotations.append(dict(
            id=number, image_id=image, category_id=1, iscrowd=0, num_keypoints=17, area=AREA, bbox=[30, 30, 120, 120],
            **{name: joints[part].ravel().tolist() for name, part in zip(FIELDS, COCO133_PARTS.values(), strict=True)}))
    path = tmp_path_factory.mktemp('truth') / 'val.json'
    images = [dict(id=i, file_name=f'{i}.jpg', width=256, height=192) for i in (1, 2, 3)]
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=[dict(id=1, name='person')])))
    return str(path)


def joints_of(annotation) -> np.ndarray:
    return np.concatenate([np.reshape(annotation[name], (-1, 3))[:, :2] for name in FIELDS])


def persons(ann_file, change=lambda joints: joints, numbers=(11, 12, 13, 14)) -> list[HMRDataSample]:
    """Samples whose predicted joints are the marked ones, changed, in cells of the crop's map."""
    with open(ann_file) as file:
        annotations = {one['id']: one for one in json.load(file)['annotations']}
    samples, cell = [], torch.tensor(BodyFrame().cell) * BodyFrame().crop_factor
    for i, number in enumerate(numbers):
        image = torch.from_numpy(change(joints_of(annotations[number]))).float()
        cells = torch.zeros(137, 2)
        cells[WHOLE137_FROM_COCO133] = (2 * image + CROP[:2, 2]) / cell
        wrists = [9, 10]  # of the body: where there is no hand, its wrist is at 0, 0
        cells[[WHOLE137_FROM_COCO133[i] for i in wrists]] = (2 * image[wrists] + CROP[:2, 2]) / cell
        samples.append(HMRDataSample(
            metainfo=dict(key=f'coco_wholebody/val/{annotations[number]["image_id"]}/{number}', sample_idx=i),
            crop=BaseDataElement(crop_from_image=CROP), pred=BaseDataElement(keypoints_2d=cells)))
    return samples


def run(ann_file, samples, **options):
    metric = CocoWholeBodyMetric(ann_file, dict(name='coco-wholebody-val', images=options.pop('images', 'given')), **options)
    for sample in samples:
        metric.process(None, [sample.to_dict()])
    return metric.evaluate(len(samples)), metric


def test_perfect_joints_have_an_ap_of_1(ann_file):
    found, metric = run(ann_file, persons(ann_file))
    parts = ('wholebody', 'body', 'feet', 'face', 'left_hand', 'right_hand', 'hands')
    assert found == {f'coco/{name}/{part}': 1.0 for name in ('AP', 'AR', 'AP50', 'AP75') for part in parts}
    assert 'coco-wholebody-val[COCO-WholeBody val' in format_scores(metric.scores)


def test_a_shift_costs_what_the_formula_says(ann_file):
    shift = 4.0
    found, _ = run(ann_file, persons(ann_file, lambda joints: joints + [shift, 0]))
    for part, sigmas in SIGMAS.items():
        oks = np.exp(-shift ** 2 / (2 * AREA * (2 * np.array(sigmas)) ** 2)).mean()
        assert found[f'coco/AP/{part}'] == pytest.approx((oks >= THRESHOLDS).mean(), abs=1e-6)
        assert found[f'coco/AR/{part}'] == pytest.approx((oks >= THRESHOLDS).mean(), abs=1e-6)
    assert found['coco/AP/feet'] > 0 and found['coco/AP/face'] < found['coco/AP/body'] < 1


def test_swapped_hands_are_seen_in_the_hands_alone(ann_file):

    def swap(joints):
        left, right = (range(hand.start + 1, hand.stop) for hand in (LEFT, RIGHT))
        swapped = joints.copy()
        swapped[[*left, *right]] = joints[[*right, *left]]
        return swapped
    found, _ = run(ann_file, persons(ann_file, swap))
    assert found['coco/AP/hands'] < 0.1 and found['coco/AP/body'] == found['coco/AP/face'] == 1 > found['coco/AP/wholebody']


def test_images_that_nobody_predicts_are_misses_unless_given_ones_count(ann_file):
    found, metric = run(ann_file, persons(ann_file), images='all')
    assert found['coco/AR/body'] == pytest.approx(0.8) and found['coco/AP/body'] == pytest.approx(81 / 101, abs=1e-6)
    assert 'images all' in metric.scores.protocol.id
    protocol = get_protocol('coco-wholebody-val')
    assert protocol.on(dict(split='val', fits=False)) is protocol and protocol.on(dict(split='train')).name.endswith('*')
    with pytest.raises(ValueError, match='images is'):
        get_protocol(dict(name='coco-wholebody-val', images='some'))


def test_any_number_of_processes_gives_the_same(ann_file, monkeypatch):
    samples = persons(ann_file, lambda joints: joints + np.random.default_rng(len(joints)).normal(0, 4, joints.shape))
    expected, _ = run(ann_file, samples)
    assert 0 < expected['coco/AP/wholebody'] < 1
    metrics = [CocoWholeBodyMetric(ann_file, dict(name='coco-wholebody-val', images='given')) for _ in range(2)]
    for rank, metric in enumerate(metrics):
        for i in (*range(rank, 4, 2), rank):  # padded
            metric.process(None, [samples[i].to_dict()])
    gathered = [concatenate(metric.results) for metric in reversed(metrics)]
    monkeypatch.setattr(gathered_metric, 'all_gather_object', lambda own: gathered)
    assert metrics[0].evaluate(4) == expected
    with pytest.raises(ValueError, match='4 different samples were evaluated, but the dataset has 5'):
        metrics[1].evaluate(5)


def test_joints_are_kept_in_the_form_of_results(ann_file, tmp_path):
    path = tmp_path / 'joints.json'
    samples = persons(ann_file)
    found, metric = run(ann_file, samples, dump_path=str(path))
    with open(path) as file:
        kept = json.load(file)
    assert [one['image_id'] for one in kept] == [1, 1, 2, 2] and set(kept[0]) >= {'image_id', 'category_id', 'score', *FIELDS}
    body = np.reshape(kept[1]['keypoints'], (17, 3))
    np.testing.assert_allclose(body[:, :2], joints_of(metric.coco.anns[12])[:17], atol=1e-4)
    with pytest.raises(ValueError, match='ends in .json'):
        CocoWholeBodyMetric(ann_file, dump_path='joints.npz')


def test_what_cannot_be_scored_is_said(ann_file):
    samples = persons(ann_file)
    samples[1].pred.keypoints_2d[5, 0] = torch.nan
    with pytest.raises(ValueError, match="prediction of sample 'coco_wholebody/val/1/12' is not finite"):
        run(ann_file, samples)
    for key, message in (('ehf/test/01', 'none of COCO-WholeBody'), ('coco_wholebody/train/1/77', 'is not in .*val.json')):
        samples = persons(ann_file)
        samples[0].set_metainfo(dict(key=key))
        with pytest.raises(ValueError, match=message):
            run(ann_file, samples)


def test_true_joints_of_the_data_set_score_1(tmp_path, open_body_models):
    """SMPL-X's joints, through the true camera and the crop's map back to the image, are what was marked, but for the hips."""
    truth = write_coco_wholebody(tmp_path, open_body_models)
    pipeline = [dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.25), dict(type='HeatmapTargets'),
                dict(type='PackPersonInputs')]
    dataset = PersonDataset(CocoWholeBodySource(tmp_path), pipeline, test_mode=True)
    metric = CocoWholeBodyMetric(str(tmp_path / 'annotations' / 'coco_wholebody_val_v1.0.json'))
    metric.dataset_meta = dataset.metainfo
    cell = torch.tensor(BodyFrame().cell) * BodyFrame().crop_factor
    for i in range(len(dataset)):
        sample = dataset[i]['data_samples']
        pixels = torch.from_numpy(truth[sample.key]['pixels'])[list(WHOLE137_FROM_SMPLX144)]
        matrix = sample.crop.crop_from_image.double()
        sample.pred = BaseDataElement(keypoints_2d=(pixels @ matrix[:2, :2].T + matrix[:2, 2]) / cell)
        metric.process(None, [sample.to_dict()])
    found = metric.evaluate(len(dataset))
    for part in ('feet', 'face', 'left_hand', 'right_hand'):
        assert found[f'coco/AP/{part}'] == 1
    assert found['coco/AP/body'] > 0.9 and metric.scores.protocol.name == 'coco-wholebody-val'
