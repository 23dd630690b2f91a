"""SMPL: the layer against the stock `smplx` package, and the open body in SMPL's layout against the same body in SMPL-X's."""
import pickle

import numpy as np
import pytest
import smplx
import torch
from torch.testing import assert_close

from hmradapter.body_models import BodyModelFileError, SMPLLayer, SMPLXLayer, require_open_body_models
from hmradapter.body_models.open_model import build
from hmradapter.body_models.open_model.skeleton import JOINT_NAMES
from hmradapter.fileio.pickles import load_pickle
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import BODY_MODELS

GENDERS = ('neutral', 'male', 'female')


@pytest.fixture(scope='module')
def matrix(open_body_models):
    return load_pickle(open_body_models / 'smplx2smpl.pkl')['matrix']


def rotations(count, batch=3, size=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return axis_angle_to_rotmat(size * torch.randn(batch, count, 3, generator=generator))


def coefficients(seed=0, count=10):
    return torch.randn(3, count, generator=torch.Generator().manual_seed(seed))


def test_smpl_equals_stock_smplx(open_body_models):
    pose = dict(global_orient=rotations(1), body_pose=rotations(23, seed=1), betas=coefficients(), transl=coefficients(2, 3))
    # the package picks 21 more points at the licensed mesh's vertices, which the open one does not have
    points = dict.fromkeys(smplx.vertex_ids.vertex_ids['smplh'], 0)
    stock = smplx.SMPLLayer(str(open_body_models / 'smpl'), gender='female', vertex_ids=points)
    ours = BODY_MODELS.build(dict(type='SMPLLayer', model_path=str(open_body_models), gender='female'))
    expected, out = stock(**pose), ours(**pose)
    assert_close(out.vertices, expected.vertices, atol=2e-6, rtol=0)
    assert_close(out.joints, expected.joints[:, :24], atol=2e-6, rtol=0)
    assert_close(ours.J_regressor @ ours(torch.eye(3).expand(1, 1, 3, 3), torch.eye(3).expand(1, 23, 3, 3)).vertices[0],
                 ours.rest_joints(torch.zeros(1, 10))[0], atol=1e-6, rtol=0)
    assert_close(ours.root_joint(pose['betas']), ours.rest_joints(pose['betas'])[:, 0])


@pytest.mark.parametrize('gender', GENDERS)
def test_the_matrix_takes_smplx_to_smpl(open_body_models, matrix, gender):
    """Fingers flat, jaw at rest: the same body in both layouts, for any pose, shape and gender."""
    smpl, body = (layer(open_body_models, gender) for layer in (SMPLLayer, SMPLXLayer))
    assert matrix.shape == (len(smpl.v_template), len(body.v_template))
    assert len(smpl.v_template) != len(body.v_template)
    orient, pose, betas, transl = rotations(1), rotations(21, seed=1), coefficients(), coefficients(1, 3)
    hands = torch.eye(3).expand(3, 2, 3, 3)
    out = smpl(orient, torch.cat([pose, hands], dim=1), betas, transl)
    whole = body(orient, pose, betas=betas, transl=transl)
    assert_close(torch.from_numpy(matrix).float() @ whole.vertices, out.vertices, atol=5e-6, rtol=0)
    assert_close(whole.joints[:, :22], out.joints[:, :22], atol=5e-6, rtol=0)
    roots = [JOINT_NAMES.index(f'{side}_middle1') for side in ('left', 'right')]
    assert_close(whole.joints[:, roots], out.joints[:, 22:], atol=5e-6, rtol=0)


def test_rows_are_barycentric(open_body_models, matrix):
    faces = {tuple(sorted(face)) for face in SMPLXLayer(open_body_models).faces.tolist()}
    assert (matrix >= 0).all() and (matrix.astype(np.float64).sum(axis=1) == 1).all()
    corners = [tuple(np.flatnonzero(row)) for row in matrix]
    blends = [found for found in corners if len(found) > 1]
    assert len(blends) > 0.2 * len(corners)
    assert set(blends) <= faces


def test_the_mesh_is_closed_and_faces_look_outwards(open_body_models):
    smpl = SMPLLayer(open_body_models)
    edges = np.sort(np.concatenate([smpl.faces[:, [0, 1]], smpl.faces[:, [1, 2]], smpl.faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    a, b, c = (smpl.v_template[smpl.faces[:, k]].double() for k in range(3))
    assert 40 < (a * torch.linalg.cross(b, c)).sum() / 6 * 1000 < 120
    assert_close(smpl.weights.sum(0), torch.ones(len(smpl.v_template)), atol=1e-5, rtol=0)


def test_joint_22_turns_the_left_fingers_alone(open_body_models):
    smpl = SMPLLayer(open_body_models)
    pose = torch.zeros(1, 24, 3)
    pose[0, 22, 2] = -0.8
    turn = axis_angle_to_rotmat(pose)
    flat = torch.eye(3).expand(1, 24, 3, 3)
    moved = (smpl(turn[:, :1], turn[:, 1:]).vertices - smpl(flat[:, :1], flat[:, 1:]).vertices).norm(dim=-1)[0] > 1e-6
    assert moved.any()
    assert smpl.v_template[moved, 0].min() > smpl.joint_template[20, 0]


def test_the_face_is_head_and_neck(open_body_models):
    ids = np.load(open_body_models / 'SMPL-X__FLAME_vertex_ids.npy')
    body = SMPLXLayer(open_body_models)
    assert ids.dtype.kind == 'i' and (np.diff(ids) > 0).all() and ids[-1] < len(body.v_template)
    assert body.v_template[:, 1].argmax() in ids
    assert body.v_template[ids, 1].min() > body.joint_template[9, 1]  # above the chest


def test_wrong_input_is_named(open_body_models, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'(?s)No SMPL model.*smpl.is.tue.mpg.de.*build_body_models.py'):
        SMPLLayer(tmp_path)
    with pytest.raises(BodyModelFileError, match=r'num_betas=11'):
        SMPLLayer(open_body_models, num_betas=11)
    with pytest.raises(ValueError, match="gender is 'child'"):
        SMPLLayer(open_body_models, 'child')
    with pytest.raises(BodyModelFileError, match='SMPL file with'):
        SMPLLayer(open_body_models / 'mano' / 'MANO_LEFT.pkl')
    smpl, flat = SMPLLayer(open_body_models), torch.eye(3)
    with pytest.raises(ValueError, match=r'body_pose has the shape \(1, 21, 3, 3\) instead of \(B, 23, 3, 3\)'):
        smpl(flat.expand(1, 1, 3, 3), flat.expand(1, 21, 3, 3))
    with pytest.raises(ValueError, match='num_betas=3'):
        smpl(flat.expand(1, 1, 3, 3), flat.expand(1, 23, 3, 3), torch.zeros(1, 3))


def test_an_older_folder_is_seen_and_gets_the_new_files(open_body_models, tmp_path, monkeypatch):
    old = [name for name in build.FILES if name.startswith(('smplx/', 'mano/', 'MANO'))]
    for name in old:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(open_body_models / name)
    (tmp_path / 'smplx/SMPLX_to_J14.npy').write_bytes(b'')
    (tmp_path / build.MANIFEST).write_text('{"version": 2, "files": {}}')
    with pytest.raises(FileNotFoundError, match='smpl/SMPL_NEUTRAL.pkl.*smplx2smpl.pkl missing.*build_body_models'):
        require_open_body_models(tmp_path)
    for name in build.FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name not in old:
            (tmp_path / name).symlink_to(open_body_models / name)
    assert build.missing_files(tmp_path) == [build.MANIFEST]  # whole, but of another version
    assert build.missing_files(open_body_models) == []


def test_official_files_load(open_body_models, tmp_path):
    """The licensed pickles have more keys, float64 and uint32."""
    content = load_pickle(open_body_models / 'smpl' / 'SMPL_MALE.pkl')
    extra = dict(content, J_regressor_prior=content['J_regressor'], vert_sym_idxs=np.arange(3), bs_type='lrotmin',
                 shapedirs=content['shapedirs'].astype(np.float64), pose_training_info=dict(gender='male'))
    (tmp_path / 'SMPL_MALE.pkl').write_bytes(pickle.dumps(extra, protocol=2))
    assert_close(SMPLLayer(tmp_path, 'male').directions, SMPLLayer(open_body_models, 'male').directions)
