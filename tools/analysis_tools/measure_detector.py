"""How often a person detector finds the person, on a dataset with one known person an image, and how long it takes.

    python tools/analysis_tools/measure_detector.py configs/open/whole_body_expert_open.py --count 200

A person is found when the intersection over union of a box and the true one, cut to the image, is above 0.5.
"""
import argparse
import sys
import time

import cv2
import numpy as np
from tqdm import tqdm

from hmradapter.apis.detectors import WHOLE_IMAGE, box_iou, build_detector
from hmradapter.apis.inputs import read_picture
from hmradapter.engine.config import load_config
from hmradapter.evaluation.tables import text_table
from hmradapter.registry import DATASETS

FOUND = 0.5


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config with a dataset of persons')
    parser.add_argument('--split', choices=('val', 'test'), default='val', help="which dataloader's dataset")
    parser.add_argument('--count', type=int, default=200, help='images, evenly over the dataset')
    parser.add_argument('--det-model', default='hog', help='as for build_detector')
    parser.add_argument('--det-weights')
    parser.add_argument('--score-thr', type=float, help="instead of the detector's own")
    parser.add_argument('--threads', type=int, default=1, help='of OpenCV')
    parser.add_argument('--device', default='auto')
    return parser.parse_args(argv)


def main(argv=None) -> int:
    args = parse_args(argv)
    cv2.setNumThreads(args.threads)
    detector = build_detector(args.det_model, args.det_weights, args.device)
    if args.score_thr is not None:
        detector.score_thr = args.score_thr
    dataset = DATASETS.build(dict(load_config(args.config)[f'{args.split}_dataloader'].dataset, pipeline=[]))
    overlaps, counts, detected, seconds, heights = [], [], [], [], []
    for index in tqdm(np.linspace(0, len(dataset) - 1, min(args.count, len(dataset))).round().astype(int)):
        info = dataset.get_data_info(int(index))
        image = read_picture(info['img_path'])
        limit = np.tile([image.shape[1] - 1, image.shape[0] - 1], 2)
        truth = np.clip(np.concatenate((info['bbox_xywh'][:2], info['bbox_xywh'][:2] + info['bbox_xywh'][2:])), 0, limit)
        start = time.perf_counter()
        found = detector(image)
        seconds.append(time.perf_counter() - start)
        overlaps.append(box_iou(found.boxes, truth[None])[:, 0])
        counts.append(len(found))
        detected.append(len(found) > 0 and WHOLE_IMAGE not in found.flags)
        heights.append(truth[3] - truth[1])
    surest = np.array([iou[:1].max(initial=0) > FOUND for iou in overlaps])
    some = np.array([iou.max(initial=0) > FOUND for iou in overlaps])
    rows = [['person found by the surest box', _share(surest)], ['person found by some box', _share(some)],
            ['nobody detected', _share(~np.array(detected))],
            ['other boxes an image', f'{np.mean(np.array(counts) - some):.2f}'],
            ['seconds an image, median', f'{np.median(seconds):.3f}'], ['person, px high, median', f'{np.median(heights):.0f}']]
    print(text_table([f'{args.det_model}, {len(some)} images', ''], rows))
    return 0


def _share(found: np.ndarray) -> str:
    """Share of True with the half width of its normal 95 % interval."""
    share = found.mean()
    return f'{share:.1%} +- {1.96 * np.sqrt(share * (1 - share) / len(found)):.1%}'


if __name__ == '__main__':
    sys.exit(main())
