"""Score dumped predictions again, under any protocol.

    python tools/analysis_tools/eval_predictions.py preds.npz --protocol arctic-p1-val
    python tools/analysis_tools/eval_predictions.py other.npz --truth preds.npz --protocol arctic-p1-val --json scores.json

The fields of a dump stand in docs/evaluation.md; with --truth, a file needs predictions and keys alone.
"""
import argparse
import json
import sys
from pathlib import Path

from hmradapter.evaluation import PROTOCOLS, format_scores, get_protocol, score
from hmradapter.evaluation.dump import check_dump, load_arrays, sorted_unique, with_truth_of
from hmradapter.fileio import atomic_write


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('predictions', type=Path, help='.npz that a metric wrote with dump_path, or of the same fields')
    parser.add_argument('--protocol', help=f'one of {sorted(PROTOCOLS)}; by default the one that the dump was scored with')
    parser.add_argument('--truth', type=Path, help='dump whose truth is used, matched by key')
    parser.add_argument('--json', type=Path, help='write the numbers here as well')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        arrays, meta = load_arrays(args.predictions)
        if args.truth is not None:
            arrays = with_truth_of(arrays, load_arrays(args.truth)[0])
        check_dump(arrays, str(args.predictions))
        protocol = get_protocol(args.protocol or meta.get('protocol_name') or '').on(meta.get('run'))
        unique = sorted_unique(arrays)
        scores = score(unique, protocol)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    dropped = len(arrays['sample_idx']) - len(unique['sample_idx'])
    print(f'{args.predictions}: {len(unique["sample_idx"])} hands' + (f', {dropped} duplicates dropped' if dropped else ''))
    print(format_scores(scores))
    if args.json is not None:
        with atomic_write(args.json, 'w') as file:
            json.dump(dict(protocol=protocol.id, scores=scores.flat()), file, indent=1)
    return 0


if __name__ == '__main__':
    sys.exit(main())
