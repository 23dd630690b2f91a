"""SMPLer-X's four evaluations: our errors against metrics.json, sample by sample and as means."""
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from hmradapter.evaluation.whole_body_errors import BodyRegions, inside_picture, pw3d_errors, regress, whole_body_errors
from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.geometry.boxes import to_homogeneous
from hmradapter.geometry.cameras import intrinsic_matrix

from .report import Row, compare
from .smplerx_network import frame_of

INPUTS = ('*',)  # metrics.npz holds inputs only
ATOL, ATOL_UBODY = 1e-3, 2e-2  # millimetres
REGRESSOR_ATOL = 1e-6          # metres
# Fingertips of the fixtures' mesh (thumb, index, middle, ring, pinky): SMPL-X's, as in the `smplx` package.
TIPS = dict(left=(5361, 4933, 5058, 5169, 5286), right=(8079, 7669, 7794, 7905, 8022))
# The reference's names of measures and ours.
MEASURES = dict(mpvpe='pve', pa_mpvpe='pa_pve', pa_mpjpe='pa_mpjpe')
PARTS = dict(all='', body='', l_hand='_left_hand', r_hand='_right_hand', hand='_hands', face='_face')
NAMES = {f'{theirs}_{part}': our + suffix for theirs, our in MEASURES.items() for part, suffix in PARTS.items()} | dict(
    mpjpe_body='mpjpe')


def check(folder: Path) -> list[Row]:
    """Every number of metrics.json."""
    with np.load(folder / 'metrics.npz') as data:
        arrays = {name: data[name] for name in data.files}
    numbers = json.loads((folder / 'metrics.json').read_text())
    frame = BodyFrame(**frame_of(json.loads((folder / 'config.json').read_text())['settings']))
    rows = list(_check_hand_regressors(arrays))
    for protocol, expected in numbers.items():
        found = protocol_errors(protocol, arrays, frame)
        tolerance = ATOL_UBODY if protocol == 'ubody' else ATOL
        for name, values in expected['per_sample'].items():
            rows.append(compare(f'{protocol}.{name}', found[NAMES[name]], values, tolerance))
        for name, value in expected['mean'].items():
            rows.append(compare(f'{protocol}.{name} mean', found[NAMES[name]].nanmean(), value, tolerance))
    return rows


def protocol_errors(protocol: str, arrays: dict, frame: BodyFrame) -> dict:
    """Our errors of a protocol of metrics.json: humandata (ARCTIC), ehf, pw3d, ubody."""
    regions, pred, true = regions_of(arrays), _mesh(arrays['mesh_out']), _mesh(arrays['mesh_gt'])
    if protocol == 'pw3d':
        return pw3d_errors(pred, _mesh(arrays['smpl_mesh_gt']), regions.skeleton, dense(arrays, 'smpl_J_regressor'))
    if protocol == 'ehf':
        true = true @ arrays['ehf_R'].T
    in_sight = None
    if protocol == 'ubody':
        true = (true + arrays['ubody_gt_shift'][:, None]).astype(np.float32)
        in_sight = inside_picture(camera_of_image(arrays['ubody_bb2img_trans'], frame), arrays['ubody_image_hw'][::-1].copy())
    elif protocol not in ('humandata', 'ehf'):
        raise ValueError(f'metrics.json has the protocol {protocol!r}; known are humandata, ehf, pw3d and ubody.')
    return whole_body_errors(pred, true, regions, in_sight)


def camera_of_image(image_from_crop: np.ndarray, frame: BodyFrame) -> torch.Tensor:
    """K (3, 3) of the whole image: the virtual camera of the encoder's crop, then the data loader's crop, then (2, 3) to the
    image."""
    focal, princpt = (frame.crop_factor * torch.tensor(value, dtype=torch.float64) for value in (frame.focal, frame.princpt))
    return to_homogeneous(torch.from_numpy(image_from_crop).double()) @ intrinsic_matrix(focal, princpt)


def regions_of(arrays: dict) -> BodyRegions:
    """What the fixture's meshes are measured at."""
    hands = {side: arrays[f'{side}_hand_vertices'] for side in ('left', 'right')}
    return BodyRegions(dense(arrays, 'J_regressor'), dense(arrays, 'j14_regressor'), hands, arrays['face_vertices'],
                       TIPS)


def _check_hand_regressors(arrays: dict) -> Iterator[Row]:
    """The reference's 21 x V regressor of a hand gives the joints that ours takes from skeleton and fingertips."""
    regions, mesh = regions_of(arrays), _mesh(arrays['mesh_gt'])
    for side in ('left', 'right'):
        yield compare(f'hand_regressor_{side}_val', regions.hand_joints(side, mesh),
                      regress(dense(arrays, f'hand_regressor_{side}'), mesh), REGRESSOR_ATOL)


def dense(arrays: dict, name: str) -> np.ndarray:
    """A regressor (J, V) from its rows, columns and values."""
    matrix = np.zeros(tuple(arrays[f'{name}_shape']))
    matrix[arrays[f'{name}_row'], arrays[f'{name}_col']] = arrays[f'{name}_val']
    return matrix


def _mesh(stored: np.ndarray) -> np.ndarray:
    return stored.astype(np.float32)
