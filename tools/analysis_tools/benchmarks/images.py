"""How many hands a second come out of the data workers, beside a plain loop that only decodes and warps."""
import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler

from hmradapter.datasets import HandDataset
from hmradapter.structures import hmr_collate

from .measuring import Row
from .pictures import write_hands

GROUP = 'images'
CROP = 256
EVALUATION = [dict(type='LoadImage'), dict(type='HandCrop', image_size=CROP), dict(type='PackHandInputs')]
TRAINING = [dict(type='LoadImage'), dict(type='RandomHandAugmentation'), dict(type='HandCrop', image_size=CROP),
            dict(type='ColorJitter'), dict(type='PackHandInputs')]


class PlainOpenCV(Dataset):
    """What a hand costs at least with OpenCV alone: imread, one warpAffine of twice its box to the same size, RGB planes."""

    def __init__(self, hands: HandDataset):
        infos = [hands.get_data_info(i) for i in range(len(hands))]
        self.items = [(info['img_path'], info['box_center'], 2 * float(info['box_wh'].max())) for info in infos]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, idx: int) -> torch.Tensor:
        path, center, side = self.items[idx]
        scale = CROP / side
        matrix = np.array([[scale, 0, CROP / 2 - scale * center[0]], [0, scale, CROP / 2 - scale * center[1]]])
        crop = cv2.warpAffine(cv2.imread(path), matrix, (CROP, CROP))
        return torch.from_numpy(np.ascontiguousarray(crop[:, :, ::-1].transpose(2, 0, 1)))


class Pass(NamedTuple):
    """Seconds of one pass, on the wall and of all processes' CPU time."""
    wall: float
    cpu: float


def measure_images(args: argparse.Namespace) -> Iterator[Row]:
    """Rows of the plain loop, the pipeline of evaluation and that of training, in turns; then prints hands a second."""
    with tempfile.TemporaryDirectory() as folder:
        print(f'{args.pictures} pictures of {args.picture_size}x{args.picture_size} are being made.', flush=True)
        store = write_hands(Path(folder), args.pictures, args.picture_size, args.jpeg_quality)
        size = sum(path.stat().st_size for path in Path(folder, 'images').iterdir()) / args.pictures
        plain, crop, ordered, train = ('plain OpenCV: imread, warpAffine', 'HandDataset, evaluation',
                                       'HandDataset, evaluation, in order', 'HandDataset, training')
        evaluated, trained = (HandDataset(str(store.folder), pipeline) for pipeline in (EVALUATION, TRAINING))
        loaders = {plain: _loader(PlainOpenCV(evaluated), args, None), crop: _loader(evaluated, args, hmr_collate),
                   ordered: _loader(evaluated, args, hmr_collate, in_order=True), train: _loader(trained, args, hmr_collate)}
        passes: dict[str, list[Pass]] = {name: [] for name in loaders}
        for turn in range(args.repeats + 1):
            for name, loader in loaders.items():
                measured = _timed_pass(loader)
                if turn:  # the first warms the page cache
                    passes[name].append(measured)
    medians = {name: statistics.median(one.wall for one in many) for name, many in passes.items()}
    for name, median in medians.items():
        yield Row(GROUP, name, 'uint8', median * args.batch_size / args.hands, median / medians[plain])
    print(f'{args.hands} hands in random order unless said, pictures of {size / 1024:.0f} KB, {args.workers} workers:')
    for name, many in passes.items():
        cpu = min(one.cpu for one in many)
        print(f'  {name:36} {args.hands / medians[name]:7.0f} hands/s (best {args.hands / min(many).wall:.0f}), '
              f'{args.hands / cpu:5.0f} per second of CPU time')


def _loader(dataset: Dataset, args: argparse.Namespace, collate, in_order: bool = False) -> DataLoader:
    """In random order, as in training, every hand decodes its picture; in order, as in evaluation, the two hands of a picture
    are neighbours and share one decoding."""
    generator = torch.Generator().manual_seed(0)
    sampler = RandomSampler(dataset, replacement=True, num_samples=args.hands, generator=generator)
    if in_order:
        sampler = [number % len(dataset) for number in range(args.hands)]
    return DataLoader(dataset, args.batch_size, sampler=sampler, num_workers=args.workers, collate_fn=collate,
                      worker_init_fn=_one_thread)


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _timed_pass(loader: DataLoader) -> Pass:
    """The workers are started and ended within it, so that their CPU time is counted."""
    cpu, begin = _cpu_seconds(), time.perf_counter()
    for _ in loader:
        pass
    return Pass(time.perf_counter() - begin, _cpu_seconds() - cpu)


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
