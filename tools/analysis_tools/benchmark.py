"""What speed costs and gives, side by side in one run: medians and ratios, as a table and as CSV.

    python tools/analysis_tools/benchmark.py --size tiny                       a minute on 2 cores
    python tools/analysis_tools/benchmark.py --size huge --batch-size 1        HaMeR's size; full fine-tuning takes 12 GB
    python tools/analysis_tools/benchmark.py --size huge-body --only memory    SMPLer-X-H: one crop in fp32 and bf16
    python tools/analysis_tools/benchmark.py CONFIG --csv out/ --only paths inference

paths       the parts with attention (backbone, a hand's head): plain float32 attention, fused, fused in bfloat16
training    the adapter's training step against the frozen forward alone and against fine-tuning everything: time, peak memory
inference   base and adapter against the base
memory      peak of building base and adapter and predicting one crop, backbone in float32 and in bfloat16

Variants of one group take turns, so that a busy machine slows all of them. Weights and images are random. Where the body model
of the config is not on this machine, the made-up hand of the tests or the open body takes its place.
"""
import argparse
import copy
import csv
import gc
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import DictAction
from mmengine.structures import BaseDataElement
from torch import nn

from hmradapter.body_models.open_model.build import build_open_body_models
from hmradapter.engine.config import load_config
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.models.estimators import WholeBodyExpert
from hmradapter.models.precision import frozen_dtype
from hmradapter.registry import MODELS
from hmradapter.structures import HMRDataSample
from hmradapter.structures.joints import POSE53_PARTS

ROOT = Path(__file__).parents[2]
CONFIGS = dict(tiny='configs/open/hand_adapter_open.py', huge='configs/hand_adapter_arctic.py',
               **{'huge-body': 'configs/body_adapter_arctic.py'})
MADE_UP_HAND = 'tests/data/parity/hamer/mano_synth.npz'
OPEN_BODIES = 'data/body_models/open'
GROUPS = ('paths', 'training', 'inference', 'memory')
MIB = 1 << 20


class Row(NamedTuple):
    """One variant: median seconds of a batch, against its group's reference, and peak memory where it was asked for. The group
    memory has batches of one crop."""
    group: str
    variant: str
    dtype: str
    seconds: float
    ratio: float
    peak_mib: float | None = None


def parse_args(argv=None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', help='config of an expert with an adapter (default: that of --size)')
    parser.add_argument('--size', choices=CONFIGS, default='tiny', help='the open tiny hand, HaMeR or SMPLer-X-H')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, help='changes of the config, key=value')
    parser.add_argument('--batch-size', type=int, default=4, help='crops of a batch (default 4)')
    parser.add_argument('--repeats', type=int, default=7, help='rounds; the median of them is printed (default 7)')
    parser.add_argument('--threads', type=int, help="CPU threads (default: torch's choice)")
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--only', nargs='+', choices=GROUPS, default=GROUPS, help='groups to run (default: all)')
    parser.add_argument('--csv', help='folder for a CSV whose name says size, device and torch version')
    args = parser.parse_args(argv)
    if args.batch_size < 1 or args.repeats < 1:
        parser.error('--batch-size and --repeats must be at least 1')
    return args


# ---- what is measured ------------------------------------------------------------------------------------------------------
def build(model_cfg: dict, device: torch.device, **changes) -> nn.Module:
    """The config's model with random weights."""
    config = dict(copy.deepcopy(model_cfg), expert=None, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # random weights are announced, and meant here
        return MODELS.build(config).to(device)


def make_batch(model: nn.Module, batch_size: int, device: torch.device) -> tuple[torch.Tensor, HMRDataSample]:
    """Random crops with labels and guidance for every loss."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(batch_size, *shape, generator=generator)

    if isinstance(model, WholeBodyExpert):
        size, groups = model.head.frame.crop_size, person_labels(normal)
    else:
        size, groups = (model.backbone.img_size[0],) * 2, hand_labels(normal)
    batch = HMRDataSample(**{name: BaseDataElement(**fields) for name, fields in groups.items()})
    return normal(3, *size).to(device), batch.map(lambda value: value.to(device))


def hand_labels(normal: Callable[..., torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Labels and guidance of hands."""
    pose, ones = axis_angle_to_rotmat(0.3 * normal(16, 3)), torch.ones_like(normal())
    gt = dict(global_orient=pose[:, :1], hand_pose=pose[:, 1:], betas=normal(10), keypoints_2d=normal(21, 3).abs(),
              keypoints_3d=normal(21, 4).abs(), has_global_orient=ones, has_hand_pose=ones, has_betas=ones)
    return dict(gt=gt, guidance=dict(body_pose=axis_angle_to_rotmat(0.3 * normal(22, 3)), has_body_pose=ones))


def person_labels(normal: Callable[..., torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Labels and guidance of persons."""
    pose = axis_angle_to_rotmat(0.3 * normal(53, 3))
    gt = dict({name: pose[:, part] for name, part in POSE53_PARTS.items()}, betas=normal(10), expression=normal(10),
              keypoints_3d=normal(137, 4).abs(), heatmap_joints=4 * normal(137, 4).abs(), boxes=4 * normal(3, 4).abs())
    flags = dict(pose_valid=(53,), has_betas=(), has_expression=(), has_boxes=(3,))
    gt.update({name: torch.ones_like(normal(*shape)) for name, shape in flags.items()})
    return dict(gt=gt, guidance=dict(hand_joints=4 * normal(2, 20, 3).abs(), has_hands=torch.ones_like(normal(2))))


def measure_paths(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Backbone and head, each on its own, in three ways; SMPLer-X's head has no attention."""
    model = build(model_cfg, device, adapter=None, trainable=None, body_model=None, losses=None).eval()
    images, _ = make_batch(model, args.batch_size, device)
    height, width = model.backbone.img_size
    images = images[..., :height, :width].contiguous()
    parts = [('backbone', model.backbone, images)]
    if not isinstance(model, WholeBodyExpert):
        with torch.inference_mode():
            parts.append(('head', model.head, model.backbone(images)))
    for name, part, given in parts:
        half, half_given = copy.deepcopy(part).to(torch.bfloat16), given.to(torch.bfloat16)
        variants = {f'{name}, plain attention': lambda part=part, given=given: run(part, given, fused=False),
                    f'{name}, fused attention': lambda part=part, given=given: run(part, given),
                    f'{name}, fused attention in bfloat16': lambda half=half, given=half_given: run(half, given)}
        yield from compare('paths', variants, args.repeats, device, ('float32', 'float32', 'bfloat16'))


def run(part: nn.Module, given: torch.Tensor, fused: bool = True) -> None:
    """One forward pass without gradients, on the fused or the plain path."""
    for module in part.modules():
        if hasattr(module, 'fused'):
            module.fused = fused
    with torch.inference_mode():
        part(given)


def measure_training(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Frozen forward, adapter step, full step. One model lives at a time, since its memory counts."""
    frozen, adapted = measure_adapter_step(model_cfg, args, device)
    yield from (frozen, adapted)
    model = build(model_cfg, device, adapter=None, trainable=None).train()
    step = training_step(model, *make_batch(model, args.batch_size, device))
    full, = compare('training', {'full fine-tuning step': step}, args.repeats, device, ('float32',))
    yield full._replace(ratio=full.seconds / frozen.seconds, peak_mib=peak_memory(step, device))


def measure_adapter_step(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> list[Row]:
    """The adapter's training step against what the frozen expert would cost without one."""
    model = build(model_cfg, device, trainable=['adapter']).train()
    inputs, batch = make_batch(model, args.batch_size, device)
    step = training_step(model, inputs, batch)
    precision = str(frozen_dtype(model.frozen_dtype, device)).removeprefix('torch.')
    rows = list(compare('training', {'frozen forward alone': lambda: frozen_forward(model, inputs),
                                     'adapter training step': step}, args.repeats, device, (precision, precision)))
    return [rows[0], rows[1]._replace(peak_mib=peak_memory(step, device))]


def frozen_forward(model: nn.Module, inputs: torch.Tensor) -> None:
    """The frozen expert's own work in a training step, with its precision."""
    adapter, model.adapter = model.adapter, None
    with torch.no_grad():
        model.regress(inputs, None)
    model.adapter = adapter


def training_step(model: nn.Module, inputs: torch.Tensor, batch: HMRDataSample) -> Callable[[], None]:
    """A function that makes one optimizer step on all that learns."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6)

    def step() -> None:
        optimizer.zero_grad()
        sum(model(inputs, batch, mode='loss').values()).backward()
        optimizer.step()
    return step


def measure_inference(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Crops to meshes, with and without the adapter beside the same frozen expert."""
    model = build(model_cfg, device, trainable=['adapter']).eval()
    inputs, batch = make_batch(model, args.batch_size, device)
    adapter = model.adapter

    def predict(with_adapter: bool) -> None:
        model.adapter = adapter if with_adapter else None
        with torch.inference_mode():
            model(inputs, batch)

    precision = str(frozen_dtype(model.frozen_dtype, device)).removeprefix('torch.')
    yield from compare('inference', {'base': lambda: predict(False), 'base and adapter': lambda: predict(True)}, args.repeats,
                       device, (precision, precision))


def measure_memory(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """One crop from nothing, in both precisions of the backbone. Each model is gone before the next one is built."""
    first = None
    for choice in ('fp32', 'bf16'):
        seconds = []

        def predict(choice=choice, seconds=seconds) -> None:
            model = build(model_cfg, device, trainable=['adapter'], losses=None, frozen_dtype=choice).eval()
            inputs, batch = make_batch(model, 1, device)
            with torch.inference_mode():
                seconds.append(timed(lambda: model(inputs, batch), device))

        peak = peak_memory(predict, device)
        if not seconds:  # nobody tells the peak here
            predict()
        gc.collect()
        first = first or seconds[0]
        precision = str(frozen_dtype(choice, device)).removeprefix('torch.')
        yield Row('memory', 'one crop, from building to mesh', precision, seconds[0], seconds[0] / first, peak)


# ---- how it is measured ----------------------------------------------------------------------------------------------------
def timed(function: Callable[[], None], device: torch.device) -> float:
    """Seconds of one call, the device's work included."""
    start = time.perf_counter()
    function()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def compare(group: str, variants: dict[str, Callable[[], None]], repeats: int, device: torch.device,
            dtypes: tuple[str, ...]) -> Iterator[Row]:
    """Median of each variant after one warm-up, in turns; ratios are to the first."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for function in variants.values():
        timed(function, device)
    for _ in range(repeats):
        for name, function in variants.items():
            seconds[name].append(timed(function, device))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    reference = next(iter(medians.values()))
    for (name, median), dtype in zip(medians.items(), dtypes, strict=True):
        yield Row(group, name, dtype, median, median / reference)


def peak_memory(function: Callable[[], None], device: torch.device) -> float | None:
    """Peak MiB of one call, weights included: of the device, or of the process where Linux tells (else None)."""
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        function()
        return torch.cuda.max_memory_allocated(device) / MIB
    reset = Path('/proc/self/clear_refs')
    if not os.access(reset, os.W_OK):
        return None
    reset.write_text('5')  # 5 sets the process' peak to what it holds now
    function()
    peak = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
    return int(peak.split()[1]) / 1024


# ---- what is printed -------------------------------------------------------------------------------------------------------
HEADER = f'{"group":10} {"variant":38} {"dtype":9} {"ms/batch":>10} {"ms/crop":>9} {"ratio":>7} {"peak MiB":>9}'


def line(row: Row, batch_size: int) -> str:
    """A row of the table."""
    batch_size = crops_of(row, batch_size)
    peak = '' if row.peak_mib is None else f'{row.peak_mib:9.0f}'
    return (f'{row.group:10} {row.variant:38} {row.dtype:9} {1e3 * row.seconds:10.1f} '
            f'{1e3 * row.seconds / batch_size:9.1f} {row.ratio:7.3f} {peak:>9}')


def crops_of(row: Row, batch_size: int) -> int:
    """Crops of a row's batch."""
    return 1 if row.group == 'memory' else batch_size


def write_csv(rows: list[Row], args: argparse.Namespace, device: torch.device) -> Path:
    """The same with what a reader needs to compare machines."""
    name = Path(args.config).stem if args.config else args.size
    path = Path(args.csv) / f'benchmark-{name}-b{args.batch_size}-{device.type}-torch{torch.__version__.split("+")[0]}.csv'
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = torch.cuda.get_device_name(device) if device.type == 'cuda' else f'{torch.get_num_threads()} CPU threads'
    with open(path, 'w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow([*Row._fields, 'batch_size', 'repeats', 'machine'])
        writer.writerows([*row, crops_of(row, args.batch_size), args.repeats, machine] for row in rows)
    return path


def model_config(args: argparse.Namespace) -> dict:
    """The config's model, with a body model that exists."""
    model_cfg = load_config(args.config or ROOT / CONFIGS[args.size], args.cfg_options).model.to_dict()
    if not model_cfg.get('adapter'):
        raise ValueError(f'{args.config} has no adapter; give the config of an expert with one.')
    body_model = model_cfg['body_model']
    if not Path(body_model['model_path']).exists():
        is_hand = body_model['type'] == 'MANOLayer'
        stand_in = ROOT / MADE_UP_HAND if is_hand else build_open_body_models(ROOT / OPEN_BODIES) / 'smplx'
        print(f'{body_model["model_path"]} is not here: {stand_in.relative_to(ROOT)} stands in.')
        model_cfg['body_model'] = dict(type=body_model['type'], model_path=str(stand_in))
    return model_cfg


def main(argv=None) -> int:
    """Run the benchmark and return the exit status."""
    args = parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device(args.device)
    try:
        model_cfg = model_config(args)
    except (OSError, ValueError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 1
    print(f'{args.config or CONFIGS[args.size]}: batch {args.batch_size}, {args.repeats} rounds, {device}, '
          f'{torch.get_num_threads()} CPU threads, torch {torch.__version__}\n{HEADER}', flush=True)
    rows: list[Row] = []
    for group, measure in zip(GROUPS, (measure_paths, measure_training, measure_inference, measure_memory), strict=True):
        if group in args.only:
            for row in measure(model_cfg, args, device):
                rows.append(row)
                print(line(row, args.batch_size), flush=True)  # at full size the next one can take a minute
    if args.csv:
        print(f'written: {write_csv(rows, args, device)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
