"""One row with one seed: training and its evaluations, as commands of this package. What is done is kept and never done again.

A run's folder holds the training's own files, `<evaluation>.json` for each evaluation (numbers and errors of every sample) and,
last, `run.json`. A run whose config, experts, scenes or guide have changed since is begun anew.
"""
import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from analysis_tools.count_params import build, trainable_parameters

from hmradapter.engine.config import load_config
from hmradapter.engine.training_log import read_curves
from hmradapter.fileio import atomic_write, load_npz

from .commands import (
    LOCK,
    Clock,
    Processes,
    RunError,
    alone_in,
    file_mark,
    machine,
    option_arguments,
    option_values,
    read_options,
    tail,
    versions,
)
from .guides import Guide
from .scales import Scale, scenes_of
from .tables import Row

CONFIGS = Path('configs/ablations')
PAPERS_ADAPTER = dict(hand='hand/table3_no6_ours', body='body/table4_no6_ours')
GUIDANCE = ('true', 'predicted', 'none')  # what a guided row is given at test time
POLL_SECONDS = 2.0
# Of --cfg-options, what rows that do not learn cannot take.
TRAINING = ('iterations', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'train_dataloader', 'train_pipeline')
_ITERATION = re.compile(r'Iter\(train\) \[ *(\d+)/')
_MEASURES = {'pve': 'PVE', 'pa_pve': 'PA-PVE', 'mpjpe': 'MPJPE', 'pa_mpjpe': 'PA-MPJPE', 'wrist_deg': 'wrist-rotation',
             'pve_hands': 'PVE/hands', 'pa_pve_hands': 'PA-PVE/hands', 'pa_mpjpe_hands': 'PA-MPJPE/hands',
             'mpjpe_upper': 'MPJPE/upper', 'mrrpe': 'MRRPE/hands', 'wrist_deg_hands': 'wrist-rotation/hands'}


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
    """A row with a seed at a scale.

    gpus: processes of training, 0 for one alone.  experts: files by part, where the configs name none.  options:
    --cfg-options of the user.  mixture: an adapter of whole persons that learns from the scale's `mixtures`.
    """
    part: str
    row: Row
    seed: int
    scale: Scale
    root: Path
    gpus: int = 0
    experts: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    mixture: bool = False

    @property
    def folder(self) -> Path:
        data = '-mixture' if self.mixture else ''
        return self.root / self.scale.name / f'{self.part}-{self.row.key}{data}' / f'seed{self.seed}'

    @property
    def config(self) -> str:
        """The row's own lines, or of the base those of the paper's adapter, whose file is then not loaded."""
        return str(CONFIGS / f'{self.row.config or PAPERS_ADAPTER[self.part]}.py')

    @property
    def evaluations(self) -> list[Evaluation]:
        return [Evaluation(domain, kind) for domain in self.folders for kind in (GUIDANCE if self.row.guided else (None,))]

    @property
    def folders(self) -> dict[str, str | None]:
        """Data by domain."""
        return self.scale.data[self.part]

    @property
    def of_one_expert(self) -> bool:
        """Or of both, as whole persons are."""
        return self.part in PAPERS_ADAPTER

    @property
    def trains(self) -> bool:
        return self.row.config is not None and self.of_one_expert

    @property
    def draws(self) -> bool:
        """Whether another seed gives another number."""
        return self.trains or bool(self.row.adapters)

    @property
    def needs(self) -> list['Run']:
        """The runs whose adapters this one loads."""
        return [replace(self, part=part, row=row, mixture=part in self.scale.mixtures)
                for part, row in self.row.adapters.items()]

    @property
    def needed_experts(self) -> set[str]:
        """Parts whose experts this run loads: its own, and the one that guides."""
        if not self.of_one_expert:
            return set(PAPERS_ADAPTER)
        return {self.part, *(('body',) if self.guided_by_bodies else ())}

    @property
    def guided_by_bodies(self) -> bool:
        return self.part == 'hand' and self.row.guided

    @property
    def guide(self) -> Guide:
        return Guide(self.scale, self.root, self.experts.get('body'), self.options)

    @property
    def iterations(self) -> int:
        return int(self._config()['train_cfg']['max_iters']) if self.trains else 0

    # ---- options of the commands --------------------------------------------------------------------------------------------
    def _common(self, domain: str = 'target') -> dict[str, str]:
        bases = self.scale.mixtures if self.mixture else self.scale.bases
        options = {'_base_': bases[self.part]} if self.part in bases else {}
        if self.folders[domain]:
            options['data_root'] = self.folders[domain]
        for part in self.needed_experts & set(self.experts):
            if self.part == part:
                options['expert'] = self.experts[part]
            elif not self.of_one_expert:
                options[f'{part}_expert'] = self.experts[part]
        return options | {f'{need.part}_adapter': str(need.weights) for need in self.needs}

    def _given_options(self) -> dict[str, str]:
        """The user's, but for those of training where nothing learns."""
        given = read_options(self.options)
        return given if self.trains else {key: value for key, value in given.items() if key.split('.')[0] not in TRAINING}

    def training_options(self) -> dict[str, str]:
        options = self._common()
        if not self.trains:
            return options | self._given_options()
        options['randomness.seed'] = str(self.seed)
        if self.scale.iterations:
            options['iterations'] = str(self.scale.iterations)
        if self.row.train_guidance == 'predicted' and self.part == 'body':
            options['model.adapter.train_joints'] = 'predicted'
        elif self.row.train_guidance == 'predicted':  # what is measured on the way is guided by the truth, as in all rows
            options |= _guided_by(self.guide.bodies('target', 'train'), 'train_dataloader.dataset.guidance')
        return options | self._given_options()

    def test_options(self, evaluation: Evaluation) -> dict[str, str]:
        options = self._common(evaluation.domain)
        if self.part == 'body' and evaluation.guidance:
            options['model.adapter.test_joints'] = dict(true='annotation').get(evaluation.guidance, evaluation.guidance)
        if self.part == 'hand' and evaluation.guidance == 'predicted':
            options |= _guided_by(self.guide.bodies(evaluation.domain, 'val'), 'guidance')
        if self.part == 'hand' and evaluation.guidance == 'none':
            options['guidance.source'] = 'none'
        return options | self._given_options()

    def _config(self) -> dict:
        return load_config(self.config, option_values(self.training_options()))

    # ---- what is done -------------------------------------------------------------------------------------------------------
    def identity(self) -> str:
        """Hash of all that the numbers depend on but the code: the config as it is run, the experts' files, how data is made,
        what guides, and how many processes share a batch."""
        cfg = self._config()
        models = [cfg.model] if self.of_one_expert else [cfg.model.body, cfg.model.hand]
        parts = [cfg.pretty_text, *scenes_of(self.scale, self.part), *(file_mark(model.get('expert')) for model in models),
                 *(need.identity() for need in self.needs), str(self.gpus)]
        if self.guided_by_bodies:
            parts.append(self.guide.identity())
        return hashlib.sha256('|'.join(parts).encode()).hexdigest()

    def record(self) -> dict | None:
        """What `run.json` says where the run is done as it would be now, else None."""
        path = self.folder / 'run.json'
        if not path.is_file():
            return None
        found = json.loads(path.read_text())
        return found if found['identity'] == self.identity() else None

    def perform(self, advance: Callable[[float], None], processes: Processes) -> dict:
        """Train and evaluate what is missing; `advance` is told of shares of the whole. Returns the record, which is kept.

        Raises:
            RunError: a command failed, the folder is another process's, or the config changed meanwhile.
        """
        done = self.record()
        if done is not None:
            advance(1.0)
            return done
        identity = self.identity()
        with alone_in(self.folder):
            self._begin(identity)
            clock = Clock(self.folder / 'seconds.json')
            with clock.counting('training'):
                share = self._training_share()
                if self.trains:
                    self._train(lambda part: advance(part * share), processes)
                else:
                    advance(share)
            with clock.counting('evaluation'):
                evaluations = self._evaluate(processes)
            if self.identity() != identity:
                raise RunError(f'{self.config}, an expert or what guides has changed while {self.folder} ran: run it again.')
            advance(1 - share)
            seconds = clock.seconds
            record = dict(part=self.part, row=self.row.key, title=self.row.title, seed=self.seed, config=self.config,
                          options=self.training_options(), identity=identity, iterations=self.iterations, gpus=self.gpus,
                          trainable=self._trainable(), train_seconds=round(seconds['training'], 1),
                          seconds=round(sum(seconds.values()), 1), curve=self._curve(),
                          versions=json.loads((self.folder / 'versions.json').read_text()), machine=machine(),
                          evaluations=evaluations)
            with atomic_write(self.folder / 'run.json', 'w') as file:
                json.dump(record, file)
        return record

    def _begin(self, identity: str) -> None:
        """A folder of this very run. What another one left makes room: aside, if it was finished."""
        mark = self.folder / 'identity'
        if mark.is_file() and mark.read_text() == identity:
            return
        finished = self.folder / 'run.json'
        if finished.is_file():
            aside = self.folder.with_name(f'{self.folder.name}.{json.loads(finished.read_text())["identity"][:8]}')
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(self.folder, aside, ignore=shutil.ignore_patterns(LOCK))
        for path in self.folder.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        with atomic_write(self.folder / 'versions.json', 'w') as file:
            json.dump(versions(), file)
        with atomic_write(mark, 'w') as file:
            file.write(identity)

    def _training_share(self) -> float:
        """Of the run's work, roughly: an evaluation costs what some 20 iterations do."""
        evaluations = 20 * len(self.evaluations)
        return self.iterations / (self.iterations + evaluations)

    def training_command(self) -> list[str]:
        """With checkpoints, and measures where the scale wants them, at so many places on the way."""
        options, count = self.training_options(), self.iterations
        pieces = self.scale.validations or 1
        validate = ['--no-validate']
        if not count % pieces:
            options['default_hooks.checkpoint.interval'] = str(count // pieces)
            if self.scale.validations:
                options['train_cfg.val_interval'], validate = str(count // pieces), []
        arguments = [self.config, '--work-dir', str(self.folder), '--resume', *validate, *option_arguments(options)]
        if self.gpus:
            return ['bash', 'tools/dist_train.sh', self.config, str(self.gpus), *arguments[1:]]
        return [sys.executable, 'tools/train.py', *arguments]

    def _train(self, advance: Callable[[float], None], processes: Processes) -> None:
        if self.weights.is_file() and (self.folder / 'trained').is_file():
            advance(1.0)
            return
        log, seen, count = self.folder / 'training.log', 0, self.iterations
        with processes.running(self.training_command(), log) as process:
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                reached = [int(match) for match in _ITERATION.findall(tail(log, 5))]
                if reached and reached[-1] > seen:
                    advance((reached[-1] - seen) / count)
                    seen = reached[-1]
        advance((count - seen) / count)
        (self.folder / 'trained').touch()

    def evaluation_arguments(self, evaluation: Evaluation) -> list[str]:
        """Of tools/test.py."""
        weights = ['--adapter', str(self.weights) if self.trains else 'none'] if self.of_one_expert else []
        return [self.config, *weights, '--work-dir', str(self.folder / 'evaluation'), '--dump',
                str(self.folder / f'{evaluation.name}.npz'), *option_arguments(self.test_options(evaluation))]

    def _evaluate(self, processes: Processes) -> dict[str, dict]:
        """`summary_of` every evaluation; those that are missing are made in one process."""
        kept = {evaluation: self.folder / f'{evaluation.name}.json' for evaluation in self.evaluations}
        missing = [evaluation for evaluation, path in kept.items() if not path.is_file()]
        if missing:
            requests = self.folder / 'evaluations.json'
            with atomic_write(requests, 'w') as file:
                json.dump([self.evaluation_arguments(evaluation) for evaluation in missing], file)
            processes.run([sys.executable, 'tools/reproduction/evaluate.py', str(requests)], self.folder / 'evaluation.log')
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
        """Parameters that learn; of a dual path those of both adapters."""
        if self.needs:
            return sum(need._trainable() for need in self.needs)
        return trainable_parameters(build(self._config().model, 'meta')) if self.trains else 0

    def _curve(self) -> dict[str, list]:
        """Loss, and PVE of the held-out set, by iteration, as training logged them; empty where nothing is trained."""
        logged = read_curves(self.folder) if self.trains else {}
        names = dict(loss='loss', PVE=f'{dict(hand="hands").get(self.part, self.part)}/PVE')
        return {name: [(step, round(value, 4)) for step, value in logged.get(key, [])] for name, key in names.items()}


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


def _numbers(values: np.ndarray, digits: int) -> list:
    return [None if not np.isfinite(value) else round(float(value), digits) for value in values]


def _guided_by(bodies: Path, where: str) -> dict[str, str]:
    return {f'{where}.source': 'file', f'{where}.path': str(bodies)}
