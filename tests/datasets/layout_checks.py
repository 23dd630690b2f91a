"""What holds for every data set of SMPL-X persons: its records are what its layout's writer knows of them."""
import functools

import numpy as np
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.datasets import smplx_labels
from hmradapter.datasets.record import GENDERS, SIDES, check_records, flag_bits
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures.joints import HAND21_FROM_SMPLX144

layer_of = functools.lru_cache(maxsize=8)(SMPLXLayer)
CONTOUR = 127  # SMPLX144 without the face's contour


def records_of(store) -> dict[str, np.ndarray]:
    """{key: record (1,)}; all of them pass `check_records`."""
    records = {store.key(i): np.array([store.record(i)]) for i in range(store.manifest['records'])}
    for record in records.values():
        check_records(record)
    return records


def assert_same(records, others) -> None:
    """All fields but the images' rows, to what single precision leaves of metres and pixels."""
    for name in set(records.dtype.names) - {'offset'}:
        np.testing.assert_allclose(records[name], others[name], rtol=1e-6, atol=1e-6, err_msg=name)


def count_posed(monkeypatch) -> list[int]:
    """How many bodies each call of `set_smplx_persons` poses from here on."""
    counts, pose = [], smplx_labels.pose_smplx

    def counting(layer, params):
        counts.append(len(params['transl']))
        return pose(layer, params)
    monkeypatch.setattr(smplx_labels, 'pose_smplx', counting)
    return counts


def project(points, K):
    pixels = points @ np.asarray(K).T
    return pixels[..., :2] / pixels[..., 2:]


def has(record, *flags) -> bool:
    bits = np.uint64(flag_bits(flags))
    return bool((record['flags'][0] & bits) == bits)


def posed(record, body_model_root):
    """Vertices (V, 3) and joints (127, 3) of the open model for a record's own parameters."""
    def turn(name, count):
        return axis_angle_to_rotmat(torch.from_numpy(record[name].reshape(1, -1, count, 3))).flatten(1, 2).float()
    count = int(record['num_betas'][0])
    layer = layer_of(str(body_model_root), GENDERS[record['gender'][0]], num_betas=count, face_contour=False)
    hands, eyes = turn('hand_pose', 15).split(15, dim=1), turn('eye_pose', 1).split(1, dim=1)
    with torch.no_grad():
        out = layer(turn('global_orient', 1), turn('body_pose', 21), *hands, turn('jaw_pose', 1), *eyes,
                    betas=torch.from_numpy(record['betas'][:, :count]), expression=torch.from_numpy(record['expression']),
                    transl=torch.from_numpy(record['transl']))
    return out.vertices[0].numpy(), out.joints[0].numpy()


def assert_true(record, one, body_model_root, hands=SIDES):
    """A record is the person that the writer wrote: vertices to 1e-5 m, projections to 0.01 px, hands where they belong."""
    figure = one['figure']
    K = [[record['focal'][0, 0], 0, record['princpt'][0, 0]], [0, record['focal'][0, 1], record['princpt'][0, 1]], [0, 0, 1]]
    assert record['hw'][0].tolist() == [one['size'][1], one['size'][0]]
    np.testing.assert_allclose(K, one['K'], rtol=1e-5)
    vertices, joints = posed(record, body_model_root)
    assert np.abs(vertices - figure.vertices).max() < 1e-5
    assert np.abs(project(vertices, K) - project(figure.vertices, one['K'])).max() < 0.01
    stored, pixels = record['kpts3d'][0], record['kpts2d'][0]
    assert not stored[CONTOUR:].any() and has(record, 'has_kpts2d', 'has_kpts3d', 'has_abs_depth', 'has_K', 'has_image')
    known = stored[:CONTOUR, 3] > 0
    assert np.abs(stored[:CONTOUR][known, :3] - figure.joints[:CONTOUR][known]).max() < 1e-5
    assert np.abs(pixels[:CONTOUR][known, :2] - project(figure.joints[:CONTOUR][known], one['K'])).max() < 0.01
    assert np.abs(joints[known] - stored[:CONTOUR][known, :3]).max() < 1e-5
    for i, side in enumerate(SIDES):
        flags = [f'has_{side}_hand_{name}' for name in ('pose', 'global', 'kpts2d', 'kpts3d')]
        if side not in hands:
            assert not any(has(record, flag) for flag in (*flags, f'has_bbox_{side}_hand'))
            assert not record['hand_pose'][0, i].any() and not record['hand_kpts3d'][0, i].any()
            continue
        assert has(record, *flags)
        points = figure.joints[list(HAND21_FROM_SMPLX144[side])]
        assert np.abs(record['hand_kpts3d'][0, i, :, :3] - points).max() < 1e-5
        assert np.abs(record['hand_kpts2d'][0, i, :, :2] - project(points, one['K'])).max() < 0.01
        assert np.abs(record['hand_pose'][0, i] - figure.hand_pose[i]).max() < 1e-5
        turned = axis_angle_to_rotmat(torch.from_numpy(record['hand_global_orient'][0, i]).double())
        true = axis_angle_to_rotmat(torch.from_numpy(figure.hands[side].global_orient))
        assert (turned - true).abs().max() < 1e-5
