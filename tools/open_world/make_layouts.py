"""Make tiny open-world releases in the raw layouts of other data sets: a few rendered pictures each, with exact labels.

    python tools/open_world/make_layouts.py --list
    python tools/open_world/make_layouts.py rich bedlam freihand interhand h36m --out data/open/layouts     a minute on 2 cores
    python tools/open_world/make_layouts.py freihand --out data/open/layouts_2 --seed 7 --options hands=40

Writes <out>/<name>, what a config names: dict(type='RICHSource', data_root='data/open/layouts/rich', ...). A release appears as
a whole or not at all; one that is there with the same seed and options is left as it is. Same arguments, same bytes. Needs
tools/open_world/build_body_models.py. Sets of a size to train on: make_arctic.py, make_bodies.py.
"""
import argparse
import inspect
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from mmengine.config import DictAction
from tqdm import tqdm

from hmradapter.body_models import OPEN_ROOT
from hmradapter.synthetic.layouts import LAYOUTS

NOTE = 'open_world.json'  # in a finished release: what it was made with


def parse_args(argv=None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'of {", ".join(LAYOUTS)}')
    parser.add_argument('--out', type=Path, help='folder of the releases')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='of the writers of all chosen layouts, see --list')
    parser.add_argument('--body-models', type=Path, default=OPEN_ROOT)
    parser.add_argument('--list', action='store_true', help='tell the layouts and their options')
    args = parser.parse_args(argv)
    if not args.list and not (args.names and args.out):
        parser.error('give at least one NAME and --out, or --list.')
    unknown = [name for name in args.names if name not in LAYOUTS]
    if unknown:
        parser.error(f'there is no layout {", ".join(unknown)}: they are {", ".join(LAYOUTS)}.')
    for name in args.names:
        foreign = sorted(set(args.options) - set(_options(LAYOUTS[name])))
        if foreign:
            parser.error(f'{name} has no option {", ".join(foreign)}; --list tells what there is.')
    return args


def main(argv=None) -> None:
    """Write the chosen releases."""
    args = parse_args(argv)
    if args.list:
        for name, write in LAYOUTS.items():
            options = ' '.join(f'{key}={value}' for key, value in _options(write).items())
            print(f'{name:16} {inspect.getmodule(write).__doc__.splitlines()[0]} {options}'.rstrip())
        return
    for name in tqdm(dict.fromkeys(args.names), unit='release', desc=str(args.out)):
        try:
            said = make(name, args.out, args.body_models, args.seed, args.options)
        except (OSError, ValueError) as error:
            sys.exit(f'{Path(sys.argv[0]).name}: {name}: {error}')
        tqdm.write(said)


def make(name: str, out: Path, body_models: Path, seed: int, options: dict) -> str:
    """Write <out>/<name> and say so. ValueError for a folder that was made otherwise."""
    folder, partial = out / name, out / f'.{name}.partial'
    made_with = dict(layout=name, seed=seed, options=options)
    if folder.exists():
        note = folder / NOTE
        if not note.is_file() or json.loads(note.read_text()) != made_with:
            raise ValueError(f'{folder} is there, and not of seed {seed} and options {options}: delete it, or give another '
                             '--out.')
        return f'{folder} is there.'
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    partial.mkdir(parents=True)
    truth = LAYOUTS[name](partial, body_models, seed=seed, **options)
    files = [path for path in partial.rglob('*') if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    (partial / NOTE).write_text(json.dumps(made_with))
    partial.rename(folder)
    return f'{folder}: {len(files)} files, {size / 1e6:.1f} MB, the truth of {len(truth)} samples known.'


def _options(write: Callable) -> dict:
    """Further arguments of a writer with their defaults."""
    parameters = list(inspect.signature(write).parameters.values())[2:]
    return {parameter.name: parameter.default for parameter in parameters if parameter.name != 'seed'}


if __name__ == '__main__':
    main()
