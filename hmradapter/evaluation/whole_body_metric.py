"""The metric of whole-body meshes: the body, hands and face of SMPL-X, under the protocol of a data set.

B samples of a batch, N persons of the whole evaluation, V vertices. Metres, camera frame.
"""
from collections.abc import Mapping

import numpy as np

from hmradapter.evaluation.body_scoring import BodyScorer, body_scores
from hmradapter.evaluation.dump import BODIES, BODY_PARAMETERS, check_dump, check_shapes
from hmradapter.evaluation.gathered_metric import GatheredMetric, as_array
from hmradapter.evaluation.protocols import BodyProtocol
from hmradapter.evaluation.scores import Scores
from hmradapter.evaluation.whole_body_errors import SIDES
from hmradapter.registry import METRICS
from hmradapter.structures.joints import ARM_CHAIN

PICTURE = ('focal', 'princpt', 'img_size', 'box_center', 'box_size')  # of `crop`; boxes and paths match other systems' files


@METRICS.register_module()
class WholeBodyMetric(GatheredMetric):
    """PVE, PA-PVE, MPJPE, PA-MPJPE, MRRPE (mm) and wrist rotation error (degrees) of body, hands and face.

    Each person is compared where it is predicted, and only its errors are kept unless a dump is asked for. The truth is the
    mesh of the samples, gt.vertices, and for the wrists' rotation their pose. With `visibility` in the samples' metainfo (share
    of the more hidden hand's pixels that is seen, 0..1) there is a table by occlusion quartile as well.

    Args:
        body_model_root: folder of the neutral SMPL-X and the index files of `load_body_regions`; for protocols against SMPL's
            mesh also of smpl/SMPL_NEUTRAL.pkl and smplx2smpl.pkl.
        protocol: name in `protocols.PROTOCOLS`, or a dict that changes fields of one.
        dump_path: .npz that keeps every prediction with its truth (docs/evaluation.md), for `eval_predictions.py`. Two meshes a
            person: about 250 kB, which processes exchange in memory.
        dump_meshes: False leaves both meshes out, about 4 kB a person remain: parameters that guide hands, and errors. Such a
            file cannot be scored again.
        row: which of a dual path's predictions is scored: None for its result, 'expert' or 'combined' for what it is compared
            with (the model's `rows` has to ask for it).
        prefix: of the logged names ('body/PVE', 'body/PVE/hands', 'body/MPJPE/upper'); two metrics in one evaluator need two.
    """

    default_prefix = 'body'
    layout = BODIES
    protocol_kind = BodyProtocol

    def __init__(self, body_model_root: str, protocol: str | dict = 'arctic-body-p1-val', dump_path: str | None = None,
                 dump_meshes: bool = True, row: str | None = None, prefix: str | None = None, collect_device: str = 'cpu',
                 collect_dir: str | None = None):
        super().__init__(protocol, dump_path, prefix=prefix, collect_device=collect_device, collect_dir=collect_dir)
        self.dump_meshes = dump_meshes
        self.group = 'pred' if row is None else f'pred_{row}'
        self.scorer = BodyScorer(self.protocol, body_model_root)

    def _row(self, sample: Mapping) -> dict[str, np.ndarray]:
        row = self._facts(sample) | self._prediction(self._predicted(sample)) | self._truth(sample)
        finite = all(np.isfinite(values).all() for name, values in row.items() if name.startswith('pred_'))
        # of a prediction that is not finite nothing can be said; `_scored` names it, on every process
        errors = self.scorer.errors(row) if finite else dict.fromkeys(self.scorer.row_names, np.nan)
        if self.dump_path is None:
            row = {name: value for name, value in row.items() if name in ('sample_idx', 'key', 'visibility', 'has_mesh')}
        elif not self.dump_meshes:
            row = {name: value for name, value in row.items() if not name.endswith('_vertices')}
        row |= {f'error_{name}': value for name, value in errors.items()} | {'is_finite': finite}
        return {name: np.asarray(value)[None] for name, value in row.items()}

    def _facts(self, sample: Mapping) -> dict:
        visibility = sample.get('visibility')
        crop = sample.get('crop') or {}
        return dict(sample_idx=np.int64(sample['sample_idx']), key=np.str_(sample['key']),
                    visibility=np.float32(np.nan if visibility is None else visibility),
                    img_path=np.str_(sample.get('img_path') or ''),
                    **{name: as_array(crop[name]) for name in PICTURE if name in crop})

    def _predicted(self, sample: Mapping) -> Mapping:
        if self.group not in sample:
            raise ValueError(f'the sample {sample["key"]!r} carries no {self.group}: only a DualPathEstimator whose `rows` '
                             f'holds {self.group[len("pred_"):]!r} gives it.')
        return sample[self.group]

    def _prediction(self, pred: Mapping) -> dict:
        row = {name: as_array(pred[name[len('pred_'):]]).reshape(shape) for name, shape in BODY_PARAMETERS.items()
               if name[len('pred_'):] in pred}
        if 'cam_t' in pred:
            row['pred_cam_t'] = as_array(pred['cam_t'])
        return dict(row, pred_vertices=as_array(pred['vertices']))

    def _truth(self, sample: Mapping) -> dict:
        truth = sample.get('gt') or {}
        if 'vertices' not in truth:
            raise ValueError(f'the sample {sample["key"]!r} has no gt.vertices, which whole bodies are compared with: prepare '
                             "the data set with its meshes (ARCTIC: truth='template' of its source, --options truth=template "
                             'of tools/prepare_data.py; of train, keep_vertices=True), and give its data set test_mode=True.')
        row = dict(true_vertices=as_array(truth['vertices']), has_mesh=np.uint8(float(truth['has_vertices']) > 0))
        if {'global_orient', 'body_pose', 'pose_valid'} <= set(truth.keys()):
            valid = as_array(truth['pose_valid']) > 0
            row.update(true_global_orient=as_array(truth['global_orient'])[0], true_body_pose=as_array(truth['body_pose']),
                       has_arm_pose=np.array([valid[list(ARM_CHAIN[side])].all() for side in SIDES], dtype=np.uint8))
        return row

    def _scored(self, arrays: dict[str, np.ndarray]) -> tuple[Scores, dict[str, np.ndarray]]:
        if not arrays['is_finite'].all():
            key = arrays['key'][np.argmin(arrays['is_finite'])]
            raise ValueError(f'the prediction of sample {str(key)!r} is not finite; a number computed from it would be '
                             'meaningless.')
        if not arrays['has_mesh'].any():
            raise ValueError('no sample has a true mesh (gt.has_vertices is 0 everywhere): there is nothing to compare with.')
        rows = {name: arrays[f'error_{name}'] for name in self.scorer.row_names}
        kept = {name: values for name, values in arrays.items() if not name.startswith('error_') and name != 'is_finite'}
        if self.dump_path is not None:
            check = check_dump if self.dump_meshes else check_shapes
            check(kept, 'this evaluation', self.layout)
        return body_scores(rows, self.protocol.on(self.dataset_meta), arrays['visibility']), kept

    def _dump_meta(self) -> dict:
        return dict(body_model_root=str(self.scorer.root))
