"""Draw how training went: loss and measures of the held-out set against iterations, from the logs of work dirs.

    python tools/analysis_tools/plot_curves.py work_dirs/hand_adapter_open --out curves.png
    python tools/analysis_tools/plot_curves.py a=work_dirs/run_a b=work_dirs/run_b --keys loss hands/PVE grad_norm --log loss
    python tools/analysis_tools/plot_curves.py work_dirs/run_a --list          the names that its log has

A run that was resumed is one curve.
"""
import argparse
import difflib
import sys
from pathlib import Path

from hmradapter.engine.training_log import Curve, read_curves
from hmradapter.fileio import named_files
from hmradapter.visualization.curve_plot import plot_curves

MEASURES = ('hands/PVE', 'body/PVE')  # drawn beside the loss, where the logs have them


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', metavar='[NAME=]WORK_DIR', help='of tools/train.py')
    parser.add_argument('--keys', nargs='+', metavar='KEY', help='what to draw, a panel each (default: loss and PVE)')
    parser.add_argument('--log', nargs='+', metavar='KEY', help='which of them on a logarithmic axis (default: loss)')
    parser.add_argument('--out', type=Path, default='curves.png', help='such as .png, .pdf or .svg (default: %(default)s)')
    parser.add_argument('--list', action='store_true', help='say which keys there are, and draw nothing')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        runs = {name: curves_of(path) for name, path in named_files(args.runs).items()}
        if args.list:
            print('\n'.join(dict.fromkeys(key for curves in runs.values() for key in curves)))
            return 0
        drawn = panels(runs, args.keys)
        for key in args.log or ():
            if key not in drawn:
                raise ValueError(f'--log has {key!r}, which is not drawn; drawn are {", ".join(drawn)}.')
        plot_curves(args.out, drawn, args.log or ['loss'])
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(args.out)
    return 0


def curves_of(work_dir: str) -> dict[str, Curve]:
    """What a run logged; ValueError where it logged nothing."""
    curves = read_curves(work_dir)
    if not curves:
        raise ValueError(f'{work_dir} has nothing in <time>/vis_data/scalars.json: is it the work dir of a training run?')
    return curves


def panels(runs: dict[str, dict[str, Curve]], keys: list[str] | None) -> dict[str, dict[str, list[Curve]]]:
    """{key: {run: [its curve]}}, of the runs that have it; ValueError for a key that none has."""
    known = dict.fromkeys(key for curves in runs.values() for key in curves)
    chosen = keys or ['loss', *(key for key in MEASURES if key in known)]
    for key in chosen:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise ValueError(f'no log has {key!r}.{f" Did you mean {near[0]!r}?" if near else ""} --list says what there is.')
    return {key: {run: [curves[key]] for run, curves in runs.items() if key in curves} for key in chosen}


if __name__ == '__main__':
    sys.exit(main())
