"""Compare this package with recorded outputs of the reference implementations; exit status 1 where a tolerance is exceeded.

    python tools/analysis_tools/check_parity.py hamer --weights small.pt --config small.json --io small_io.npz
    python tools/analysis_tools/check_parity.py hamer --data geometry.npz
    python tools/analysis_tools/check_parity.py smplerx --dir FIXTURE_DIR
    python tools/analysis_tools/check_parity.py integration --dir FIXTURE_DIR

The first runs a whole network: weights under HaMeR's names, its sizes, and inputs and outputs of every layer, any of which may
be absent or thinned out. The second checks one of geometry.npz, crop.npz, dataset.npz and metrics.npz (with metrics.json beside
it). The third checks every file of a directory: network, losses, geometry, crops, metrics, data sets and the body model that
they were made with, for the sizes in its config.json. The fourth does so for hands on arms: copied wrists, twist into the
elbow, fingers, crop rays and measures. Every stored array is printed with its error and tolerance, or as an input, or as not
checked.
"""
import argparse
import sys

import numpy as np
from parity import hamer_network, integration, smplerx
from parity.directory import check_directory
from parity.report import print_report


def parse_args(argv=None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    experts = parser.add_subparsers(dest='expert', required=True)
    hamer = experts.add_parser('hamer', help="HaMeR's network, geometry, data and metrics", description=__doc__,
                               formatter_class=argparse.RawDescriptionHelpFormatter)
    hamer.add_argument('--weights', help='.pt or .ckpt with HaMeR\'s keys')
    hamer.add_argument('--config', help='.json with the sizes of the network')
    hamer.add_argument('--io', help='_io.npz with the outputs of every layer')
    hamer.add_argument('--mano', help='hand model (default: mano_synth.npz beside --io, else the one of tests/data/parity)')
    hamer.add_argument('--plain', action='store_true', help='the plain attention instead of the fused one')
    hamer.add_argument('--data', help='geometry.npz, crop.npz, dataset.npz or metrics.npz')
    for name, module, said in (('smplerx', smplerx, "SMPLer-X's network, losses, geometry, data and metrics"),
                               ('integration', integration, 'hands of one expert on the arms of another')):
        directory = experts.add_parser(name, help=said, description=__doc__,
                                       formatter_class=argparse.RawDescriptionHelpFormatter)
        directory.add_argument('--dir', required=True, help='directory of fixtures')
        directory.add_argument('--only', nargs='+', default=(), choices=sorted(module.PARTS), help='some of its parts')
        directory.set_defaults(parts=module.PARTS)
    args = parser.parse_args(argv)
    if args.expert != 'hamer':
        return args
    network = (args.weights, args.config, args.io)
    if bool(args.data) == any(network) or (any(network) and not all(network)):
        hamer.error('give either --data, or all of --weights, --config and --io')
    return args


def data_module(path: str):
    """The module that checks an .npz, by the names of its arrays."""
    with np.load(path) as data:
        names = set(data.files)
    if any(name.startswith(('rot6d.', 'persp.', 'cam_full.', 'mirror_', 'affine.')) for name in names):
        from parity import hamer_geometry as module
    elif 'boxes_xyxy' in names or 'ann.imgname' in names:
        from parity import hamer_dataset as module
    elif any(name.startswith(('pa.', 'evaluator.', 'freihand.', 'eval_pose.')) for name in names):
        from parity import hamer_metrics as module
    else:
        raise ValueError(f'{path} is none of geometry, crop, dataset and metrics: its arrays are {sorted(names)[:8]}.')
    return module


def main(argv=None) -> int:
    """Run the check and return the exit status."""
    args = parse_args(argv)
    try:
        if args.expert != 'hamer':
            return 0 if check_directory(args.parts, args.dir, args.only) else 1
        if args.data:
            module = data_module(args.data)
            with np.load(args.data) as data:
                names = data.files
            return 0 if print_report(module.check(args.data), names, module.INPUTS) else 1
        result = hamer_network.check(args.weights, args.config, args.io, args.mano, fused=not args.plain)
        holds = print_report(result.rows, result.names, hamer_network.INPUTS, hamer_network.OUTPUTS)
        for remark in result.remarks:
            print(remark)
        return 0 if holds else 1
    except (OSError, ValueError, KeyError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
