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
RECIPE = '--subjects 8 --sequences 8 --val-sequences 4 --frames 5'.split()
COLUMNS = ('PVE', 'PA-PVE', 'MPJPE', 'PA-MPJPE')  # of hands, mm; both sides' mean


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
    run('Scenes: people who handle objects, in ARCTIC\'s layout', 'tools/open_world/make_arctic.py', '--out', SCENES, *RECIPE)
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
    worse = [name for name in ('PVE', 'PA-PVE') if adapted[name] >= base[name]]
    if worse:
        sys.exit(f'The adapter does not beat its base on {", ".join(worse)}: a defect; please report it with this table.')


def evaluate(work: Path, adapter: str | Path, *options: str) -> dict:
    """Metrics of one row, mm, on the held-out subjects."""
    run(f'Evaluation: {work.name}', 'tools/test.py', CONFIG, '--adapter', adapter, '--work-dir', work,
        *(['--cfg-options', *options] if options else []))
    metrics = json.loads((work / 'test_metrics.json').read_text())['metrics']
    return {name: value for path, value in metrics.items() for name in COLUMNS if path.endswith(f'hands/{name}')}


def demo(work: Path, adapter: Path) -> Path:
    """Pictures of held-out subjects, base and base + adapter side by side; returns the page."""
    run('Pictures of held-out subjects', 'tools/open_world/held_out_pictures.py', CONFIG, '--out', work / 'pictures')
    run('Demo', 'tools/demo.py', work / 'pictures', '--bboxes', work / 'pictures' / 'boxes.json', '--config', CONFIG,
        '--adapter', adapter, '--compare-base', '--out-dir', work / 'demo')
    return work / 'demo' / 'index.html'


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
    lines = [f'{"hands, mm":{width}}' + ''.join(f'{name:>10}' for name in COLUMNS)]
    lines += [f'{row:{width}}' + ''.join(f'{metrics[name]:10.2f}' for name in COLUMNS) for row, metrics in rows.items()]
    return '\n'.join(['', *lines])


if __name__ == '__main__':
    main()
