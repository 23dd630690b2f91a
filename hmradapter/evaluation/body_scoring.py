"""Scores of whole bodies under a protocol: the one road that online evaluation and offline re-scoring share. N persons.

Errors are computed person by person, so that not even their last bits depend on batches.
"""
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from hmradapter.evaluation.body_regions import load_body_regions, load_smpl_mesh
from hmradapter.evaluation.errors import rotation_error_deg
from hmradapter.evaluation.protocols import BodyProtocol
from hmradapter.evaluation.scores import Scores, exact_mean, logged_name, visibility_quartiles
from hmradapter.evaluation.whole_body_errors import SIDES, inside_picture, mapped_errors, pw3d_errors, whole_body_errors
from hmradapter.geometry.cameras import intrinsic_matrix
from hmradapter.geometry.kinematics import chain_product
from hmradapter.structures.joints import ARM_CHAIN

COLUMNS = ('all', 'upper', 'mapped', 'hands', 'left', 'right', 'face')
_HANDS = dict(hands='hands', left='left_hand', right='right_hand')
# Row of errors behind each cell of the table. One number a person; "hands" is the mean of both.
ROWS = {
    **{name: dict(all=name, **{column: f'{name}_{part}' for column, part in _HANDS.items()}, face=f'{name}_face')
       for name in ('pve', 'pa_pve')},
    'mpjpe': dict(all='mpjpe', upper='mpjpe_upper', mapped='mpjpe_mapped',
                  **{column: f'mpjpe_{part}' for column, part in _HANDS.items()}),
    'pa_mpjpe': dict(all='pa_mpjpe', mapped='pa_mpjpe_mapped',
                     **{column: f'pa_mpjpe_{part}' for column, part in _HANDS.items()}),
    'mrrpe': dict(hands='mrrpe'),
    'wrist_deg': {column: f'wrist_deg_{part}' for column, part in _HANDS.items()}}
# What is shown by how much of the hands is seen.
BY_OCCLUSION = (('pve', 'all'), ('pve', 'hands'), ('mpjpe', 'upper'), ('mpjpe', 'hands'), ('wrist_deg', 'hands'))


class BodyScorer:
    """Errors of one person at a time under a protocol, with the body-model files below `root`."""

    def __init__(self, protocol: BodyProtocol, root: str | Path):
        self.protocol, self.root = protocol, Path(root)
        self.regions = load_body_regions(root)
        self.smpl = load_smpl_mesh(root, self.vertices) if protocol.topology == 'SMPL' else None

    @property
    def vertices(self) -> int:
        """Of SMPL-X's mesh."""
        return self.regions.skeleton.shape[1]

    @property
    def row_names(self) -> tuple[str, ...]:
        """Rows that this protocol can have."""
        mapped = ('mpjpe_mapped', 'pa_mpjpe_mapped')
        smpl = ('pve', 'pa_pve', 'mpjpe', 'pa_mpjpe', *mapped)
        return tuple(row for measure in self.protocol.measures for row in ROWS[measure].values()
                     if (row in smpl if self.smpl else row not in mapped))

    def errors(self, sample: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Every row of one person of a dump: mm and degrees, NaN where it has no truth. ValueError for a mesh of another
        topology than the protocol compares, or a picture that is not known."""
        found = dict.fromkeys(self.row_names, np.nan)
        if sample['has_mesh']:
            values = self._mesh_errors(sample)
            found.update({name: float(values[name]) for name in found if name in values})
        if 'wrist_deg' in self.protocol.measures and {'true_body_pose', 'pred_body_pose'} <= sample.keys():
            found.update(wrist_errors(sample))
        return found

    def _mesh_errors(self, sample: Mapping[str, np.ndarray]) -> dict:
        pred, true = sample['pred_vertices'][None], sample['true_vertices'][None]
        if self.smpl:
            return self._smpl_errors(pred, true, str(sample['key']))
        for what, mesh in (('predicted', pred), ('true', true)):
            if mesh.shape[1] != self.vertices:
                raise ValueError(f'the {what} mesh of {str(sample["key"])!r} has {mesh.shape[1]} vertices, the SMPL-X of '
                                 f'{self.root} has {self.vertices}: {self.protocol.name} needs the body model that the meshes '
                                 'are of.')
        in_sight = None
        if self.protocol.sight == 'image':
            missing = [name for name in ('focal', 'princpt', 'img_size') if name not in sample]
            if missing:
                raise ValueError(f'{self.protocol.name} counts points whose truth projects into the image, but the sample '
                                 f'{str(sample["key"])!r} lacks {missing}.')
            camera = intrinsic_matrix(*(torch.from_numpy(sample[name]) for name in ('focal', 'princpt')))
            in_sight = inside_picture(camera, sample['img_size'])
        return whole_body_errors(pred, true, self.regions, in_sight)

    def _smpl_errors(self, pred: np.ndarray, true: np.ndarray, key: str) -> dict:
        own = self.smpl.skeleton.shape[1]
        if true.shape[1] != own or pred.shape[1] not in (own, self.vertices):
            raise ValueError(f'{key!r} has a predicted mesh of {pred.shape[1]} and a true one of {true.shape[1]} vertices; '
                             f'{self.protocol.name} compares with SMPL ({own}), and takes predictions of SMPL or of SMPL-X '
                             f'({self.vertices}).')
        is_smplx = pred.shape[1] == self.vertices
        skeleton = self.regions.skeleton if is_smplx else self.smpl.skeleton
        return pw3d_errors(pred, true, skeleton, self.smpl.skeleton) | mapped_errors(
            pred, true, skeleton, self.smpl.skeleton, self.smpl.from_smplx if is_smplx else None)


def wrist_errors(sample: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Angle between predicted and true rotation of each wrist in the camera's frame, degrees; NaN where the truth does not
    reach to it."""
    pred, true = (torch.from_numpy(np.concatenate((sample[f'{who}_global_orient'][None], sample[f'{who}_body_pose']))).double()
                  for who in ('pred', 'true'))
    angles = {side: float(rotation_error_deg(*(chain_product(pose, ARM_CHAIN[side]) for pose in (pred, true))))
              if known else np.nan for side, known in zip(SIDES, sample['has_arm_pose'], strict=True)}
    both = np.array(list(angles.values()))
    known = both[np.isfinite(both)]
    return {f'wrist_deg_{side}_hand': angle for side, angle in angles.items()} | {
        'wrist_deg_hands': float(known.mean()) if len(known) else np.nan}


def score_bodies(arrays: dict[str, np.ndarray], protocol: BodyProtocol, scorer: BodyScorer) -> Scores:
    """Score a dump's arrays; rows must be sorted and unique already."""
    found = [scorer.errors({name: values[i] for name, values in arrays.items()}) for i in range(len(arrays['key']))]
    rows = {name: np.array([errors[name] for errors in found], dtype=np.float64) for name in scorer.row_names}
    return body_scores(rows, protocol, arrays.get('visibility'))


def body_scores(rows: dict[str, np.ndarray], protocol: BodyProtocol, visibility: np.ndarray | None = None) -> Scores:
    """Rows of errors (N,) to means over the persons that have each; visibility (N,), the share of the more hidden hand that is
    seen, gives a table by quartile."""
    means, counts = {}, {}
    for measure in protocol.measures:
        cells = {column: rows[name] for column, name in ROWS[measure].items() if np.isfinite(rows.get(name, np.nan)).any()}
        if cells:
            means[measure] = {column: exact_mean(values) for column, values in cells.items()}
            counts[measure] = {'all': int(np.isfinite(np.stack([*cells.values()])).any(0).sum())}
    shown = [column for column in COLUMNS if any(column in values for values in means.values())]
    cells = {logged_name(measure, column, 'all'): (rows[ROWS[measure][column]],)
             for measure, values in means.items() for column in values}
    scores = Scores(protocol, rows, means, counts, columns=tuple(shown), main='all', subject='persons', cells=cells)
    if visibility is not None and np.isfinite(visibility).any():
        cells = {(measure, column): rows[ROWS[measure][column]] for measure, column in BY_OCCLUSION
                 if column in means.get(measure, ())}
        scores.occlusion = visibility_quartiles(visibility, 'persons', lambda group: {
            logged_name(measure, column, 'all'): exact_mean(values[group]) for (measure, column), values in cells.items()})
    return scores
