"""One row with one seed: training and its evaluations, as commands of this package. What is done is kept and never done again.

A run's folder holds the training's own files, `<evaluation>.json` for each evaluation (numbers and errors of every sample) and,
last, `run.json`. A run whose config, expert or data have changed since is begun anew.
"""
import contextlib
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction

from hmradapter.engine.config import load_config
from hmradapter.fileio import atomic_write, load_npz
from hmradapter.version import __version__

from .scales import Scale
from .tables import Row

CONFIGS = Path('configs/ablations')
PAPERS_ADAPTER = dict(hand='hand/table3_no6_ours', body='body/table4_no6_ours')
GUIDANCE = ('true', 'predicted', 'none')  # what a guided hand row is given at test time
POLL_SECONDS = 2.0
_ITERATION = re.compile(r'Iter\(train\) \[ *(\d+)/')
_MEASURES = {'pve': 'PVE', 'pa_pve': 'PA-PVE', 'mpjpe': 'MPJPE', 'pa_mpjpe': 'PA-MPJPE', 'wrist_deg': 'wrist-rotation',
             'pve_hands': 'PVE/hands', 'pa_pve_hands': 'PA-PVE/hands', 'pa_mpjpe_hands': 'PA-MPJPE/hands',
             'mpjpe_upper': 'MPJPE/upper', 'mrrpe': 'MRRPE/hands'}


class RunError(RuntimeError):
    """A command failed; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Evaluation:
    """A held-out set and what guides there: name 'target-predicted', domain, guidance of GUIDANCE or None of rows without."""
    domain: str
    guidance: str | None

    @property
    def name(self) -> str:
        return '-'.join(filter(None, (self.domain, self.guidance)))


@dataclass(frozen=True)
class Run:
    """A row with a seed at a scale. gpus: processes of training, 0 for one on the CPU; options: --cfg-options of the user."""
    part: str
    row: Row
    seed: int
    scale: Scale
    root: Path
    gpus: int = 0
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return self.root / self.scale.name / f'{self.part}-{self.row.key}' / f'seed{self.seed}'

    @property
    def config(self) -> str:
        """The row's own lines, or of the base those of the paper's adapter, whose file is then not loaded."""
        return str(CONFIGS / f'{self.row.config or PAPERS_ADAPTER[self.part]}.py')

    @property
    def evaluations(self) -> list[Evaluation]:
        kinds = (GUIDANCE if self.part == 'hand' else GUIDANCE[:2]) if self.row.guided else (None,)
        return [Evaluation(domain, kind) for domain in self.folders for kind in kinds]

    @property
    def folders(self) -> dict[str, str | None]:
        """Data by domain."""
        return self.scale.data[self.part]

    @property
    def trains(self) -> bool:
        return self.row.config is not None and self.part in PAPERS_ADAPTER

    @property
    def draws(self) -> bool:
        """Whether another seed gives another number."""
        return self.trains or bool(self.row.adapters)

    @property
    def needs(self) -> list['Run']:
        """The runs whose adapters this one loads."""
        return [Run(part, row, self.seed, self.scale, self.root, self.gpus, self.options)
                for part, row in self.row.adapters.items()]

    @property
    def iterations(self) -> int:
        return int(self._config()['train_cfg']['max_iters']) if self.trains else 0

    # ---- options of the commands --------------------------------------------------------------------------------------------
    def _common(self, domain: str = 'target') -> dict[str, str]:
        options = {'_base_': self.scale.bases[self.part]} if self.part in self.scale.bases else {}
        if self.folders[domain]:
            options['data_root'] = self.folders[domain]
        options |= {f'{need.part}_adapter': str(need.weights) for need in self.needs}
        return options | dict(option.split('=', 1) for option in self.options)

    def training_options(self) -> dict[str, str]:
        options = self._common()
        if not self.trains:
            return options
        options['randomness.seed'] = str(self.seed)
        if self.scale.iterations:
            options['iterations'] = str(self.scale.iterations)
        if self.row.train_guidance == 'predicted':
            options |= self._guided_by('target', 'train')
        return options

    def test_options(self, evaluation: Evaluation) -> dict[str, str]:
        options = self._common(evaluation.domain)
        if self.part == 'body' and evaluation.guidance:
            joints = dict(true='annotation', predicted='predicted')[evaluation.guidance]
            options['model.adapter.test_joints'] = joints
        if self.part == 'hand' and evaluation.guidance == 'predicted':
            options |= self._guided_by(evaluation.domain, 'val')
        if self.part == 'hand' and evaluation.guidance == 'none':
            options['guidance.source'] = 'none'
        return options

    def _guided_by(self, domain: str, split: str) -> dict[str, str]:
        return {'guidance.source': 'file', 'guidance.path': str(predicted_bodies(self.root, self.scale, domain, split))}

    def _config(self) -> dict:
        options = {name: value for name, value in self.training_options().items() if not name.startswith('guidance.')}
        return load_config(self.config, {name: _value(value) for name, value in options.items()})

    # ---- what is done -------------------------------------------------------------------------------------------------------
    def identity(self) -> str:
        """Hash of all that the numbers depend on: the config as it is run, the expert's file, and what data there is."""
        cfg = self._config()
        models = [cfg.model] if self.part in PAPERS_ADAPTER else [cfg.model.body, cfg.model.hand]
        parts = [cfg.pretty_text, *scenes_of(self.scale, self.part), *(_file_mark(model.get('expert')) for model in models),
                 *(need.identity() for need in self.needs)]
        if self.part == 'hand' and self.row.guided:
            parts += [self.row.train_guidance, guide_identity(self.scale)]
        return hashlib.sha256('|'.join(parts).encode()).hexdigest()

    def record(self) -> dict | None:
        """What `run.json` says where the run is done as it would be now, else None."""
        path = self.folder / 'run.json'
        if not path.is_file():
            return None
        found = json.loads(path.read_text())
        return found if found['identity'] == self.identity() else None

    def perform(self, advance: Callable[[float], None], running: set) -> dict:
        """Train and evaluate what is missing; `advance` is told of shares of the whole, `running` holds the processes."""
        done = self.record()
        if done is not None:
            advance(1.0)
            return done
        self._begin()
        start, share = time.time(), self._training_share()
        if self.trains:
            self._train(lambda part: advance(part * share), running)
        else:
            advance(share)
        trained = time.time() - start
        evaluations = self._evaluate(running)
        advance(1 - share)
        record = dict(part=self.part, row=self.row.key, title=self.row.title, seed=self.seed, config=self.config,
                      options=self.training_options(), identity=self.identity(), iterations=self.iterations,
                      trainable=self._trainable(), train_seconds=round(trained, 1),
                      seconds=round(time.time() - start, 1), curve=self._curve(),
                      versions=dict(hmradapter=__version__, torch=torch.__version__, numpy=np.__version__,
                                    python=platform.python_version()), machine=machine(), evaluations=evaluations)
        with atomic_write(self.folder / 'run.json', 'w') as file:
            json.dump(record, file)
        return record

    def _begin(self) -> None:
        """A folder of this very run; what another one left is removed."""
        mark, identity = self.folder / 'identity', self.identity()
        if self.folder.exists() and not (mark.is_file() and mark.read_text() == identity):
            shutil.rmtree(self.folder)
        if not mark.exists():
            with atomic_write(mark, 'w') as file:
                file.write(identity)

    def _training_share(self) -> float:
        """Of the run's work, roughly: an evaluation costs what some 60 iterations do."""
        evaluations = 60 * len(self.evaluations)
        return self.iterations / (self.iterations + evaluations)

    def _train(self, advance: Callable[[float], None], running: set) -> None:
        if self.weights.is_file() and (self.folder / 'trained').is_file():
            advance(1.0)
            return
        options, count = self.training_options(), self.iterations
        validate = ['--no-validate']
        if self.scale.validations and not count % self.scale.validations:
            options['train_cfg.val_interval'], validate = str(count // self.scale.validations), []
        arguments = [self.config, '--work-dir', str(self.folder), '--resume', *validate, '--cfg-options', *_pairs(options)]
        command = [sys.executable, 'tools/train.py', *arguments]
        if self.gpus:
            command = ['bash', 'tools/dist_train.sh', self.config, str(self.gpus), *arguments[1:]]
        log, seen = self.folder / 'training.log', 0
        with _running(command, log, running) as process:
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                reached = [int(match) for match in _ITERATION.findall(_tail(log, 5))]
                if reached and reached[-1] > seen:
                    advance((reached[-1] - seen) / count)
                    seen = reached[-1]
        advance((count - seen) / count)
        (self.folder / 'trained').touch()

    def _evaluate(self, running: set) -> dict[str, dict]:
        """`summary_of` every evaluation; those that are missing are made in one process."""
        kept = {evaluation: self.folder / f'{evaluation.name}.json' for evaluation in self.evaluations}
        missing = [evaluation for evaluation, path in kept.items() if not path.is_file()]
        if missing:
            requests = self.folder / 'evaluations.json'
            weights = ['--adapter', str(self.weights) if self.trains else 'none'] if self.part in PAPERS_ADAPTER else []
            with atomic_write(requests, 'w') as file:
                json.dump([[self.config, *weights, '--work-dir', str(self.folder / 'evaluation'),
                            '--dump', str(kept[evaluation].with_suffix('.npz')), '--cfg-options',
                            *_pairs(self.test_options(evaluation))] for evaluation in missing], file)
            run_command([sys.executable, 'tools/reproduction/evaluate.py', str(requests)], self.folder / 'evaluation.log',
                        running)
        for evaluation in missing:
            dump = kept[evaluation].with_suffix('.npz')
            with atomic_write(kept[evaluation], 'w') as file:
                json.dump(summary_of(dump), file)
            dump.unlink()
        return {evaluation.name: json.loads(path.read_text()) for evaluation, path in kept.items()}

    @property
    def weights(self) -> Path:
        return self.folder / 'adapter.safetensors'

    def _trainable(self) -> int:
        cards = [run.folder / 'adapter.json' for run in (self.needs or [self] if self.draws else [])]
        return sum(json.loads(card.read_text())['parameters'] for card in cards)

    def _curve(self) -> dict[str, list]:
        """Loss, and measures of the held-out set, by iteration, as training logged them."""
        curve: dict[str, list] = dict(loss=[], PVE=[])
        for path in sorted(self.folder.glob('*/vis_data/scalars.json')):
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                if 'loss' in entry:
                    curve['loss'].append([entry['step'], round(entry['loss'], 4)])
                curve['PVE'] += [[entry['step'], value] for name, value in entry.items() if name in ('hands/PVE', 'body/PVE')]
        return curve


def scenes_of(scale: Scale, part: str) -> list[str]:
    """How the data of a part is made, a line for each folder."""
    return [shlex.join((folder, *scale.scenes[folder])) for folder in scale.data[part].values() if folder in scale.scenes]


def guide_identity(scale: Scale) -> str:
    """Hash of what predicts the bodies that guide hands: the whole-body expert's config and file, and the scenes."""
    cfg = load_config(scale.guides['body'])
    parts = [Config(dict(model=cfg.model)).pretty_text, _file_mark(cfg.model.get('expert')), *scenes_of(scale, 'body')]
    return hashlib.sha256('|'.join(parts).encode()).hexdigest()


def predicted_bodies(root: Path, scale: Scale, domain: str, split: str) -> Path:
    """Where the bodies lie that the whole-body expert alone predicts for a split of a domain."""
    return root / scale.name / 'predicted_bodies' / f'{domain}-{split}.npz'


def predict_bodies(root: Path, scale: Scale, domain: str, split: str, options: tuple[str, ...], running: set) -> None:
    """Write `predicted_bodies` where they are missing: the dump of the frozen whole-body expert's evaluation."""
    path, identity = predicted_bodies(root, scale, domain, split), guide_identity(scale)
    mark = path.with_suffix('.identity')
    if path.is_file() and mark.is_file() and mark.read_text() == identity:
        return
    folder = scale.data['body'][domain]
    given = {'data_root': folder} if folder else {}
    if split == 'train':
        given |= {'test_dataloader.dataset.source.split': 'train'}
    command = [sys.executable, 'tools/test.py', scale.guides['body'], '--adapter', 'none', '--work-dir',
               str(path.parent / 'log'), '--dump', str(path.with_suffix('.whole.npz')), '--cfg-options', *_pairs(given),
               *options]
    run_command(command, path.with_suffix('.log'), running)
    arrays = load_npz(path.with_suffix('.whole.npz'), ('key', 'pred_global_orient', 'pred_body_pose'))
    with atomic_write(path) as file:
        np.savez(file, **{name: arrays[name] for name in ('key', 'pred_global_orient', 'pred_body_pose')})
    path.with_suffix('.whole.npz').unlink()
    with atomic_write(mark, 'w') as file:
        file.write(identity)


def summary_of(dump: Path) -> dict:
    """Errors of every sample of a dump, 0.01 mm: protocol, key, visibility, is_right of hands, errors {measure: [...]}."""
    arrays = load_npz(dump)
    meta = json.loads(str(arrays['meta']))
    errors = {_MEASURES[name.removeprefix('error_')]: _numbers(values, 2) for name, values in arrays.items()
              if name.removeprefix('error_') in _MEASURES and name.startswith('error_')}
    found = dict(protocol=meta.get('protocol'), key=arrays['key'].tolist(), visibility=_numbers(arrays['visibility'], 4),
                 errors=errors)
    if 'is_right' in arrays:
        found['is_right'] = arrays['is_right'].tolist()
    return found


def run_command(command: list[str], log: Path, running: set) -> None:
    """Run a command whose output goes to `log`; RunError with the end of it if it fails."""
    with _running(command, log, running) as process:
        process.wait()


@contextlib.contextmanager
def _running(command: list[str], log: Path, running: set) -> Iterator[subprocess.Popen]:
    log.parent.mkdir(parents=True, exist_ok=True)
    threads = {} if 'dist_train' in ' '.join(command) else dict(OMP_NUM_THREADS='1')
    with open(log, 'a') as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | threads)
        running.add(process)
        try:
            yield process
        finally:
            running.discard(process)
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise RunError(f'{" ".join(command)}\nfailed with exit status {process.returncode}; the end of {log}:\n'
                       f'{_tail(log, 15)}')


def machine() -> str:
    """Processor and cores, and the GPU where there is one."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = re.search(r'model name\s*: (.*)', Path('/proc/cpuinfo').read_text())
        model = found.group(1) if found else model
    gpu = f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else ''
    return f'{model}, {os.cpu_count()} cores{gpu}'


def _numbers(values: np.ndarray, digits: int) -> list:
    return [None if not np.isfinite(value) else round(float(value), digits) for value in values]


def _pairs(options: dict[str, str]) -> list[str]:
    return [f'{name}={value}' for name, value in options.items()]


def _value(text: str):
    """An option's text as `--cfg-options` reads it."""
    return DictAction._parse_iterable(text)


def _file_mark(path: str | None) -> str:
    """Hash of a file's content, or its name where it is not there."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path and Path(path).is_file() else str(path)


def _tail(path: Path, count: int) -> str:
    return '\n'.join(path.read_text(errors='replace').splitlines()[-count:]) if path.exists() else ''
