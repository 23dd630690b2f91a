"""The metric of hand meshes for MMEngine's loops: collects hands, gathers them from all processes, scores them once.

B samples of a batch, N hands of the whole evaluation, V vertices. Samples arrive on their true side, metres, camera frame.
"""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from hmradapter.evaluation.dump import check_dump, concatenate, save_dump, sorted_unique
from hmradapter.evaluation.protocols import get_protocol, run_facts
from hmradapter.evaluation.scoring import CHUNK, Scores, score
from hmradapter.evaluation.tables import format_scores
from hmradapter.geometry.mirror import mirror_points, mirror_rotmat
from hmradapter.registry import BODY_MODELS, METRICS

TRUE_PARAMETERS = ('true_global_orient', 'true_hand_pose', 'true_betas')


@METRICS.register_module()
class HandMeshMetric(BaseMetric):
    """PVE, PA-PVE, MPJPE, PA-MPJPE (mm) and wrist rotation error (degrees) of hands: left, right and the mean of both.

    Numbers do not depend on the number of processes: rows are gathered, sorted by sample, freed of the duplicates that padding
    makes, and scored by one process; a lost sample is an error. With `visibility` in the samples' metainfo (share of the hand's
    pixels that is seen, 0..1) there is a table by occlusion quartile as well.

    Args:
        body_models: configs of MANO layers that turn true parameters into meshes, {'right': ..., 'left': ...}. Without 'left',
            left hands are the right model in the mirror, as the estimator makes them.
        protocol: name in `protocols.PROTOCOLS`, or a dict that changes fields of one.
        dump_path: .npz that keeps every prediction with its truth (docs/evaluation.md), for `eval_predictions.py`.
        prefix: of the logged names ('hands/PVE'); two metrics in one evaluator need two.
    """

    default_prefix = 'hands'

    def __init__(self, body_models: dict[str, dict], protocol: str | dict = 'arctic-p1-val', dump_path: str | None = None,
                 prefix: str | None = None, collect_device: str = 'cpu', collect_dir: str | None = None):
        self.protocol = get_protocol(protocol)
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        unknown = sorted(body_models.keys() - {'right', 'left'})
        if 'right' not in body_models or unknown:
            raise ValueError(f"body_models has the keys {sorted(body_models)}; it needs 'right' and may have 'left'.")
        self.body_models = {side: BODY_MODELS.build(config).eval() for side, config in body_models.items()}
        self.dump_path = Path(dump_path) if dump_path else None
        self.scores: Scores | None = None  # of the latest evaluation, on the main process

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what scoring needs of each sample; nothing is averaged here."""
        self.results.append(concatenate([self._row(sample) for sample in data_samples]))

    def evaluate(self, size: int) -> dict:
        """Gather the hands of all processes, score them, reset. `size` is the number of samples of the dataset.

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

    # ---- one sample ---------------------------------------------------------------------------------------------------------
    def _row(self, sample: Mapping) -> dict[str, np.ndarray]:
        pred, truth = sample['pred'], sample['gt']
        visibility = sample.get('visibility')
        flags = {name: float(truth.get(f'has_{name}', 0.)) > 0 for name in ('global_orient', 'hand_pose', 'betas')}
        row = dict(sample_idx=np.int64(sample['sample_idx']), key=np.str_(sample['key']),
                   is_right=np.uint8(sample['hand'] == 'right'),
                   visibility=np.float32(np.nan if visibility is None else visibility),
                   has_mesh=np.uint8(all(flags.values())), has_orient=np.uint8(flags['global_orient']),
                   pred_vertices=_array(pred['vertices']), pred_keypoints_3d=_array(pred['keypoints_3d']),
                   pred_global_orient=_array(pred['global_orient'])[0], pred_hand_pose=_array(pred['hand_pose']),
                   pred_betas=_array(pred['betas']), pred_cam=_array(pred['cam']),
                   true_global_orient=_array(truth['global_orient'])[0], true_hand_pose=_array(truth['hand_pose']),
                   true_betas=_array(truth['betas']))
        if self.protocol.joints == 'dataset':
            joints = _array(truth['keypoints_3d'])
            row.update(true_keypoints_3d=joints[:, :3], has_joints=np.uint8((joints[:, 3] > 0).all()))
        else:
            row['has_joints'] = row['has_mesh']
        return {name: np.asarray(value)[None] for name, value in row.items()}

    # ---- all of them --------------------------------------------------------------------------------------------------------
    def _outcome(self, arrays: dict[str, np.ndarray], size: int) -> dict:
        found = len(arrays.get('sample_idx', ()))
        if found != size:
            raise ValueError(f'{found} different samples were evaluated, but the dataset has {size}: samples were '
                             f'{"lost" if found < size else "given the same place twice"}; the sampler has to visit each one '
                             '(padding may repeat some), with a unique sample_idx and key each.')
        return {f'{self.prefix}/{name}': value for name, value in self._score(arrays).items()}

    def _score(self, arrays: dict[str, np.ndarray]) -> dict[str, float]:
        arrays = self._with_true_meshes(arrays)
        check_dump(arrays, 'this evaluation')
        self.scores = score(arrays, self.protocol.on(self.dataset_meta))
        print_log('\n' + format_scores(self.scores), logger='current')
        if self.dump_path is not None:
            rows = {f'error_{name}': values for name, values in self.scores.rows.items()}
            save_dump(self.dump_path, arrays | rows, dict(
                protocol=self.scores.protocol.id, protocol_name=self.protocol.name, run=run_facts(self.dataset_meta)))
            print_log(f'predictions written to {self.dump_path}; score them again with\n'
                      f'  python tools/analysis_tools/eval_predictions.py {self.dump_path} --protocol {self.protocol.name}',
                      logger='current')
        return self.scores.flat()

    def _with_true_meshes(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Replace the true parameters by the meshes they describe; hands without labels get zeros."""
        parameters = [arrays[name] for name in TRUE_PARAMETERS]
        rest = {name: values for name, values in arrays.items() if name not in TRUE_PARAMETERS[1:]}
        vertices = np.zeros_like(arrays['pred_vertices'])
        keypoints = np.zeros_like(arrays['pred_keypoints_3d'])
        for side in ('left', 'right'):
            rows = np.flatnonzero((arrays['is_right'] > 0) == (side == 'right'))
            rows = rows[arrays['has_mesh'][rows] > 0]
            for start in range(0, len(rows), CHUNK):
                part = rows[start:start + CHUNK]
                mesh = self._mesh(side, *(torch.from_numpy(values[part]) for values in parameters))
                if mesh[0].shape[1] != vertices.shape[1]:
                    raise ValueError(f'the true {side} hand has {mesh[0].shape[1]} vertices, the predicted one '
                                     f'{vertices.shape[1]}: the metric and the estimator need the same body model.')
                vertices[part], keypoints[part] = mesh[0].numpy(), mesh[1].numpy()
        rest['true_vertices'] = vertices
        rest.setdefault('true_keypoints_3d', keypoints)
        return rest

    @torch.no_grad()
    def _mesh(self, side: str, orient: Tensor, hand_pose: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """orient (B, 3, 3), hand_pose (B, 15, 3, 3), betas (B, 10) of hands of one side -> vertices, keypoints of that side."""
        mirrored = side not in self.body_models
        if mirrored:
            orient, hand_pose = mirror_rotmat(orient), mirror_rotmat(hand_pose)
        mesh = self.body_models['right' if mirrored else side](orient[:, None], hand_pose, betas)
        if mirrored:
            return mirror_points(mesh.vertices), mirror_points(mesh.keypoints)
        return mesh.vertices, mesh.keypoints


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to(device='cpu', dtype=torch.float32).numpy()
