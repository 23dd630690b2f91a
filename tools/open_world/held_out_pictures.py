"""Copy pictures of held-out subjects, with the boxes of their persons, or of their hands with bodies, for tools/demo.py.

    python tools/open_world/held_out_pictures.py configs/open/dual_path_open.py --out outputs/pictures --count 8
    python tools/demo.py outputs/pictures --bboxes outputs/pictures/boxes.json --out-dir outputs/demo

The config says which: its test data set gives persons or hands.

Chosen for what the adapter is about: one picture of each sequence, those whose hands are hidden most but not entirely.
"""
import argparse
import json
import shutil
from pathlib import Path

import numpy as np

from hmradapter.engine.config import load_config
from hmradapter.fileio import atomic_write
from hmradapter.geometry.rotations import rotmat_to_axis_angle
from hmradapter.registry import DATASETS

VISIBLE = (0.25, 0.75)  # share of a hand's pixels: hidden in part


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config whose test dataset is taken, of persons or of hands')
    parser.add_argument('--out', type=Path, required=True, help='folder for the pictures and boxes.json')
    parser.add_argument('--count', type=int, default=8, help='number of pictures')
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    dataset = DATASETS.build(dict(load_config(args.config).test_dataloader.dataset, pipeline=[]))
    pictures: dict[str, list[dict]] = {}
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        pictures.setdefault(info['img_path'], []).append(info)
    args.out.mkdir(parents=True, exist_ok=True)
    boxes = {}
    for path in choose(pictures, args.count):
        subject, sequence, view, name = Path(path).parts[-4:]
        copy = f'{subject}_{sequence}_{view}_{name}'
        shutil.copyfile(path, args.out / copy)
        boxes[copy] = [request(info) for info in pictures[path]]
    with atomic_write(args.out / 'boxes.json', 'w') as file:
        json.dump(boxes, file)
    print(f'{len(boxes)} pictures in {args.out}')


def choose(pictures: dict[str, list[dict]], count: int) -> list[str]:
    """Paths of the pictures, at most one of each sequence, the best first: most hands hidden in part, then the least seen."""
    def rank(path: str) -> tuple[int, float]:
        shares = [1.0 if info['visibility'] is None else info['visibility'] for info in pictures[path]]
        return -sum(VISIBLE[0] <= share <= VISIBLE[1] for share in shares), float(np.mean(shares))

    chosen: dict[str, str] = {}
    for path in sorted(pictures, key=rank):
        chosen.setdefault(str(Path(path).parents[1]), path)
    return list(chosen.values())[:count]


def request(info: dict) -> dict:
    """One entry of boxes.json."""
    if 'bbox_xywh' in info:
        x, y, width, height = map(float, info['bbox_xywh'])
        return dict(xyxy=[x, y, x + width, y + height])
    return _hand_request(info)


def _hand_request(hand: dict) -> dict:
    center, half = hand['box_center'], hand['box_wh'] / 2
    body = rotmat_to_axis_angle(hand['body_pose']).tolist() if hand['has_body_pose'] else None
    return dict(xyxy=[float(value) for value in (*(center - half), *(center + half))], hand=hand['hand'],
                **(dict(body_pose=body) if body else {}))


if __name__ == '__main__':
    main()
