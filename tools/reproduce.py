"""Reproduce a table of the paper: train and evaluate all of its rows, and write what came out beside the paper's figures.

    python tools/reproduce.py --table 5 --scale smoke                 does everything run?
    python tools/reproduce.py --table 3 --scale tiny --seeds 3        on the open world, hours on 2 cores
    python tools/reproduce.py --table 3 --scale tiny --rows base no6_ours --seeds 1
    python tools/reproduce.py --table 3 --scale paper --gpus 4 --cfg-options expert=data/weights/hamer.safetensors
    python tools/reproduce.py --table 1 --scale tiny                  whole persons, by the adapters of tables 3 and 4
    python tools/reproduce.py --table beyond-hand --scale tiny        LoRA, bottlenecks, our own design

Run again, it goes on where it stopped and skips what is done. Writes results.json (every run with the errors of every sample),
report.md and report.html to <work-dir>/<scale>/table-<name>.
"""
import argparse
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))  # tools are run as files

from analysis_tools.count_params import build  # noqa: E402
from reproduction.document import Heading, Text, markdown, page  # noqa: E402
from reproduction.report import Results, blocks  # noqa: E402
from reproduction.runs import Run, RunError, predict_bodies  # noqa: E402
from reproduction.scales import SCALES, Scale  # noqa: E402
from reproduction.tables import BEYOND, TABLES, Table, table  # noqa: E402

from hmradapter.engine.config import load_config  # noqa: E402
from hmradapter.fileio import atomic_write  # noqa: E402


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--table', required=True, help=f'one of {", ".join(TABLES | BEYOND)}')
    parser.add_argument('--scale', choices=sorted(SCALES), default='tiny')
    parser.add_argument('--seeds', type=int, help='runs of each row (default: the scale\'s)')
    parser.add_argument('--rows', nargs='+', metavar='ROW', help='only these rows, by key')
    parser.add_argument('--parallel', type=int, help='runs at the same time (default: one a core, one with GPUs)')
    parser.add_argument('--gpus', type=int, default=0, help='processes of each training, on GPUs')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/reproduce'))
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='for every training and evaluation')
    args = parser.parse_args(argv)
    args.seeds = args.seeds or SCALES[args.scale].seeds
    args.parallel = args.parallel or (1 if args.gpus else os.cpu_count() or 1)
    return args


def main(argv=None) -> None:
    args = parse_args(argv)
    scale = SCALES[args.scale]
    try:
        chosen = rows_of(table(args.table), args.rows)
        runs = [Run(chosen.part, row, seed, scale, args.work_dir, args.gpus, tuple(args.cfg_options))
                for row in chosen.rows for seed in range(args.seeds)]
        runs = [run for run in runs if run.seed == 0 or run.draws]
        make_scenes(scale, chosen.part)
        records = perform(runs, args)
    except (ValueError, FileNotFoundError, RunError) as error:
        sys.exit(f'{Path(sys.argv[0]).name}: {error}')
    command = f'python tools/reproduce.py {shlex.join(sys.argv[1:] if argv is None else argv)}'
    folder = args.work_dir / scale.name / f'table-{args.table}'
    write(folder, chosen, records, command)
    print(f'{(folder / "report.html").resolve().as_uri()}')


def rows_of(found: Table, keys: list[str] | None) -> Table:
    """The table with these rows only."""
    if keys is None:
        return found
    known = [row.key for row in found.rows]
    unknown = sorted(set(keys) - set(known))
    if unknown:
        raise ValueError(f'--rows names {unknown}; the table has {known}.')
    return Table(found.number, found.part, found.title, found.measures, tuple(row for row in found.rows if row.key in keys))


def make_scenes(scale: Scale, part: str) -> None:
    """The open world's scenes that runs of a part read and its adapters learn from, where they are not there yet."""
    folders = {*scale.data[part].values(), *scale.data['hand'].values()}
    for folder, command in scale.scenes.items():
        if folder in folders:
            subprocess.run([sys.executable, *command, '--out', folder], check=True)


def perform(runs: list[Run], args: argparse.Namespace) -> dict[str, list[dict]]:
    """All runs, several at a time, after those whose adapters they load; {row key: records by seed}. An error or an interrupt
    ends the processes of all."""
    needed = {need.folder: need for run in runs for need in run.needs}
    if needed:
        perform(list(needed.values()), args)
    running: set[subprocess.Popen] = set()
    options = tuple(['--cfg-options', *args.cfg_options] if args.cfg_options else ())
    guided = [run for run in runs if run.part == 'hand' and run.row.guided]
    if guided:
        wanted = [(domain, 'val') for domain in guided[0].folders]
        wanted += [('target', 'train')] if any(run.row.train_guidance == 'predicted' for run in guided) else []
        for domain, split in tqdm(wanted, desc='bodies that guide, predicted'):
            predict_bodies(args.work_dir, guided[0].scale, domain, split, options, running)
    lock = threading.Lock()
    with tqdm(total=len(runs), desc=f'{runs[0].part}, table {args.table}', unit='run',
              bar_format='{l_bar}{bar}| {n:.2f}/{total} runs [{elapsed}<{remaining}]') as bar:
        def advance(share: float) -> None:
            with lock:
                bar.update(share)
        with concurrent.futures.ThreadPoolExecutor(args.parallel) as pool:
            jobs = {pool.submit(run.perform, advance, running): run for run in runs}
            try:
                for job in concurrent.futures.as_completed(jobs):
                    job.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in tuple(running):
                    process.terminate()
                raise
    records: dict[str, list[dict]] = {}
    for job, run in jobs.items():
        records.setdefault(run.row.key, []).append(job.result())
    return {key: sorted(found, key=lambda record: record['seed']) for key, found in records.items()}


def write(folder: Path, chosen: Table, records: dict[str, list[dict]], command: str) -> None:
    """results.json and the report."""
    counts = {row.key: trainable_at_full_size(f'configs/ablations/{row.config}.py')
              for row in chosen.rows if row.config and not chosen.part.startswith('dual')}
    with atomic_write(folder / 'results.json', 'w') as file:
        json.dump(dict(table=chosen.number, part=chosen.part, command=command, full_size_parameters=counts,
                       runs=[record for found in records.values() for record in found]), file)
    found = [Heading(chosen.title.capitalize(), 1),
             Text('Made by `tools/reproduce.py`; docs/evaluation.md says what is measured.'),
             *blocks(Results(chosen, records), folder, command, counts)]
    with atomic_write(folder / 'report.md', 'w') as file:
        file.write(markdown(found, folder))
    with atomic_write(folder / 'report.html', 'w') as file:
        file.write(page(found, chosen.title))


def trainable_at_full_size(config: str) -> int:
    """Parameters that learn in a row's own config, counted without building its weights."""
    model = build(load_config(config).model, 'meta')
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


if __name__ == '__main__':
    main()
