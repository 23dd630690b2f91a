"""What tests of COCO-WholeBody and UBody share."""
import numpy as np
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.datasets.record import FLAGS, check_records
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures.joints import COCO133_PARTS, HAND21_FROM_SMPLX144, SMPLX144_FROM_COCO133

FIELDS = dict(body='keypoints', feet='foot_kpts', face='face_kpts', left_hand='lefthand_kpts', right_hand='righthand_kpts')
SIDES = ('left', 'right')
EYES = (56, 57, 99, 100, 105, 106)     # of SMPLX144: points that the eyes' pose moves, which no fit knows
HIPS, HAND_WRISTS = (11, 12), (91, 112)  # of the 133: not placed


def has(record, name) -> bool:
    return bool(int(record['flags']) >> FLAGS.index(name) & 1)


def records_of(dataset) -> dict:
    """{key: record} of all rows, each of them checked."""
    found = {dataset.store.key(row): dataset.store.record(row) for row in range(len(dataset.store))}
    check_records(np.array(list(found.values())))
    return found


def marked(annotation) -> np.ndarray:
    """Joints (133, 3) as the file has them."""
    return np.concatenate([np.reshape(annotation[name], (-1, 3)) for name in FIELDS.values()]).astype(float)


def check_marks(record, one) -> None:
    """Every marked joint lies in its place and is SMPL-X's point of that place, to 0.01 px; nothing else is labelled where no
    fit stands behind it."""
    joints, placed = marked(one['annotation']), set()
    body = COCO133_PARTS['body'].stop
    for i, (x, y, third) in enumerate(joints):
        place = SMPLX144_FROM_COCO133[i]
        if third > (0 if i < body else 0.3) and i not in HIPS + HAND_WRISTS:
            np.testing.assert_allclose(record['kpts2d'][place, :2], (x, y), atol=0.01)
            np.testing.assert_allclose(record['kpts2d'][place, :2], one['pixels'][place], atol=0.01)
            assert record['kpts2d'][place, 2] == np.float32(1 if i < body else min(third, 1))
            placed.add(place)
    if not has(record, 'has_K'):
        assert set(np.flatnonzero(record['kpts2d'].any(1)).tolist()) == placed
    for i, side in enumerate(SIDES):
        seen = joints[COCO133_PARTS[f'{side}_hand'], 2] > 0.3
        order = list(HAND21_FROM_SMPLX144[side])
        np.testing.assert_allclose(record['hand_kpts2d'][i][seen, :2], one['pixels'][order][seen], atol=0.01)
        assert has(record, f'has_{side}_hand_kpts2d') == record['hand_kpts2d'][i].any()
    assert has(record, 'has_kpts2d') and tuple(record['hw'][::-1]) == one['size']


def check_fit(record, one, root, parts=('left_hand', 'right_hand', 'face')) -> None:
    """Parameters and 3D joints of a record are the figure's, of the parts that hold."""
    figure = one['figure']
    for name in ('has_global_orient', 'has_body_pose', 'has_transl', 'has_betas', 'has_kpts3d', 'has_K', 'has_abs_depth'):
        assert has(record, name)
    for i, side in enumerate(SIDES):
        holds = f'{side}_hand' in parts
        for name in ('pose', 'global', 'kpts3d'):
            assert has(record, f'has_{side}_hand_{name}') == holds
        expected = figure.hand_pose[i] if holds else np.zeros((15, 3))
        np.testing.assert_allclose(record['hand_pose'][i], expected, atol=1e-6)
    assert has(record, 'has_jaw') == has(record, 'has_expression') == ('face' in parts) and not has(record, 'has_eyes')
    fingers = {side: list(HAND21_FROM_SMPLX144[side][1:]) for side in SIDES}
    believed = [*range(22), *range(55, 66), *(joint for side in SIDES if f'{side}_hand' in parts for joint in fingers[side]),
                *(range(76, 127) if 'face' in parts else ())]
    assert (record['kpts3d'][believed, 3] == 1).all()
    believed = [joint for joint in believed if joint not in EYES]
    np.testing.assert_allclose(record['kpts3d'][believed, :3], figure.joints[believed], atol=1e-5)
    for side in SIDES:
        if f'{side}_hand' not in parts:
            assert not record['kpts3d'][fingers[side]].any() and not record['hand_kpts3d'][SIDES.index(side)].any()
    np.testing.assert_allclose(np.diag(one['K'])[:2], record['focal'], rtol=1e-6)
    if set(parts) == {'left_hand', 'right_hand', 'face'}:
        assert np.abs(posed(record, root, figure.eye_pose) - figure.vertices).max() < 1e-5


def posed(record, root, eye_pose) -> np.ndarray:
    """Vertices (V, 3) of a record's parameters, with the eyes that no fit knows."""
    def turns(values):
        return axis_angle_to_rotmat(torch.from_numpy(np.array(values, np.float32)).reshape(1, -1, 3))
    names = dict(global_orient=record['global_orient'], body_pose=record['body_pose'], jaw_pose=record['jaw_pose'],
                 leye_pose=eye_pose[0], reye_pose=eye_pose[1], left_hand_pose=record['hand_pose'][0],
                 right_hand_pose=record['hand_pose'][1])
    vectors = dict(betas=record['betas'][:10], expression=record['expression'], transl=record['transl'])
    out = SMPLXLayer(str(root))(**{name: turns(value) for name, value in names.items()},
                                **{name: torch.from_numpy(value.copy())[None] for name, value in vectors.items()})
    return out.vertices[0].numpy()
