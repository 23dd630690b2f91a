"""The main job on the open world, from nothing to pages of pictures: what `make quickstart` runs after setting up.

    python tools/quickstart.py                       scenes, both adapters, evaluation of the dual path, demo
    python tools/quickstart.py --seed 1 --work-dir work_dirs/seed1
    python tools/quickstart.py --iterations 50       a short one, to see that everything works

Every step is one of the package's own commands and is printed before it runs. Run again, it goes on where it stopped.
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

HAND, BODY, DUAL = (f'configs/open/{name}_open.py' for name in ('hand_adapter', 'body_adapter', 'dual_path'))
SCENES = 'data/open/arctic'
RECIPE = '--subjects 8 --sequences 8 --val-sequences 4 --frames 5'.split()
HAND_COLUMNS = ('PVE', 'PA-PVE', 'MPJPE', 'PA-MPJPE')  # both sides' mean
PERSON_COLUMNS = {'PVE': 'PVE', 'PVE hands': 'PVE/hands', 'PA-PVE hands': 'PA-PVE/hands', 'MPJPE upper': 'MPJPE/upper',
                  'MRRPE': 'MRRPE/hands'}
ROWS = dict(expert='whole-body expert', combined='experts combined', ours='dual path, both adapters')


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', default='work_dirs/quickstart', help='folder of checkpoints, metrics and pages')
    parser.add_argument('--iterations', type=int, help="training iterations instead of the configs'")
    parser.add_argument('--seed', type=int, default=0, help='seed of training')
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    work, start = Path(args.work_dir), time.time()
    run('Scenes: people who handle objects, in ARCTIC\'s layout', 'tools/open_world/make_arctic.py', '--out', SCENES, *RECIPE)
    hand, body = train(work, args)
    hands = {'frozen base': evaluate_hands(work / 'base', 'none'),
             'base + adapter': evaluate_hands(work / 'adapted', hand),
             'base + adapter, no body pose given': evaluate_hands(work / 'unguided', hand, 'guidance.source=none')}
    persons = evaluate_persons(work / 'dual_path', hand, body)
    pages = demo(work, hand, body)
    print(table('hands seen with the true body, mm', HAND_COLUMNS, hands))
    print(table('persons, mm', PERSON_COLUMNS, persons))
    print('\n' + '\n'.join(f'Page: {page.resolve().as_uri()}' for page in pages))
    print(f'{time.time() - start:.0f} s after set-up.')
    worse = [name for name in ('PVE', 'PA-PVE') if hands['base + adapter'][name] >= hands['frozen base'][name]]
    if worse:
        sys.exit(f'The hand adapter does not beat its base on {", ".join(worse)}: a defect; please report it with this table.')


def train(work: Path, args: argparse.Namespace) -> tuple[Path, Path]:
    """Both adapters at the same time, one core each; returns their files. Their logs go to files."""
    options = [f'randomness.seed={args.seed}', *([f'iterations={args.iterations}'] if args.iterations else [])]
    jobs, folders = [], dict(hand=work / 'hand', body=work / 'body')
    for name, config in (('hand', HAND), ('body', BODY)):
        folders[name].mkdir(parents=True, exist_ok=True)
        log = folders[name] / 'training.log'
        command = show(f'Training the {name} adapter beside its frozen expert (log: {log})', 'tools/train.py', config,
                       '--work-dir', folders[name], '--resume', '--no-validate', '--cfg-options', *options)
        with open(log, 'a') as file:
            jobs.append((log, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT,
                                               env=os.environ | dict(OMP_NUM_THREADS='1'))))
    watch([log for log, _ in jobs], [process for _, process in jobs])
    for log, process in jobs:
        if process.returncode > 0:  # below 0: ended by us, since another one failed
            sys.exit(f'A training failed with exit status {process.returncode}; the end of {log}:\n{tail(log, 15)}')
    return folders['hand'] / 'adapter.safetensors', folders['body'] / 'adapter.safetensors'


def watch(logs: list[Path], processes: list[subprocess.Popen]) -> None:
    """Print the newest line of progress of each log now and then, until all processes have ended. When one fails, or
    at an interrupt, the others are ended."""
    shown: dict[Path, str] = {}
    try:
        while any(process.poll() is None for process in processes) and not any(process.returncode for process in processes):
            time.sleep(5)
            for log in logs:
                lines = [line for line in tail(log, 5).splitlines() if 'Iter(train)' in line]
                if lines and lines[-1] != shown.get(log):
                    shown[log] = lines[-1]
                    print(f'{log.parent.name}: {lines[-1].split("Iter(train)")[1].split("data_time")[0].strip()}', flush=True)
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait()


def tail(path: Path, count: int) -> str:
    """The last lines of a text file."""
    return '\n'.join(path.read_text(errors='replace').splitlines()[-count:])


def evaluate_hands(work: Path, adapter: str | Path, *options: str) -> dict:
    """Metrics of hands in their true boxes, mm, on the held-out subjects."""
    run(f'Evaluation of hands: {work.name}', 'tools/test.py', HAND, '--adapter', adapter, '--work-dir', work,
        *(['--cfg-options', *options] if options else []))
    metrics = read_metrics(work)
    return {name: value for path, value in metrics.items() for name in HAND_COLUMNS if path.endswith(f'hands/{name}')}


def evaluate_persons(work: Path, hand: Path, body: Path) -> dict[str, dict]:
    """Metrics of whole persons by row, mm; nothing but the person's box is given."""
    run('Evaluation of persons: the rows of the paper\'s table 1', 'tools/test.py', DUAL, '--work-dir', work,
        '--cfg-options', *weights(hand, body))
    metrics = read_metrics(work)
    return {title: {column: metrics[f'{row}/{name}'] for column, name in PERSON_COLUMNS.items()} for row, title in ROWS.items()}


def read_metrics(work: Path) -> dict[str, float]:
    """What tools/test.py wrote."""
    return json.loads((work / 'test_metrics.json').read_text())['metrics']


def weights(hand: Path, body: Path) -> list[str]:
    """Both adapter files as the dual path's options."""
    return [f'hand_adapter={hand}', f'body_adapter={body}']


def demo(work: Path, hand: Path, body: Path) -> list[Path]:
    """Pictures of held-out subjects, experts combined and dual path side by side, and a film; returns their pages."""
    pictures, film = work / 'pictures', work / 'film.mp4'
    run('Pictures of held-out subjects', 'tools/open_world/held_out_pictures.py', DUAL, '--out', pictures)
    run('Demo of pictures', 'tools/demo.py', pictures, '--bboxes', pictures / 'boxes.json', '--compare-base',
        '--weights', *weights(hand, body), '--out-dir', work / 'demo')
    if not film.exists():
        run('A film of a held-out subject', 'tools/open_world/make_film.py', film, '--seconds', '3')
    run('Demo of the film', 'tools/demo.py', film, '--bboxes', '100,0,430,359', '--compare-base', '--weights',
        *weights(hand, body), '--out-dir', work / 'demo_film')
    return [work / 'demo' / 'index.html', work / 'demo_film' / 'index.html']


def show(title: str, script: str, *arguments: str | Path) -> list[str]:
    """Print a step and give its command."""
    command = [sys.executable, script, *map(str, arguments)]
    print(f'\n== {title}\n   python {shlex.join(command[1:])}', flush=True)
    return command


def run(title: str, script: str, *arguments: str | Path) -> None:
    """Run one of the package's tools; a failure ends the quickstart with its exit status."""
    status = subprocess.run(show(title, script, *arguments)).returncode
    if status:
        sys.exit(status)


def table(title: str, columns, rows: dict[str, dict]) -> str:
    """Rows of errors as text."""
    width = max(map(len, (title, *rows)))
    lines = [f'{title:{width}}' + ''.join(f'{name:>14}' for name in columns)]
    lines += [f'{row:{width}}' + ''.join(f'{metrics[name]:14.2f}' for name in columns) for row, metrics in rows.items()]
    return '\n'.join(['', *lines])


if __name__ == '__main__':
    main()
