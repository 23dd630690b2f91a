"""The check of wrist-integration fixtures: the recorded directory, a made-up one of other sizes, and arrays that are wrong.

The made-up directory is computed here in NumPy, from quaternions, without the package's rotations.
"""
import shutil
from pathlib import Path

import numpy as np
import pytest

ANALYSIS_TOOLS = Path(__file__).parents[2] / 'tools' / 'analysis_tools'
LIMIT = 0.4 * np.pi
ARMS = dict(left=(0, 3, 6, 9, 13, 16, 18, 20), right=(0, 3, 6, 9, 14, 17, 19, 21))
MIRROR = np.array([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]])


@pytest.fixture
def check(monkeypatch, capsys):
    """`check(folder, *parts)` runs check_parity.py integration in this process; its exit status and all that it said."""
    monkeypatch.syspath_prepend(str(ANALYSIS_TOOLS))
    import check_parity

    def run(folder, *only):
        status = check_parity.main(['integration', '--dir', str(folder), *(('--only', *only) if only else ())])
        return status, ''.join(capsys.readouterr())
    return run


def rotation(rotvec):
    """Axis-angle (..., 3) -> matrices by Rodrigues' formula."""
    angle = np.linalg.norm(rotvec, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(rotvec / np.maximum(angle[..., 0], 1e-300), -1, 0)
    cross = np.stack((0 * x, -z, y, z, 0 * x, -x, -y, x, 0 * x), axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def quaternion(matrix):
    """w, x, y, z of one rotation, by an eigenvector: nothing of the package's own way."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    symmetric = np.array([[a + e + i, h - f, c - g, d - b], [h - f, a - e - i, b + d, c + g],
                          [c - g, b + d, e - a - i, f + h], [d - b, c + g, f + h, i - a - e]])
    found = np.linalg.eigh(symmetric)[1][:, -1]
    return found * (1 if found[0] >= 0 else -1)


def twist_of(matrix, axis):
    w, *v = quaternion(matrix)
    return 2 * np.arctan2(np.dot(v, axis), w)


def chain(body, joints):
    product = np.eye(3)
    for joint in joints:
        product = product @ body[joint]
    return product


def integrate(body, orient, rest, side):
    """One arm: copied wrist, axis, twist, excess, elbow, wrist, global elbow."""
    *_, elbow, wrist = ARMS[side]
    copied = chain(body, ARMS[side][:-1]).T @ orient
    axis = (rest[wrist] - rest[elbow]) / np.linalg.norm(rest[wrist] - rest[elbow])
    twist = twist_of(copied, axis)
    excess = twist - np.clip(twist, -LIMIT, LIMIT)
    turn = rotation(excess * axis)
    return dict(wrist_copy=copied, axis=axis, twist=twist, twist_rotmat=rotation(twist * axis), excess_rotvec=excess * axis,
                adapt_elbow=body[elbow] @ turn, adapt_wrist=turn.T @ copied,
                global_elbow_after=chain(body, ARMS[side][:-1]) @ turn, global_wrist_after=orient)


def stacked(bodies, orients, rests, side):
    rows = [integrate(*given, side) for given in zip(bodies, orients, rests, strict=True)]
    return {f'{name}_{side}': np.stack([row[name] for row in rows]) for name in rows[0]}


def main_file(rng, count=7):
    body, rest = rotation(rng.normal(size=(count, 22, 3))), rng.normal(size=(count, 24, 3))
    orient = dict(left=rotation(2 * rng.normal(size=(count, 3))), right=rotation(2 * rng.normal(size=(count, 3))))
    visibility = rng.uniform(0, 0.3, (count, 2)).astype(np.float32)
    visibility[0], visibility[1, 0] = np.float32(0.1), 0.9
    arrays = dict(body=body, rest_joints=rest, mano_orient_right=orient['right'],
                  mano_orient_left_mirrored=MIRROR * orient['left'], visibility=visibility,
                  visibility_threshold=np.float32(0.1), group=np.zeros(count, np.int8))
    for i, side in enumerate(ARMS):
        arrays |= stacked(body, orient[side], rest, side)
        seen = (visibility[:, i] > np.float32(0.1))[:, None, None]
        *_, elbow, wrist = ARMS[side]
        for name, joint in (('adapt_elbow', elbow), ('adapt_wrist', wrist)):
            arrays[name.replace('_', '_vis_') + f'_{side}'] = np.where(seen, arrays[f'{name}_{side}'], body[:, joint])
        arrays[f'copy_vis_wrist_{side}'] = np.where(seen, arrays[f'wrist_copy_{side}'], body[:, wrist])
    return {name: value if value.dtype == np.int8 else value.astype(np.float32) for name, value in arrays.items()}


def edge_file(rng):
    """Twists of the wrist of one posed body, the last a half turn whose sign is rounding: stored with the other one."""
    angles = np.array([0.0, LIMIT, 1.7, -2.4, np.pi - 2e-3, np.pi])
    body, rest = rotation(rng.normal(size=(22, 3))), rng.normal(size=(24, 3))
    arrays = dict(names=np.array([f'{angle:.3f}' for angle in angles]))
    arrays |= {'one.body': body, 'one.rest_joints': rest}
    comparable = angles < 3.14
    for side in ARMS:
        axis = integrate(body, np.eye(3), rest, side)['axis']
        orient = chain(body, ARMS[side][:-1]) @ rotation(angles[:, None] * axis)
        found = stacked([body] * len(angles), orient, [rest] * len(angles), side)
        other = integrate(body, chain(body, ARMS[side][:-1]) @ rotation(-(np.pi - 1e-9) * axis), rest, side)
        if found[f'twist_{side}'][-1] < 0:
            other = integrate(body, chain(body, ARMS[side][:-1]) @ rotation((np.pi - 1e-9) * axis), rest, side)
        for name in ('twist', 'excess_rotvec', 'adapt_elbow', 'adapt_wrist'):
            found[f'{name}_{side}'][-1] = other[name]
            arrays[f'one.{name}_{side}'] = found[f'{name}_{side}']
        arrays[f'one.comparable_{side}'] = comparable
        answer, mirror = ('right', 1) if side == 'right' else ('left_mirrored', MIRROR)
        arrays[f'one.mano_orient_{answer}'] = orient * mirror
    return {name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in arrays.items()}


def fingers_file(rng, count=3):
    answers = dict(right=rotation(rng.normal(size=(count, 16, 3))), left_mirrored=rotation(rng.normal(size=(count, 16, 3))))
    rotvecs = 0.6 * rng.normal(size=(2, count, 15, 3))
    body = rotation(rng.normal(size=(count, 22, 3)))
    arrays = dict(body=body, rest_joints=rng.normal(size=(count, 24, 3)))
    for i, (side, answer) in enumerate(dict(left='left_mirrored', right='right').items()):
        true = rotation(rotvecs[i])
        mirror = MIRROR if side == 'left' else 1
        orient, mean = answers[answer][:, 0] * mirror, 0.3 * rng.normal(size=45)
        wrist = np.stack([chain(pose, ARMS[side][:-1]).T @ hand for pose, hand in zip(body, orient, strict=True)])
        arrays |= {f'orient_{answer}': answers[answer][:, 0], f'fingers_{answer}': true * mirror, f'hand_mean_{side}': mean,
                   f'pymafx_fingers_{side}': true, f'residual_{side}': rotvecs[i].reshape(count, 45) - mean,
                   f'mano2smplx_{side}_hand_pose': rotvecs[i].reshape(count, 45), f'pymafx_wrist_{side}': wrist}
    return arrays


def crop_ray_file(rng, count=5):
    camera = np.tile(np.array([[900.0, 0, 640], [0, 905, 360], [0, 0, 1]]), (count, 1, 1))
    body, hand = rng.uniform(0, 700, (count, 2)), rng.uniform(0, 700, (count, 2, 2))

    def turn(pixel):
        ray = np.linalg.solve(camera[0], np.append(pixel, 1))
        ray /= np.linalg.norm(ray)
        across = np.hypot(*ray[:2])
        return ray, rotation(np.arctan2(across, ray[2]) * np.array([-ray[1], ray[0], 0]) / across)

    seen, elbow = rotation(rng.normal(size=(count, 2, 3))), rotation(rng.normal(size=(count, 2, 3)))
    bodies, hands = [turn(pixel) for pixel in body], [[turn(pixel) for pixel in pair] for pair in hand]
    corrections = np.stack([[turn for _, turn in pair] for pair in hands])
    to_body = np.stack([turn for _, turn in bodies])[:, None].swapaxes(-1, -2)
    true = seen * np.stack((MIRROR, np.ones((3, 3))))
    return dict(K=camera, body_center=body, hand_center=hand, hand_orient_expert=seen, elbow_global=elbow,
                ray_body=np.stack([ray for ray, _ in bodies]), correction_hand=corrections,
                hand_orient_camera=corrections @ true,
                wrist_local_corrected=elbow.swapaxes(-1, -2) @ to_body @ corrections @ true,
                wrist_local_uncorrected=elbow.swapaxes(-1, -2) @ true)


def metrics_file(rng):
    """Two hands of five vertices, in pairs but for one; the right wrist's error moves all."""
    vertices, ids = rng.normal(size=(4, 12, 3)), dict(left=np.arange(5), right=np.arange(5, 10))
    regressor = np.zeros((21, 5))
    regressor[0, 2] = 1
    kind, missing = np.array(['interacting', 'interacting', 'left', 'interacting']), np.array([False, True, False, False])
    target = {side: rng.normal(size=(4, 5, 3)) for side in ids}
    pred = {side: vertices[:, ids[side]] for side in ids}
    way = (pred['left'] - pred['right'] - target['left'] + target['right'])[:, 2]
    single = (pred['left'] - pred['left'][:, 2:3] - target['left'] + target['left'][:, 2:3])
    single = 1000 * np.linalg.norm(single, axis=-1).mean(-1)
    return dict(vertices=vertices, ids_left=ids['left'], ids_right=ids['right'], regressor=regressor, kind=kind,
                left_missing=missing, target_left=target['left'], target_right=target['right'],
                mrrpe_mm=np.where(kind == 'left', np.nan, 1000 * np.linalg.norm(way, axis=-1)),
                mpvpe_single_mm=np.where(kind == 'left', single, np.nan),
                rot_a=np.stack([np.eye(3)] * 2), rot_b=rotation(np.array([[0.1, 0, 0], [0, 2.0, 0]])),
                rot_error_deg=np.rad2deg([0.1, 2.0]))


MAKERS = dict(main=main_file, edge=edge_file, fingers=fingers_file, crop_ray=crop_ray_file, metrics=metrics_file)


@pytest.fixture(scope='module')
def made_up(tmp_path_factory):
    """A directory with the recorded one's layout, of other sizes and names, with arrays left out."""
    folder, rng = tmp_path_factory.mktemp('integration'), np.random.default_rng(5)
    for name, maker in MAKERS.items():
        np.savez(folder / f'{name}.npz', **maker(rng))
    np.savez(folder / 'cham.npz', w=np.zeros(3))
    return folder


def test_the_recorded_directory_holds(check, parity_file):
    status, said = check(parity_file('integration/main.npz').parent)
    assert status == 0, said
    assert 'holds: main, edge, fingers, crop_ray, metrics' in said
    assert said.count(', 0 beyond tolerance, 0 arrays not checked') == 5


def test_a_directory_of_other_sizes_holds(check, made_up):
    status, said = check(made_up)
    assert status == 0, said
    assert said.count(', 0 beyond tolerance, 0 arrays not checked') == 5
    assert 'one.adapt_elbow_left of 5/6 comparable' in said  # the half turn has the other sign there
    assert 'NOT CHECKED: cham.npz' in said


WRONG = [('main', 'adapt_elbow_right', 'adapt_elbow_right'), ('main', 'copy_vis_wrist_left', 'copy_vis_wrist_left'),
         ('main', 'global_wrist_after_left', 'global_wrist_after_left'), ('edge', 'one.twist_left', 'one.twist_left of 5/6'),
         ('edge', 'one.adapt_wrist_right', 'one.adapt_elbow_right times wrist'), ('fingers', 'residual_left', 'residual_left'),
         ('fingers', 'pymafx_fingers_left', 'pymafx_fingers_left'), ('crop_ray', 'hand_orient_camera', 'hand_orient_camera'),
         ('metrics', 'mrrpe_mm', 'mrrpe_mm')]


@pytest.mark.parametrize('file, name, named', WRONG)
def test_a_wrong_array_is_named_and_fails(check, made_up, tmp_path, file, name, named):
    folder = tmp_path / 'fixtures'
    shutil.copytree(made_up, folder)
    arrays = dict(np.load(folder / f'{file}.npz'))
    arrays[name] = arrays[name].copy()
    arrays[name].flat[0] += 0.02
    np.savez(folder / f'{file}.npz', **arrays)
    status, said = check(folder, file)
    lines = [line for line in said.splitlines() if line.startswith(named) and line.endswith('BEYOND')]
    assert status == 1 and lines and f'DOES NOT HOLD: {file}' in said, said


def test_unknown_outputs_and_missing_files_do_not_hold(check, made_up, tmp_path):
    folder = tmp_path / 'fixtures'
    shutil.copytree(made_up, folder)
    arrays = dict(np.load(folder / 'fingers.npz'))
    np.savez(folder / 'fingers.npz', **arrays, new_output=np.zeros(2))
    (folder / 'edge.npz').unlink()
    status, said = check(folder, 'fingers', 'edge')
    assert status == 1 and 'NOT CHECKED: new_output' in said and 'DOES NOT HOLD: edge' in said
    del arrays['body']
    np.savez(folder / 'fingers.npz', **arrays)
    status, said = check(folder, 'fingers')
    assert status != 0 and "KeyError: 'body'" in said
