"""The metric of hand meshes: left, right and the mean of both.

B samples of a batch, N hands of the whole evaluation, V vertices. Samples arrive on their true side, metres, camera frame.
"""
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hmradapter.evaluation.dump import HANDS, check_dump
from hmradapter.evaluation.gathered_metric import GatheredMetric, as_array
from hmradapter.evaluation.protocols import HandProtocol
from hmradapter.evaluation.scores import Scores
from hmradapter.evaluation.scoring import CHUNK, score
from hmradapter.geometry.mirror import mirror_points, mirror_rotmat
from hmradapter.registry import BODY_MODELS, METRICS

TRUE_PARAMETERS = ('true_global_orient', 'true_hand_pose', 'true_betas')


@METRICS.register_module()
class HandMeshMetric(GatheredMetric):
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
    layout = HANDS
    protocol_kind = HandProtocol

    def __init__(self, body_models: dict[str, dict], protocol: str | dict = 'arctic-p1-val', dump_path: str | None = None,
                 prefix: str | None = None, collect_device: str = 'cpu', collect_dir: str | None = None):
        super().__init__(protocol, dump_path, prefix=prefix, collect_device=collect_device, collect_dir=collect_dir)
        unknown = sorted(body_models.keys() - {'right', 'left'})
        if 'right' not in body_models or unknown:
            raise ValueError(f"body_models has the keys {sorted(body_models)}; it needs 'right' and may have 'left'.")
        self.body_models = {side: BODY_MODELS.build(config).eval() for side, config in body_models.items()}

    # ---- one sample ---------------------------------------------------------------------------------------------------------
    def _row(self, sample: Mapping) -> dict[str, np.ndarray]:
        pred, truth = sample['pred'], sample['gt']
        visibility = sample.get('visibility')
        flags = {name: float(truth.get(f'has_{name}', 0.)) > 0 for name in ('global_orient', 'hand_pose', 'betas')}
        row = dict(sample_idx=np.int64(sample['sample_idx']), key=np.str_(sample['key']),
                   img_path=np.str_(sample.get('img_path') or ''),
                   is_right=np.uint8(sample['hand'] == 'right'),
                   visibility=np.float32(np.nan if visibility is None else visibility),
                   has_mesh=np.uint8(all(flags.values())), has_orient=np.uint8(flags['global_orient']),
                   pred_vertices=as_array(pred['vertices']), pred_keypoints_3d=as_array(pred['keypoints_3d']),
                   pred_global_orient=as_array(pred['global_orient'])[0], pred_hand_pose=as_array(pred['hand_pose']),
                   pred_betas=as_array(pred['betas']), pred_cam=as_array(pred['cam']),
                   true_global_orient=as_array(truth['global_orient'])[0], true_hand_pose=as_array(truth['hand_pose']),
                   true_betas=as_array(truth['betas']))
        if self.protocol.joints == 'dataset':
            joints = as_array(truth['keypoints_3d'])
            row.update(true_keypoints_3d=joints[:, :3], has_joints=np.uint8((joints[:, 3] > 0).all()))
        else:
            row['has_joints'] = row['has_mesh']
        return {name: np.asarray(value)[None] for name, value in row.items()}

    # ---- all of them --------------------------------------------------------------------------------------------------------
    def _scored(self, arrays: dict[str, np.ndarray]) -> tuple[Scores, dict[str, np.ndarray]]:
        arrays = self._with_true_meshes(arrays)
        check_dump(arrays, 'this evaluation', self.layout)
        return score(arrays, self.protocol.on(self.dataset_meta)), arrays

    def _with_true_meshes(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Replace the true parameters by the meshes they describe; hands without labels get zeros. Where joints are the data
        set's, which are in the camera frame, a mesh is put with its wrist at theirs."""
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
                moved = arrays['true_keypoints_3d'][part, :1] - mesh[1][:, :1].numpy() if 'true_keypoints_3d' in arrays else 0
                vertices[part], keypoints[part] = mesh[0].numpy() + moved, mesh[1].numpy()
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
