"""What speed costs and gives, side by side in one run: medians and ratios, as a table and as CSV.

    python tools/analysis_tools/benchmark.py --size tiny                       a minute on 2 cores
    python tools/analysis_tools/benchmark.py --size huge --batch-size 1        HaMeR's size; full fine-tuning takes 12 GB
    python tools/analysis_tools/benchmark.py --size huge-body --only memory    SMPLer-X-H: one crop in fp32 and bf16
    python tools/analysis_tools/benchmark.py dual_path                         SMPLer-X-H and HaMeR on one person, by stage
    python tools/analysis_tools/benchmark.py CONFIG --csv out/ --only paths inference
    python tools/analysis_tools/benchmark.py images --workers 2 --batch-size 32    hands decoded and cropped a second

paths       the parts with attention (backbone, a hand's head): plain float32 attention, fused, fused in bfloat16
training    the adapter's training step against the frozen forward alone and against fine-tuning everything: time, peak memory
inference   base and adapter against the base
dual_path   one person with two hands, stage by stage, backbones in float32 and in bfloat16, and how far the meshes differ
images      hands of 1000-pixel JPEGs through the data workers, pipelines of evaluation and of training, against a plain loop of
            OpenCV's imread and warpAffine in as many workers; every hand decodes its picture, files are in the page cache
memory      peak of building base and adapter and predicting one crop, backbone in float32 and in bfloat16

Variants of one group take turns, so that a busy machine slows all of them. Weights and images are random. Where the body model
of the config is not on this machine, the made-up hand of the tests or the open body takes its place.
"""
import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from benchmarks.dual_path import measure_dual_path
from benchmarks.experts import GROUPS
from benchmarks.images import GROUP as IMAGES
from benchmarks.images import measure_images
from benchmarks.measuring import HEADER, Row, crops_of, line
from mmengine.config import DictAction

from hmradapter.body_models.open_model.build import build_open_body_models
from hmradapter.engine.config import load_config

ROOT = Path(__file__).parents[2]
CONFIGS = dict(tiny='configs/open/hand_adapter_open.py', huge='configs/hand_adapter_arctic.py',
               **{'huge-body': 'configs/body_adapter_arctic.py'})
DUAL_PATH, DUAL_PATH_CONFIG = 'dual_path', 'configs/dual_path_arctic.py'
MADE_UP_HAND = 'tests/data/parity/hamer/mano_synth.npz'
OPEN_BODIES = 'data/body_models/open'


def parse_args(argv=None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', help=f'config of an expert with an adapter or of a dual path '
                        f'(default: that of --size); {DUAL_PATH!r} is {DUAL_PATH_CONFIG}; {IMAGES!r} needs none')
    parser.add_argument('--size', choices=CONFIGS, default='tiny', help='the open tiny hand, HaMeR or SMPLer-X-H')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, help='changes of the config, key=value')
    parser.add_argument('--batch-size', type=int, default=4, help='crops of a batch (default 4)')
    parser.add_argument('--repeats', type=int, default=7, help='rounds; the median of them is printed (default 7)')
    parser.add_argument('--threads', type=int, help="CPU threads (default: torch's choice)")
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--only', nargs='+', choices=GROUPS, default=list(GROUPS),
                        help='groups to run on an expert (default: all)')
    images = parser.add_argument_group(IMAGES)
    images.add_argument('--workers', type=int, default=2, help='data workers (default 2)')
    images.add_argument('--hands', type=int, default=512, help='hands of a round (default 512)')
    images.add_argument('--pictures', type=int, default=100, help='JPEGs that are made for it (default 100)')
    images.add_argument('--picture-size', type=int, default=1000, help='their sides, px (default 1000)')
    images.add_argument('--jpeg-quality', type=int, default=92, help='(default 92)')
    parser.add_argument('--csv', help='folder for a CSV whose name says size, device and torch version')
    args = parser.parse_args(argv)
    if args.config == DUAL_PATH:
        args.config = str(ROOT / DUAL_PATH_CONFIG)
    for name in ('batch_size', 'repeats', 'workers', 'hands', 'pictures'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1')
    return args


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
    """The config's model, with body models that exist."""
    model_cfg = load_config(args.config or ROOT / CONFIGS[args.size], args.cfg_options).model.to_dict()
    experts = [model_cfg['body'], model_cfg['hand']] if model_cfg['type'] == 'DualPathEstimator' else [model_cfg]
    for expert in experts:
        if not expert.get('adapter'):
            raise ValueError(f'{args.config} has no adapter; give the config of an expert with one.')
        _make_findable(expert['body_model'])
    return model_cfg


def _make_findable(body_model: dict) -> None:
    if not Path(body_model['model_path']).exists():
        is_hand = body_model['type'] == 'MANOLayer'
        stand_in = ROOT / MADE_UP_HAND if is_hand else build_open_body_models(ROOT / OPEN_BODIES) / 'smplx'
        print(f'{body_model["model_path"]} is not here: {stand_in.relative_to(ROOT)} stands in.')
        body_model['model_path'] = str(stand_in)
        body_model.pop('side', None)


def measurements(model_cfg: dict | None, args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """The rows that were asked for, one after the other."""
    if model_cfg is None:
        yield from measure_images(args)
        return
    if model_cfg['type'] == 'DualPathEstimator':
        yield from measure_dual_path(model_cfg, args, device)
        return
    for group, measure in GROUPS.items():
        if group in args.only:
            yield from measure(model_cfg, args, device)


def main(argv=None) -> int:
    """Run the benchmark and return the exit status."""
    args = parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = torch.device(args.device)
    try:
        model_cfg = None if args.config == IMAGES else model_config(args)
    except (OSError, ValueError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 1
    print(f'{args.config or CONFIGS[args.size]}: batch {args.batch_size}, {args.repeats} rounds, {device}, '
          f'{torch.get_num_threads()} CPU threads, torch {torch.__version__}\n{HEADER}', flush=True)
    rows: list[Row] = []
    for row in measurements(model_cfg, args, device):
        rows.append(row)
        print(line(row, args.batch_size), flush=True)  # at full size the next one can take a minute
    if args.csv:
        print(f'written: {write_csv(rows, args, device)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
