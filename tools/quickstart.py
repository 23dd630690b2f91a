"""The main job on the open world, from nothing to a page of pictures: what `make quickstart` runs after setting up.

    python tools/quickstart.py                       scenes, adapter training, evaluation against the frozen base, demo page
    python tools/quickstart.py --seed 1 --work-dir work_dirs/seed1
    python tools/quickstart.py --iterations 50       a short one, to see that everything works

Every step is one of the package's own commands and is printed before it runs. Run again, it goes on where it stopped.
"""
import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

CONFIG = 'configs/open/hand_adapter_open.py'
SCENES = 'data/open/arctic'
COLUMNS = {'hands/PVE': 'PVE', 'hands/PA-PVE': 'PA-PVE', 'hands/MPJPE': 'MPJPE', 'hands/PA-MPJPE': 'PA-MPJPE'}


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', default='work_dirs/quickstart', help='folder of checkpoints, metrics and the page')
    parser.add_argument('--iterations', type=int, help='training iterations instead of the config\'s')
    parser.add_argument('--seed', type=int, default=0, help='seed of training')
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    work, start = Path(args.work_dir), time.time()
    options = [f'randomness.seed={args.seed}', *([f'iterations={args.iterations}'] if args.iterations else [])]
    run('Scenes: people who handle objects, in ARCTIC\'s layout', 'tools/open_world/make_arctic.py', '--out', SCENES, '--domain', 'target')
    run('Training the adapter beside the frozen expert', 'tools/train.py', CONFIG, '--work-dir', work, '--resume',
        '--no-validate', '--cfg-options', *options)
    adapter = work / 'adapter.safetensors'
    rows = {'frozen base': evaluate(work / 'base', 'none'),
            'base + adapter': evaluate(work / 'adapted', adapter),
            'base + adapter, no body pose given': evaluate(work / 'unguided', adapter, 'guidance.source=none')}
    page = demo(work, adapter)
    print(table(rows))
    print(f'\nPage: {page.resolve().as_uri()}\n{time.time() - start:.0f} s after set-up.')
    base, adapted = rows['frozen base'], rows['base + adapter']
    worse = [name for name in ('hands/PVE', 'hands/PA-PVE') if adapted[name] >= base[name]]
    if worse:
        sys.exit(f'The adapter does not beat its base on {", ".join(worse)}: that is a defect, please report it with the table above.')


def evaluate(work: Path, adapter: str | Path, *options: str) -> dict:
    """Metrics of one row, mm, on the held-out subjects."""
    run(f'Evaluation: {work.name}', 'tools/test.py', CONFIG, '--adapter', adapter, '--work-dir', work,
        *(['--cfg-options', *options] if options else []))
    return json.loads((work / 'test_metrics.json').read_text())['metrics']


def run(title: str, script: str, *arguments: str | Path) -> None:
    """Run one of the package's tools; a failure ends the quickstart with its exit status."""
    command = [sys.executable, script, *map(str, arguments)]
    print(f'\n== {title}\n   python {shlex.join(command[1:])}', flush=True)
    status = subprocess.run(command).returncode
    if status:
        sys.exit(status)


def table(rows: dict[str, dict]) -> str:
    """Rows of errors in mm as text."""
    width = max(map(len, rows))
    lines = [f'{"hands, mm":{width}}' + ''.join(f'{name:>10}' for name in COLUMNS.values())]
    lines += [f'{row:{width}}' + ''.join(f'{metrics[name]:10.2f}' for name in COLUMNS) for row, metrics in rows.items()]
    return '\n'.join(['', *lines])


if __name__ == '__main__':
    main()
