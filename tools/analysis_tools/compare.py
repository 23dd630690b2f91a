"""Compare systems on the same samples: one table with paired bootstrap intervals, a plot, CSV and JSON.

    python tools/analysis_tools/compare.py base.npz adapted.npz --plot compare.png
    python tools/analysis_tools/compare.py base=a.npz ours=b.npz osx=c.npz --protocol ehf --csv compare.csv --json compare.json
    python tools/analysis_tools/compare.py a.npz b.npz --truth a.npz --unit '^.*/'

Files are dumps of hands or of whole bodies (docs/evaluation.md); the first is the reference. Every file is scored again under
one protocol, so their numbers cannot come from different ones.
"""
import argparse
import csv
import io
import json
import sys
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from hmradapter.evaluation import PROTOCOLS
from hmradapter.evaluation.comparison import Difference, common_keys, compare, units_of
from hmradapter.evaluation.dump_scoring import ScoredFile, score_file
from hmradapter.evaluation.tables import text_table
from hmradapter.fileio import atomic_write, named_files
from hmradapter.visualization.comparison_plot import plot_comparison

DISTRIBUTIONS = ('PVE', 'PVE/hands', 'MPJPE/upper', 'PA-PVE', 'MPJPE')  # drawn first, where the files have them


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('predictions', nargs='+', metavar='[NAME=]FILE.npz', help='dumps; the first is the reference')
    parser.add_argument('--protocol', help=f'one of {sorted(PROTOCOLS)}; by default the one that each dump was scored with')
    parser.add_argument('--truth', type=Path, help='dump whose truth is used for all files, matched by key')
    parser.add_argument('--body-models', type=Path, metavar='DIR', help='body-model files of whole bodies')
    parser.add_argument('--unit', metavar='REGEX', help="draw samples together whose keys match the same text, e.g. '^.*/'")
    parser.add_argument('--common', action='store_true', help='compare the samples that all files have')
    parser.add_argument('--resamples', type=int, default=10000, help='draws of the bootstrap (default %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the draws (default %(default)s)')
    for kind in ('plot', 'csv', 'json'):
        parser.add_argument(f'--{kind}', type=Path, metavar='FILE', help=f'write a {kind} as well')
    args = parser.parse_args(argv)
    if args.resamples < 1:
        parser.error(f'--resamples is {args.resamples}; a bootstrap draws at least once.')
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        files = {name: score_file(path, args.protocol, args.truth, args.body_models)
                 for name, path in named_files(args.predictions).items()}
        differences = compare(files, args.resamples, args.seed, args.unit, args.common)
        keys = common_keys(files, args.common)
        if args.plot is not None:
            plot(args.plot, files, keys, differences)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    scores = next(iter(files.values())).scores
    drawn = 'each by itself'
    if args.unit is not None:
        drawn = f'in {len(set(units_of(keys, args.unit)))} units by {args.unit!r}'
    print(f'{len(keys)} {scores.subject}, drawn {drawn}, {args.resamples} resamples, seed {args.seed}; {scores.protocol.id}')
    print(text_table(*table(list(files), differences)))
    if args.csv is not None:
        write_csv(args.csv, differences)
    if args.json is not None:
        with atomic_write(args.json, 'w') as file:
            json.dump(dict(protocol=scores.protocol.id, samples=len(keys), seed=args.seed, resamples=args.resamples,
                           unit=args.unit, reference=next(iter(files)), files=named_files(args.predictions),
                           differences=[asdict(difference) for difference in differences]), file, indent=1)
    return 0


def table(systems: list[str], differences: list[Difference]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the reference's number, then each system's with its difference, interval and p."""
    reference, *others = systems
    header = ['measure', reference]
    for other in others:
        header += [other, 'difference', '95 % interval', 'p', 'better']
    by_name: dict[str, dict[str, Difference]] = {}
    for found in differences:
        by_name.setdefault(found.name, {})[found.system] = found
    rows = []
    for name, by_system in by_name.items():
        first = next(iter(by_system.values()))
        row = [f'{name} ({first.unit})', f'{first.reference:.3f}']
        for other in others:
            found = by_system.get(other)
            row += ['-'] * 5 if found is None else [
                f'{found.value:.3f}', f'{found.difference:+.3f}', f'{found.low:+.3f} .. {found.high:+.3f}', f'{found.p:.4f}',
                f'{found.better:.0%}']
        rows.append(row)
    return header, rows


def plot(path: Path, files: dict[str, ScoredFile], keys: np.ndarray, differences: list[Difference]) -> None:
    known = dict.fromkeys(difference.name for difference in differences)
    names = [name for name in DISTRIBUTIONS if name in known] or list(known)
    errors: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
    for system, file in files.items():
        chosen = np.isin(file.keys, keys)
        for name in names:
            errors[name][system] = np.concatenate([group[chosen] for group in file.scores.cells[name]])
    reference = next(iter(files))
    plot_comparison(path, errors, differences, reference, f'{len(keys)} samples, {files[reference].scores.protocol.id}')


def write_csv(path: Path, differences: list[Difference]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Difference)], lineterminator='\n')
    writer.writeheader()
    writer.writerows(asdict(difference) for difference in differences)
    with atomic_write(path, 'w') as file:
        file.write(text.getvalue())


if __name__ == '__main__':
    sys.exit(main())
