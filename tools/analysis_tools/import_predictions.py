"""Turn another system's output files into a dump, to be scored and compared like our own.

    python tools/analysis_tools/import_predictions.py smplerx demo/results --truth preds.npz --out smplerx.npz
    python tools/analysis_tools/import_predictions.py hamer batches/*.npz --truth hands.npz --out hamer.npz
    python tools/analysis_tools/import_predictions.py server-json pred.json --truth hands.npz --out hamer.npz
    python tools/analysis_tools/import_predictions.py hmr2 batches/*.pt --truth 3dpw.npz --out hmr2.npz

smplerx: the folder that SMPLer-X's inference wrote (smplx/*.npz and meta/*.json). hamer, hmr2: forward outputs, saved with
np.savez or torch.save. server-json: what HaMeR's eval.py writes for FreiHAND's and HO3D's servers. --truth is a dump of the
same data set; its samples are found by key, by image and box, or by order (docs/evaluation.md).
"""
import argparse
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from hmradapter.evaluation.dump import BODIES, check_dump, load_arrays, save_dump, with_truth_of
from hmradapter.evaluation.matching import match
from hmradapter.evaluation.other_systems import Imported, read_hamer, read_hmr2, read_server_json, read_smplerx

FORMATS = ('smplerx', 'hamer', 'server-json', 'hmr2')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('format', choices=FORMATS)
    parser.add_argument('files', nargs='+', type=Path, help='files of that format, or its folder')
    parser.add_argument('--truth', type=Path, required=True, help='dump of the same samples')
    parser.add_argument('--out', type=Path, required=True, help='.npz to write')
    parser.add_argument('--body-models', type=Path, metavar='DIR',
                        help='SMPL-X, SMPL or MANO files (default: what the truth names)')
    parser.add_argument('--keys', type=Path, metavar='FILE.json', help='{prediction, such as 00001_0: key of its sample}')
    parser.add_argument('--order', default='freihand', choices=('freihand', 'ho3d'), help='joints of a server-json')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        truth, meta = load_arrays(args.truth)
        root = args.body_models or meta.get('body_model_root')
        imported = read(args, truth, root)
        if args.keys is not None:
            imported = dataclasses.replace(imported, names=keys_of(imported, args.keys))
        predictions, samples = match(imported, truth)
        arrays = {name: values[predictions] for name, values in imported.arrays.items()}
        arrays = with_truth_of(dict(arrays, key=truth['key'][samples]), truth)
        check_dump(arrays, str(args.files[0]), imported.layout)
        facts = {name: meta[name] for name in ('protocol', 'protocol_name', 'run') if name in meta}
        if imported.layout is BODIES and root is not None:
            facts['body_model_root'] = str(root)
        facts.update(imported=args.format, files=[str(path) for path in args.files])
        save_dump(args.out, arrays, facts, imported.layout)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    count = len(next(iter(imported.arrays.values())))
    print(f'{args.out}: {len(samples)} of {len(truth["key"])} samples have a prediction; {count - len(predictions)} of {count} '
          'predictions belong to none')
    return 0


def read(args: argparse.Namespace, truth: dict[str, np.ndarray], root: Path | str | None) -> Imported:
    """Predictions of the chosen format."""
    if args.format == 'hamer':
        return read_hamer(args.files)
    if args.format == 'hmr2':
        return read_hmr2(args.files, root)
    if len(args.files) != 1:
        raise ValueError(f'{args.format} takes one file or folder, but {len(args.files)} were given.')
    if args.format == 'server-json':
        if 'is_right' not in truth:
            raise ValueError(f'{args.truth} is no dump of hands.')
        order = np.argsort(truth['sample_idx'], kind='stable')
        return read_server_json(args.files[0], truth['is_right'][order] > 0, args.order, args.body_models)
    if root is None:
        raise ValueError('smplerx needs the SMPL-X files: give their folder (--body-models).')
    return read_smplerx(args.files[0], root)


def keys_of(imported: Imported, path: Path) -> np.ndarray:
    """Keys of the predictions, by their names."""
    keys = json.loads(path.read_text())
    names = imported.names if imported.ids is None else imported.ids
    if names is None:
        raise ValueError(f'the predictions have no names that {path} could give keys to.')
    unknown = [name for name in names.tolist() if name not in keys]
    if unknown:
        raise ValueError(f'{path} has no key for {len(unknown)} predictions, the first is {unknown[0]!r}.')
    return np.array([keys[name] for name in names.tolist()])


if __name__ == '__main__':
    sys.exit(main())
