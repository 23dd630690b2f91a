"""Regions of whole-body meshes from official files, what is wrong with a file, and laws of the errors measured at them."""
import pickle
import shutil

import numpy as np
import pytest
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.evaluation import load_body_regions
from hmradapter.evaluation.body_regions import load_smpl_mesh
from hmradapter.evaluation.whole_body_errors import inside_picture, mapped_errors, whole_body_errors
from hmradapter.structures.joints import HAND21_FROM_SMPLX144

from .toy_persons import V, W, toy_root


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return toy_root(tmp_path_factory.mktemp('regions') / 'toy')


def test_joints_of_the_rest_pose_are_the_body_models_own_fingertips_included(root):
    regions, layer = load_body_regions(root), SMPLXLayer(str(root))
    mesh = layer()
    torch.testing.assert_close(regions.joints(mesh.vertices).float(), mesh.joints[:, :55], atol=1e-5, rtol=0)
    for side, order in HAND21_FROM_SMPLX144.items():
        torch.testing.assert_close(regions.hand_joints(side, mesh.vertices).float(), mesh.joints[:, order], atol=1e-5, rtol=0)


def test_moving_the_prediction_changes_nothing_and_turning_a_hand_only_its_own_errors(root):
    regions = load_body_regions(root)
    random = np.random.default_rng(0)
    true = random.normal(0, 0.4, (2, V, 3))
    pred = true + random.normal(0, 0.02, true.shape)
    expected = whole_body_errors(pred, true, regions)
    for name, values in whole_body_errors(pred + [1, -2, 3], true, regions).items():
        torch.testing.assert_close(values, expected[name], msg=name)
    for name, values in whole_body_errors(2 * pred, true, regions).items():
        assert torch.allclose(values, expected[name]) == name.startswith('pa_'), name
    hand = pred.copy()
    hand[:, regions.hands['left']] += 0.01
    changed = whole_body_errors(hand, true, regions)
    assert (changed['pve'] != expected['pve']).all()
    torch.testing.assert_close(changed['pa_pve_left_hand'], expected['pa_pve_left_hand'])  # its vertices moved together
    torch.testing.assert_close(changed['pa_pve_face'], expected['pa_pve_face'])


def test_a_mapped_mesh_has_no_error_but_the_distance_of_the_two_pelvises(root):
    regions = load_body_regions(root)
    smpl = load_smpl_mesh(root, V)
    pred = np.random.default_rng(1).normal(0, 0.4, (2, V, 3))
    true = torch.stack([smpl.from_smplx @ torch.from_numpy(mesh) for mesh in pred])
    found = mapped_errors(pred, true + 5, regions.skeleton, smpl.skeleton, smpl.from_smplx)
    pelvises = torch.from_numpy(regions.skeleton[:1] @ pred)[:, 0], (torch.from_numpy(smpl.skeleton[:1]) @ true)[:, 0]
    expected = 1000 * (pelvises[0] - pelvises[1]).norm(dim=-1)
    torch.testing.assert_close(found['pve'], expected)
    torch.testing.assert_close(found['mpjpe_mapped'], expected)
    assert found['pa_pve'].max() < 1e-6 and found['pa_mpjpe_mapped'].max() < 1e-6


def test_what_is_inside_the_picture():
    camera = torch.tensor([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    points = torch.tensor([[[0.0, 0, 1], [0.49, 0.39, 1], [0.5, 0, 1], [-0.5, 0, 1], [0, 0.4, 1], [0, 0, -1]]])
    seen = inside_picture(camera, (100, 80))(points)
    assert seen.tolist() == [[True, True, False, False, False, False]]  # borders and what is behind do not count


@pytest.mark.parametrize(('name', 'content', 'message'), [
    ('SMPLX_to_J14.pkl', dict(matrix=np.zeros((14, V))), r"matrix of floats \(14, V_smplx\), but it holds a dict of"),
    ('SMPLX_to_J14.pkl', np.zeros((14, V - 1)), rf'has {V - 1} columns, but .* has {V} vertices'),
    ('SMPLX_to_J14.pkl', np.zeros((13, V)), r'\(13, 160\)'),
    ('SMPL-X__FLAME_vertex_ids.npy', np.array([0., 1.]), 'should hold integer SMPL-X vertex ids'),
    ('SMPL-X__FLAME_vertex_ids.npy', np.array([3, V]), rf'vertex ids outside of 0 .. {V - 1}'),
    ('MANO_SMPLX_vertex_ids.pkl', dict(left_hand=np.arange(3)), 'right_hand is NoneType'),
    ('smplx2smpl.pkl', np.zeros((W, V)), "should hold a dict with 'matrix'"),
    ('smplx2smpl.pkl', dict(matrix=np.zeros((W + 1, V))), rf'has {W + 1} rows, but .*SMPL_NEUTRAL.pkl has {W} vertices')])
def test_a_file_that_is_not_what_it_should_be_is_named_with_what_was_expected(root, tmp_path, name, content, message):
    broken = shutil.copytree(root, tmp_path / 'broken')
    (broken / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf'No {name} at .*https://.*build_body_models'):
        load_body_regions(broken), load_smpl_mesh(broken, V)
    if name.endswith('.npy'):
        np.save(broken / name, content)
    else:
        (broken / name).write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ValueError, match=message):
        load_body_regions(broken), load_smpl_mesh(broken, V)


def test_index_files_may_lie_beside_the_model(root, tmp_path):
    moved = shutil.copytree(root, tmp_path / 'moved')
    for name in ('SMPLX_to_J14.pkl', 'SMPL-X__FLAME_vertex_ids.npy', 'MANO_SMPLX_vertex_ids.pkl'):
        shutil.move(moved / name, moved / 'smplx' / name)
    np.testing.assert_array_equal(load_body_regions(moved).face, load_body_regions(root).face)
