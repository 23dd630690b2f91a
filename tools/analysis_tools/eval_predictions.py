"""Score dumped predictions again, of hands or of whole bodies, under any protocol.

    python tools/analysis_tools/eval_predictions.py preds.npz --protocol arctic-p1-val
    python tools/analysis_tools/eval_predictions.py preds.npz --protocol ehf --body-models data/body_models
    python tools/analysis_tools/eval_predictions.py other.npz --truth preds.npz --protocol arctic-p1-val --json scores.json

The fields of a dump stand in docs/evaluation.md; with --truth, a file needs predictions and keys alone.
"""
import argparse
import json
import sys
from pathlib import Path

from hmradapter.evaluation import PROTOCOLS, format_scores
from hmradapter.evaluation.dump_scoring import score_file
from hmradapter.fileio import atomic_write


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('predictions', type=Path, help='.npz that a metric wrote with dump_path, or of the same fields')
    parser.add_argument('--protocol', help=f'one of {sorted(PROTOCOLS)}; by default the one that the dump was scored with')
    parser.add_argument('--truth', type=Path, help='dump whose truth is used, matched by key')
    parser.add_argument('--body-models', type=Path, metavar='DIR',
                        help='body-model files of whole bodies (default: the folder that the dump names)')
    parser.add_argument('--json', type=Path, help='write the numbers here as well')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        found = score_file(args.predictions, args.protocol, args.truth, args.body_models)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    scores = found.scores
    print(f'{args.predictions}: {len(found.keys)} {scores.subject}'
          + (f', {found.dropped} duplicates dropped' if found.dropped else ''))
    print(format_scores(scores))
    if args.json is not None:
        with atomic_write(args.json, 'w') as file:
            json.dump(dict(protocol=scores.protocol.id, scores=scores.flat()), file, indent=1)
    return 0


if __name__ == '__main__':
    sys.exit(main())
