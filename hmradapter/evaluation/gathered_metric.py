"""What metrics of hands and of whole bodies share: rows are collected, gathered from all processes and scored once.

N samples of the whole evaluation. A subclass says what it keeps of a sample (`_row`) and how rows become scores (`_scored`).
"""
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from hmradapter.evaluation.dump import DumpLayout, concatenate, save_dump, sorted_unique
from hmradapter.evaluation.protocols import Protocol, get_protocol, run_facts
from hmradapter.evaluation.scores import Scores
from hmradapter.evaluation.tables import format_scores


class GatheredMetric(BaseMetric):
    """Numbers do not depend on the number of processes: rows are gathered, sorted by sample, freed of the duplicates that
    padding makes, and scored by one process; a lost sample is an error.

    Args:
        protocol: name in `protocols.PROTOCOLS`, or a dict that changes fields of one.
        dump_path: .npz that keeps every prediction with its truth (docs/evaluation.md), for `eval_predictions.py`.
    """

    layout: DumpLayout
    protocol_kind: type[Protocol]

    def __init__(self, protocol: str | dict, dump_path: str | None, prefix: str | None, collect_device: str,
                 collect_dir: str | None):
        self.protocol = get_protocol(protocol, self.protocol_kind)
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.dump_path = Path(dump_path) if dump_path else None
        self.scores: Scores | None = None  # of the latest evaluation, on the main process

    @abstractmethod
    def _row(self, sample: Mapping) -> dict[str, np.ndarray]:
        """What is kept of one sample: arrays with a leading axis of 1, among them sample_idx and key."""

    @abstractmethod
    def _scored(self, arrays: dict[str, np.ndarray]) -> tuple[Scores, dict[str, np.ndarray]]:
        """Scores of all samples, sorted and unique, and the arrays that a dump keeps."""

    def _dump_meta(self) -> dict:
        """Further facts that a dump keeps."""
        return {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what scoring needs of each sample; nothing is averaged here."""
        self.results.append(concatenate([self._row(sample) for sample in data_samples]))

    def evaluate(self, size: int) -> dict:
        """Gather the rows of all processes, score them, reset. `size` is the number of samples of the dataset.

        Raises:
            ValueError: on every process, when samples are missing or left over.
        """
        parts = all_gather_object(concatenate(self.results))
        self.results.clear()
        outcome: list = [None]
        if is_main_process():
            try:
                outcome = [self._outcome(sorted_unique(concatenate(parts)), size)]
            except ValueError as error:  # raised below, everywhere: the other processes would wait for ever
                outcome = [error]
        broadcast_object_list(outcome)
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def compute_metrics(self, results: list) -> dict:
        """Scores of collected parts; `evaluate` is the way in, this serves MMEngine's interface."""
        return self._score(sorted_unique(concatenate(results)))

    def _outcome(self, arrays: dict[str, np.ndarray], size: int) -> dict:
        found = len(arrays.get('sample_idx', ()))
        if found != size:
            raise ValueError(f'{found} different samples were evaluated, but the dataset has {size}: samples were '
                             f'{"lost" if found < size else "given the same place twice"}; the sampler has to visit each one '
                             '(padding may repeat some), with a unique sample_idx and key each.')
        return {f'{self.prefix}/{name}': value for name, value in self._score(arrays).items()}

    def _score(self, arrays: dict[str, np.ndarray]) -> dict[str, float]:
        self.scores, arrays = self._scored(arrays)
        print_log('\n' + format_scores(self.scores), logger='current')
        if self.dump_path is not None:
            self._write_dump(arrays)
        return self.scores.flat()

    def _write_dump(self, arrays: dict[str, np.ndarray]) -> None:
        """Predictions with their truth, to `dump_path`."""
        rows = {f'error_{name}': values for name, values in self.scores.rows.items()}
        save_dump(self.dump_path, arrays | rows, dict(
            protocol=self.scores.protocol.id, protocol_name=self.protocol.name, run=run_facts(self.dataset_meta),
            **self._dump_meta()), self.layout)
        again = '' if self.layout.required.keys() - arrays.keys() else (
            '; score them again with\n'
            f'  python tools/analysis_tools/eval_predictions.py {self.dump_path} --protocol {self.protocol.name}')
        print_log(f'predictions written to {self.dump_path}{again}', logger='current')


def as_array(tensor: Tensor) -> np.ndarray:
    """float32 on the CPU, without a gradient."""
    return tensor.detach().to(device='cpu', dtype=torch.float32).numpy()
