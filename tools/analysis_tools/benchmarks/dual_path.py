"""The dual path, stage by stage: one person with two hands, frozen backbones in float32 and in bfloat16.

Random weights find no hands, so the box head is told two boxes of a usual size. Both precisions have the same weights; how far
their meshes lie apart is printed beside the times.
"""
import argparse
import gc
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import nn

from hmradapter.geometry.cameras import full_image_focal
from hmradapter.models.estimators import DualPathEstimator
from hmradapter.models.precision import frozen_dtype
from hmradapter.structures import HMRDataSample
from hmradapter.structures.data_sample import stack_samples

from .experts import build
from .measuring import Row, peak_memory, timed

STAGES = {'body ViT': 'body.extract', 'body head and adapter': 'body.head.forward', 'cut hands': 'cut_hands',
          'hand ViT': 'hand.extract', 'hand decoder and adapter': 'read_hands', 'integrate and mesh': 'integrate'}
HAND_CELLS = 3.0          # width and height of a hand's box, cells of the body's map
SIZE = (640, 480)         # height, width of the image


def measure_dual_path(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Each stage and the whole in both precisions. Weights exist once: the second precision is a cast."""
    model = build_dual_path(model_cfg, device)
    inputs, sample = one_person(model, device)
    totals, meshes = {}, []
    for choice in ('fp32', 'bf16'):
        model.body.frozen_dtype = model.hand.frozen_dtype = choice
        name = str(frozen_dtype(choice, device)).removeprefix('torch.')
        meshes.append(predict(model, inputs, sample))  # casts and warms up
        gc.collect()
        with stage_times(model, device) as stages:
            seconds = [timed(lambda: predict(model, inputs, sample), device) for _ in range(args.repeats)]
        for stage, values in stages.items():
            per_run = statistics.median(values) * len(values) / args.repeats  # a stage may have several calls
            totals.setdefault(stage, per_run)
            yield Row('dual_path', stage, name, per_run, per_run / totals[stage])
        whole = statistics.median(seconds)
        totals.setdefault('whole', whole)
        peak = peak_memory(lambda: predict(model, inputs, sample), device)
        yield Row('dual_path', 'whole', name, whole, whole / totals['whole'], peak)
    distance = 1000 * (meshes[0] - meshes[1]).norm(dim=-1)
    print(f'vertices in {name} against float32: mean {distance.mean():.3f} mm, largest {distance.max():.3f} mm')


def build_dual_path(model_cfg: dict, device: torch.device) -> DualPathEstimator:
    """The config's experts and adapters with random weights, both hands in sight."""
    parts = {name: build(dict(model_cfg[name], adapter_file=None, losses=None), device, trainable=[])
             for name in ('body', 'hand')}
    for layers in parts['body'].head.boxes.to_size.values():
        nn.init.constant_(layers[-1].bias, HAND_CELLS)
    rest = {name: value for name, value in model_cfg.items() if name not in ('type', 'rows', *parts)}
    return DualPathEstimator(**parts, **rest).to(device).eval()


def one_person(model: DualPathEstimator, device: torch.device) -> tuple[torch.Tensor, HMRDataSample]:
    """A random image of one person who fills it, as the pipeline gives it."""
    height, width = SIZE
    crop_height, crop_width = model.frame.crop_size
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    size = torch.tensor([width, height], dtype=torch.float32)
    scale = torch.tensor([crop_width / width, crop_height / height, 1.0])
    crop = BaseDataElement(box_center=size / 2, box_size=size, img_size=size, focal=full_image_focal(size).expand(2),
                           princpt=size / 2, crop_from_image=torch.diag(scale))
    sample = stack_samples([HMRDataSample(metainfo=dict(key='0', image=image), crop=crop)])
    inputs = torch.rand(1, 3, crop_height, crop_width, generator=torch.Generator().manual_seed(0))
    return inputs.to(device), sample.map(lambda value: value.to(device))


def predict(model: DualPathEstimator, inputs: torch.Tensor, sample: HMRDataSample) -> torch.Tensor:
    """The mesh (1, V, 3), m; ValueError where a hand is missing, since its time would be too."""
    found = model(inputs, sample, mode='tensor')['ours']
    if not bool(found['hand_present'].all()):
        raise ValueError(f'the boxes {found["hand_boxes"].tolist()} are no hands: change HAND_CELLS.')
    return found['vertices']


@contextmanager
def stage_times(model: DualPathEstimator, device: torch.device) -> Iterator[dict[str, list[float]]]:
    """Seconds of every call of each stage, for the length of a `with` block."""
    seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
    places = {stage: (model.get_submodule(path.rpartition('.')[0]), path.rpartition('.')[2]) for stage, path in STAGES.items()}
    for stage, (owner, name) in places.items():
        owner.__dict__[name] = _clocked(getattr(owner, name), seconds[stage], device)
    try:
        yield seconds
    finally:
        for owner, name in places.values():
            del owner.__dict__[name]


def _clocked(function: Callable, seconds: list[float], device: torch.device) -> Callable:
    def call(*args, **kwargs):
        results = []
        seconds.append(timed(lambda: results.append(function(*args, **kwargs)), device))
        return results[0]
    return call
