"""Prepare a data set once, as you downloaded it: memory-mapped records that training and testing read.

    python tools/prepare_data.py --list                                     every data set: what it gives, wants, its licence
    python tools/prepare_data.py 3dpw --src 3DPW --out data/prepared --body-models data/body_models
    python tools/prepare_data.py arctic --src arctic_data/data --out data/prepared --body-models data/body_models \\
        --split val --options stride=1 views=1,2 --workers 8
    python tools/prepare_data.py ehf --src EHF --out data/prepared --limit 20          a taste: the first 20 records
    python tools/prepare_data.py ehf --out data/prepared --check                        only look whether all is well
    python tools/prepare_data.py 3dpw --src 3DPW --out data/prepared --list             what is there, what is missing

Writes <out>/<name>-<split>, which a config names: dict(type='PersonDataset', source='data/prepared/3dpw-test', ...). Without
--split: every split, in the data set's order, whose files are found. A run that was interrupted or killed goes on where it
was when the same command is given again; the result is the same to the byte, with any number of workers.

Exit status: 0, all is well; 1, a split came out empty, or --check found problems; 2, a mistake in the command or a file that
cannot be read; 130, interrupted. A split that is left out because its files are not there is told at the end, and no error
unless --split asked for it.
"""
import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction

from hmradapter.datasets.catalogue import (
    build_source,
    check_split,
    checked_options,
    is_there,
    options_of,
    source_class,
    source_classes,
)
from hmradapter.datasets.record import SIDES
from hmradapter.datasets.sources import Source
from hmradapter.datasets.sources.source import Expected, SplitNotAvailableError
from hmradapter.datasets.store.check import check_store
from hmradapter.datasets.store.prepared import EmptyStoreError, PreparedStore, StoreError, is_complete
from hmradapter.datasets.store.writer import IMAGES, work_folder

MISTAKES = (ValueError, OSError, KeyError, RuntimeError, ImportError)  # of the user or of the files: told without a traceback


def parse_args(argv=None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', nargs='?', help='data set, see --list')
    parser.add_argument('--src', metavar='DIR', help='the data set as downloaded; with --list and no name: a folder of such '
                                                     'folders, named as the data sets are')
    parser.add_argument('--out', metavar='DIR', help='where prepared data sets lie')
    parser.add_argument('--split', help='one split instead of all that are there')
    parser.add_argument('--body-models', metavar='DIR', help='folder with smplx/, mano/, smpl/')
    parser.add_argument('--options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='of this data set, e.g. stride=5; its page in docs/datasets and --list NAME have them')
    parser.add_argument('--images', choices=IMAGES, default='path',
                        help='path (default): images stay where they are; tar: they are copied into the prepared folder')
    parser.add_argument('--workers', type=int, default=1, metavar='N', help='processes (default 1)')
    parser.add_argument('--limit', type=int, metavar='N', help='the first N records only')
    parser.add_argument('--verify-images', action='store_true', help='decode every image, which takes long; otherwise head and '
                                                                     'end of each are looked at')
    parser.add_argument('--check', action='store_true', help='prepare nothing, look whether what is prepared is sound')
    parser.add_argument('--list', action='store_true', help='tell what data sets there are, with --src and --out also what is '
                                                            'there of them')
    args = parser.parse_args(argv)
    if not args.list:
        if args.name is None:
            parser.error('which data set? --list tells their names.')
        if args.out is None:
            parser.error('--out: where do prepared data sets lie?')
        if args.src is None and not args.check:
            parser.error(f'--src: where does {args.name} lie, as you downloaded it?')
    return args


def main(argv=None) -> int:
    """The exit status, as above."""
    args = parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        check_names(args)
        if args.list:
            print(listing(args))
            return 0
        return check(args) if args.check else prepare(args)
    except KeyboardInterrupt:
        return _told('interrupted. What is finished is kept: the same command goes on from there.', 130)
    except MISTAKES as error:
        notes = '\n'.join(getattr(error, '__notes__', []))
        return _told(f'{error.args[0] if isinstance(error, KeyError) else error}' + (f'\n{notes} Fix it, and the same command '
                     'goes on: what is finished is kept.' if notes else ''), 2)


def check_names(args: argparse.Namespace) -> None:
    """ValueError for a data set, split or option that there is not."""
    if args.name is not None:
        cls = source_class(args.name)
        if args.split:
            check_split(cls, args.split)
        checked_options(cls, args.options)
    elif args.options:
        raise ValueError('--options are those of one data set: name it.')
    elif args.split and not any(args.split in cls.splits for cls in source_classes().values()):
        splits = sorted({split for cls in source_classes().values() for split in cls.splits})
        raise ValueError(f'{args.split!r} is not a split of any data set. There are {", ".join(splits)}.')


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _told(text: str, status: int) -> int:
    print(f'{Path(sys.argv[0]).name}: {text}', file=sys.stderr)
    return status


# ---- prepare -----------------------------------------------------------------------------------------------------------------
def prepare(args: argparse.Namespace) -> int:
    """Prepare what is asked for and print the summary."""
    cls, told, left_out = source_class(args.name), [], {}
    splits = [args.split] if args.split else cls.splits
    if not Path(args.src).is_dir():
        raise FileNotFoundError(f'{args.src} is no folder: give the one with '
                                f'{", ".join(shown(entry, splits) for entry in cls.expected)}.')
    for split in splits:
        try:
            source = found_source(args, cls, split)
        except (FileNotFoundError, SplitNotAvailableError) as error:
            if args.split:
                raise
            left_out[split] = error
            continue
        folder = Path(args.out) / f'{cls.name}-{split}'
        was_there, start = is_complete(folder), time.perf_counter()
        try:
            store = source.prepare_at(folder, args.images, args.workers, args.limit)
        except EmptyStoreError as error:
            left_out[split] = error
            continue
        told.append(summary(store, None if was_there else time.perf_counter() - start))
    empty = [error for error in left_out.values() if isinstance(error, EmptyStoreError)]
    if not told and not empty:
        raise next(iter(left_out.values()))
    told += [f'NOT PREPARED: {cls.name}-{split} is left out: ' + str(error).splitlines()[0].split(' data_root (')[0]
             for split, error in left_out.items()]
    print('\n' + '\n\n'.join(told))
    for error in empty:
        _told(str(error), 1)
    return 1 if empty else 0


def found_source(args: argparse.Namespace, cls: type[Source], split: str) -> Source:
    """The source of a split that can be had with these options and whose files are there."""
    source = build_source(cls, args.src, split, args.body_models, args.options, args.verify_images, args.out)
    source.units  # noqa: B018, it looks for them
    return source


def summary(store: PreparedStore, seconds: float | None) -> str:
    """What a store holds, why the rest is not in it, and what it cost; None seconds: it was there before."""
    manifest = store.manifest
    size = sum(entry['size'] for entry in manifest['files'].values())
    left, right = (manifest['hands'][side] for side in SIDES)
    lines = [f'{store.folder}' + ('   was there already, with these options' if seconds is None else ''),
             f'  records {manifest["records"]:>12,}' + (f'   of a taste of {manifest["limit"]:,}' if manifest['limit'] else ''),
             f'  persons {manifest["persons"]:>12,}', f'  hands   {left + right:>12,}   {left:,} left, {right:,} right',
             f'  bytes   {size:>12,}' + ('   images included' if store.holds_images else '')]
    if seconds is not None:
        lines.append(f'  seconds {seconds:>12,.1f}   {manifest["records"] / seconds:,.1f} records a second')
    reasons = [(what, reason, count, manifest['examples'][reason][0]) for name, what in
               (('dropped', 'left out'), ('unlabelled', 'without label')) for reason, count in manifest[name].items()]
    width = max((len(reason) for _, reason, *_ in reasons), default=0)
    lines += [f'  {what:<13} {count:>8,}   {reason:<{width}}   e.g. {example}' for what, reason, count, example in reasons]
    return '\n'.join(lines)


# ---- check -------------------------------------------------------------------------------------------------------------------
def check(args: argparse.Namespace) -> int:
    """Look at the prepared splits and, with --src, whether the release is there; 1 where something is wrong."""
    cls = source_class(args.name)
    folders = {split: Path(args.out) / f'{cls.name}-{split}' for split in ([args.split] if args.split else cls.splits)}
    folders = {split: folder for split, folder in folders.items() if args.split or folder.exists()}
    if not folders:
        raise FileNotFoundError(f'{args.out} has no {" or ".join(f"{cls.name}-{split}" for split in cls.splits)}: nothing to '
                                'check; prepare it first.')
    wrong = 0
    for split, folder in folders.items():
        try:
            problems = [str(one) for one in check_store(folder, args.src, args.body_models, args.verify_images,
                                                        args.verify_images)]
        except StoreError as error:
            problems = [str(error)]
        if args.src is not None:
            asked = args.options | (PreparedStore(folder).manifest['protocol'] if not problems else {})
            problems += [f'{Path(args.src) / shown(entry, [split])}: nothing is there'
                         for entry in cls.expected_here(split, asked)
                         if not entry.optional and not is_there(args.src, entry, split)]
        wrong += bool(problems)
        print('\n'.join([f'{folder}: {"sound" if not problems else f"{len(problems)} problems"}',
                         *(f'  {problem}' for problem in problems)]))
    return 1 if wrong else 0


def shown(entry: Expected, splits: Sequence[str]) -> str:
    """An expected place of these splits."""
    return entry.place.replace('{split}', splits[0] if len(splits) == 1 else f'{{{",".join(splits)}}}')


# ---- list --------------------------------------------------------------------------------------------------------------------
def listing(args: argparse.Namespace) -> str:
    """All data sets in a table, then each with what it wants and what of it is there."""
    classes = source_classes() if args.name is None else {args.name: source_class(args.name)}
    rows = [('name', 'data set', 'gives', 'splits')]
    rows += [(name, cls.title, ', '.join(cls.gives), ', '.join(cls.splits)) for name, cls in classes.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return '\n'.join(table + [''] + [line for name, cls in classes.items() for line in _details(args, name, cls)]).rstrip()


def _details(args: argparse.Namespace, name: str, cls: type[Source]) -> list[str]:
    src = None if args.src is None else Path(args.src) / ('' if args.name else name)
    splits = [split for split in cls.splits if args.split in (None, split)]
    lines = [f'{name}: {cls.title}', f'  from     {cls.site}', f'  licence  {cls.licence}',
             f'  options  {", ".join(options_of(cls)) or "none"}']
    wanted: dict[str, dict[str, Expected]] = {}  # place: split: entry
    for split in splits:
        for entry in cls.expected_here(split, args.options):
            wanted.setdefault(entry.place, {})[split] = entry
    for i, entries in enumerate(wanted.values()):
        there, entry = '', next(iter(entries.values()))
        if src is not None:
            has = [split for split in entries if is_there(src, entry, split)]
            there = 'found    ' if len(has) == len(entries) else 'missing  ' if not has else f'found for {", ".join(has)}  '
        remark = ' (optional)' if all(one.optional for one in entries.values()) else ''
        remark += f' (of {", ".join(entries)})' if len(entries) < len(splits) else ''
        lines.append(f'  {"files    " if i == 0 else "         "}{there}{shown(entry, list(entries))}   {entry.what}{remark}')
    if cls.body_models:
        lines.append(f'  models   {", ".join(cls.body_models)}')
    if args.out is not None:
        lines += [f'  prepared {_state(Path(args.out) / f"{name}-{split}")}' for split in splits]
    return [*lines, '']


def _state(folder: Path) -> str:
    if not is_complete(folder):
        return f'{folder}: ' + ('unfinished, the same command goes on' if work_folder(folder).exists() else 'no')
    with contextlib.suppress(StoreError):
        manifest = PreparedStore(folder).manifest
        return f'{folder}: {manifest["records"]:,} records' + (', a taste' if manifest['limit'] else '')
    return f'{folder}: not readable, --check tells why'


if __name__ == '__main__':
    sys.exit(main())
