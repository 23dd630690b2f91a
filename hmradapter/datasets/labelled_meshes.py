"""Meshes of what records say of persons and hands: to look at, where the data set keeps none."""
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmradapter.body_models import MANOLayer, SMPLLayer, SMPLXLayer
from hmradapter.body_models.model_files import find_model_file, read_model_file
from hmradapter.body_models.smplx_layer import count_directions
from hmradapter.geometry.rotations import axis_angle_to_rotmat

from .record import GENDERS, MODELS, SIDES, flag_bits
from .store.prepared import PreparedStore

BODY = flag_bits(['has_global_orient', 'has_body_pose', 'has_transl'])
NUM_BETAS = 10


class LabelledMeshes:
    """Poses a record's parameters; models are read when they are needed first.

    Args:
        body_model_root: folder with smplx/, smpl/, mano/. FileNotFoundError, when a model is needed, says what it lacks.
    """

    def __init__(self, body_model_root: str | Path):
        self.root = Path(body_model_root)
        self.smplx: Callable[[str, int], SMPLXLayer] = cache(self._smplx)
        self.smpl: Callable[[str], SMPLLayer] = cache(lambda gender: SMPLLayer(str(self.root), gender))
        self.mano: Callable[[str], MANOLayer] = cache(lambda side: MANOLayer(str(self.root), side))

    @torch.no_grad()
    def person(self, record: np.void, store: PreparedStore) -> np.ndarray | None:
        """Vertices (V, 3) of a record's person, metres, camera frame: the stored ones, else those of its own model with its
        betas or its template (without either: of the mean shape). None where the body is not labelled."""
        if record['verts_row'] >= 0:
            return store.vertices(int(record['verts_row']))
        model, flags = MODELS[record['model']], int(record['flags'])
        if flags & BODY != BODY or model not in ('smplx', 'smpl'):
            return None
        gender, betas = GENDERS[record['gender']], None
        layer = self.smpl(gender) if model == 'smpl' else self.smplx(gender, int(record['num_betas']) or NUM_BETAS)
        if flags & flag_bits(['has_betas']):
            betas = _row(record['betas'][:layer.num_betas])
        elif record['template'] >= 0:
            layer = layer.with_template(store.template(int(record['template'])))
        orient, body, transl = _turns(record['global_orient']), _turns(record['body_pose']), _row(record['transl'])
        if model == 'smpl':
            return layer(orient, torch.cat((body, _turns(record['smpl_tail'])), 1), betas, transl).vertices[0].numpy()
        hands, eyes = map(_turns, record['hand_pose']), map(_turns, record['eye_pose'])
        out = layer(orient, body, *hands, _turns(record['jaw_pose']), *eyes, betas=betas,
                    expression=_row(record['expression']), transl=transl)
        return out.vertices[0].numpy()

    @torch.no_grad()
    def hand(self, record: np.void, side: str) -> np.ndarray | None:
        """Vertices (V, 3) of MANO, metres, camera frame, of a record's hand; its wrist is where it is labelled, and without a
        shape of its own it is the mean hand. None where the pose or the wrist is not labelled."""
        i, flags = SIDES.index(side), int(record['flags'])
        needed = flag_bits([f'has_{side}_hand_pose', f'has_{side}_hand_global'])
        wrist = record['hand_kpts3d'][i, 0]
        if flags & needed != needed or not wrist[3] > 0:
            return None
        layer, betas = self.mano(side), _row(record['hand_betas'][i])
        out = layer(_turns(record['hand_global_orient'][i]), _turns(record['hand_pose'][i]), betas)
        return (out.vertices[0] - out.keypoints[0, 0]).numpy() + wrist[:3]

    def _smplx(self, gender: str, num_betas: int) -> SMPLXLayer:
        path = find_model_file(self.root, 'SMPL-X', f'SMPLX_{gender.upper()}')
        directions = count_directions(read_model_file(path, 'SMPL-X')['shapedirs'])[0]
        return SMPLXLayer(str(path), gender, num_betas=min(num_betas, directions), face_contour=False)


def _row(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, np.float32))[None]


def _turns(rotvecs: np.ndarray) -> Tensor:
    """(3,) or (n, 3) -> (1, n, 3, 3)."""
    return axis_angle_to_rotmat(_row(rotvecs.reshape(-1, 3)))
