"""Reproduce a table of the paper: train and evaluate all of its rows, and write what came out beside the paper's figures.

    python tools/reproduce.py --table 5 --scale smoke                 does everything run?
    python tools/reproduce.py --table 3 --scale tiny --seeds 3        on the open world, an hour and more on 2 cores
    python tools/reproduce.py --table 3 --scale tiny --rows base no6_ours --seeds 1
    python tools/reproduce.py --table 1 --scale tiny                  whole persons, by the adapters of tables 3 and 4
    python tools/reproduce.py --table beyond-hand --scale tiny        LoRA, bottlenecks, our own design
    python tools/reproduce.py --table 3 --scale paper --gpus 4 --hand-expert data/weights/hamer.safetensors \\
        --body-expert data/weights/smplerx.safetensors                on ARCTIC

Run again, it goes on where it stopped and skips what is done. Writes results.json (every run with the errors of every sample),
report.md and report.html to <work-dir>/<scale>/table-<name>: all rows and seeds that are done, whichever were asked for.
"""
import argparse
import concurrent.futures
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))  # tools are run as files

from analysis_tools.count_params import build, trainable_parameters  # noqa: E402
from reproduction.commands import Processes, RunError, read_options  # noqa: E402
from reproduction.document import markdown, page  # noqa: E402
from reproduction.report import Results, blocks  # noqa: E402
from reproduction.runs import Run  # noqa: E402
from reproduction.scales import SCALES, Scale  # noqa: E402
from reproduction.tables import BEYOND, TABLES, Table, table  # noqa: E402

from hmradapter.engine.config import load_config  # noqa: E402
from hmradapter.fileio import atomic_write  # noqa: E402

EXPERTS = ('hand', 'body')


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--table', required=True, help=f'one of {", ".join(TABLES | BEYOND)}')
    parser.add_argument('--scale', choices=sorted(SCALES), default='tiny')
    parser.add_argument('--seeds', type=positive, help='runs of each row (default: the scale\'s)')
    parser.add_argument('--rows', nargs='+', metavar='ROW', help='only these rows, by key')
    parser.add_argument('--parallel', type=positive, help='runs at the same time (default: one a core, or one with a GPU)')
    parser.add_argument('--gpus', type=positive, default=0, help='processes of each training, a GPU each (default: one)')
    for part in EXPERTS:
        parser.add_argument(f'--{part}-expert', metavar='FILE', help='its weights, at the scale "paper"')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/reproduce'))
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for every training and evaluation')
    args = parser.parse_args(argv)
    args.seeds = args.seeds or SCALES[args.scale].seeds
    args.parallel = args.parallel or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
    return args


def positive(text: str) -> int:
    """A count on the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{number} is not a count: give 1 or more')
    return number


def main(argv=None) -> None:
    args = parse_args(argv)
    scale = SCALES[args.scale]
    try:
        chosen = table(args.table)
        check_options(chosen, args, scale)
        runs = [run for row in rows_of(chosen, args.rows) for seed in range(args.seeds)
                if (run := run_of(chosen, row, seed, args)).draws or seed == 0]
        check_experts([run_of(chosen, row, 0, args) for row in chosen.rows], args, scale)
        for run in runs:
            if run.seed == 0:
                run.identity()  # what is wrong with an option is said before the first hour of training
        make_scenes(scale, chosen.part)
        perform(runs, args)
    except (ValueError, FileNotFoundError, RunError) as error:
        sys.exit(f'{Path(sys.argv[0]).name}: {error}')
    command = f'python tools/reproduce.py {shlex.join(sys.argv[1:] if argv is None else argv)}'
    folder = args.work_dir / scale.name / f'table-{args.table}'
    write(folder, chosen, done(chosen, args), scale, command)
    print(f'{(folder / "report.html").resolve().as_uri()}')


def check_options(chosen: Table, args: argparse.Namespace, scale: Scale) -> None:
    """ValueError for options that would change what the report says of itself."""
    for name in read_options(args.cfg_options):
        if name == 'randomness.seed':
            raise ValueError('--cfg-options has randomness.seed: rows run with the seeds 0, 1, ..., as many as --seeds says.')
        if {'guidance', 'train_joints', 'test_joints'} & set(name.split('.')):
            raise ValueError(f'--cfg-options has {name}: rows are measured with true, predicted and no guidance each.')
        if name == 'data_root' and (scale.scenes or chosen.part in ('dual_ehf', 'dual_3dpw')):
            raise ValueError('--cfg-options has data_root, but this table reads several folders: have the data where the '
                             'configs say (a link will do).')
    given = [f'--{part}-expert' for part in EXPERTS if experts(args).get(part)]
    if scale.named_experts and given:
        raise ValueError(f'{" and ".join(given)}: at the scale {scale.name} the configs name the experts.')


def check_experts(runs: list[Run], args: argparse.Namespace, scale: Scale) -> None:
    """ValueError where an expert would have random weights. `runs` are of all rows: a report tells of those that are done."""
    needed = sorted(set().union(*(run.needed_experts for run in runs)))
    missing = [f'--{part}-expert' for part in needed if part not in experts(args)]
    if not scale.named_experts and missing:
        raise ValueError(f'this table needs {" and ".join(missing)} at the scale {scale.name}: the weights of HaMeR and '
                         'SMPLer-X, see docs/training.md.')


def experts(args: argparse.Namespace) -> dict[str, str]:
    """Weights by part, as far as they are given."""
    given = {part: getattr(args, f'{part}_expert') for part in EXPERTS}
    return {part: path for part, path in given.items() if path}


def rows_of(found: Table, keys: list[str] | None) -> list:
    """The rows of a table with these keys."""
    known = [row.key for row in found.rows]
    unknown = sorted(set(keys or ()) - set(known))
    if unknown:
        raise ValueError(f'--rows names {unknown}; the table has {known}.')
    return [row for row in found.rows if keys is None or row.key in keys]


def run_of(found: Table, row, seed: int, args: argparse.Namespace) -> Run:
    return Run(found.part, row, seed, SCALES[args.scale], args.work_dir, args.gpus, experts(args), tuple(args.cfg_options))


def done(found: Table, args: argparse.Namespace) -> dict[str, list[dict]]:
    """Records of all runs of a table that are done, by row and seed."""
    records = {}
    for row in found.rows:
        of_row = (run_of(found, row, seed, args).record() for seed in itertools.count())
        records[row.key] = list(itertools.takewhile(lambda record: record is not None, of_row))
    return {key: of_row for key, of_row in records.items() if of_row}


def make_scenes(scale: Scale, part: str) -> None:
    """The open world's scenes that runs of a part read and its adapters learn from, where they are not there yet."""
    folders = {*scale.data[part].values(), *scale.data['hand'].values()}
    for folder, command in scale.scenes.items():
        if folder in folders and subprocess.run([sys.executable, *command, '--out', folder]).returncode:
            raise RunError(f'scenes were not made: {command[0]} says above what is missing.')


def perform(runs: list[Run], args: argparse.Namespace) -> None:
    """All runs, several at a time, after those whose adapters they load. An error or an interrupt ends the processes of all."""
    needed = {need.folder: need for run in runs for need in run.needs}
    if needed:
        perform(list(needed.values()), args)
    processes = Processes()
    with tqdm(total=len(runs), desc=f'{runs[0].part}, table {args.table}', unit='run',
              bar_format='{l_bar}{bar}| {n:.2f}/{total} runs [{elapsed}<{remaining}]') as bar:
        lock = threading.Lock()

        def advance(share: float) -> None:
            with lock:
                bar.update(share)
        with concurrent.futures.ThreadPoolExecutor(args.parallel) as pool:
            try:
                predict_bodies(runs, processes)
                for job in concurrent.futures.as_completed([pool.submit(run.perform, advance, processes) for run in runs]):
                    job.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                processes.stop()
                raise


def predict_bodies(runs: list[Run], processes: Processes) -> None:
    """The bodies that guide hands in these runs, where they are missing."""
    guided = [run for run in runs if run.guided_by_bodies]
    splits = [(domain, 'val') for domain in guided[0].folders] if guided else []
    if any(run.row.train_guidance == 'predicted' for run in guided):
        splits.append(('target', 'train'))
    for domain, split in tqdm(splits, desc='bodies that guide, predicted', disable=not splits):
        guided[0].guide.predict(domain, split, processes)


def write(folder: Path, found: Table, records: dict[str, list[dict]], scale: Scale, command: str) -> None:
    """results.json and the report."""
    counts = {row.key: trainable_at_full_size(f'configs/ablations/{row.config}.py')
              for row in found.rows if row.config and found.part in EXPERTS}
    with atomic_write(folder / 'results.json', 'w') as file:
        json.dump(dict(table=found.number, part=found.part, command=command, full_size_parameters=counts,
                       runs=[record for of_row in records.values() for record in of_row]), file)
    told = blocks(Results(found, records), folder, command, counts, same_data=not scale.scenes)
    with atomic_write(folder / 'report.md', 'w') as file:
        file.write(markdown(told, folder))
    with atomic_write(folder / 'report.html', 'w') as file:
        file.write(page(told, found.title))


def trainable_at_full_size(config: str) -> int:
    """Parameters that learn in a row's own config, counted without building its weights."""
    return trainable_parameters(build(load_config(config).model, 'meta'))


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends as well
    main()
