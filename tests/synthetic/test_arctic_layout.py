"""What the files say is what the pictures show: the scene is rebuilt from the files alone and compared."""
import json

import numpy as np
import pytest
import torch

from hmradapter.body_models import MANOLayer, SMPLXLayer, load_hand_vertex_ids
from hmradapter.fileio import load_object_npy
from hmradapter.geometry.cameras import project
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.synthetic.film import Film
from hmradapter.synthetic.generator import make_sequence
from hmradapter.synthetic.people import PARTS
from hmradapter.synthetic.renderer import RayCaster


def rotations(axis_angle):
    return axis_angle_to_rotmat(torch.from_numpy(axis_angle.reshape(len(axis_angle), -1, 3)))


def read_obj(path):
    lines = path.read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith('v ')], float)
    return vertices, np.array([line.split()[1:] for line in lines if line.startswith('f ')], int) - 1


class Release:
    """Reads a sequence as a stranger would, by data_doc.md of ARCTIC."""

    def __init__(self, root, body_models, sequence):
        self.root, self.sequence = root, sequence
        subject, name = sequence.split('/')
        self.misc = json.loads((root / 'meta' / 'misc.json').read_text())[subject]
        raw = {kind: load_object_npy(root / 'raw_seqs' / f'{sequence}.{kind}.npy') for kind in ('mano', 'smplx', 'egocam.dist')}
        self.mano, body, self.ego = raw['mano'], raw['smplx'], raw['egocam.dist']
        template = read_obj(root / 'meta' / 'subject_vtemplates' / f'{subject}.obj')[0]
        self.layer = SMPLXLayer(str(body_models / 'smplx'), self.misc['gender'], v_template=template)
        parts = {key: rotations(value) for key, value in body.items() if key != 'transl'}
        self.body = self.layer(transl=torch.from_numpy(body['transl']), **parts)
        self.pose = np.load(root / 'raw_seqs' / f'{sequence}.object.npy')
        folder = root / 'meta' / 'object_vtemplates' / name.split('_')[0]
        self.thing, self.thing_faces = read_obj(folder / 'mesh.obj')
        self.top = np.array(json.loads((folder / 'parts.json').read_text())) == 0

    def annotation(self, number):
        return number - self.misc['ioi_offset']

    def camera(self, view):
        return np.array(self.misc['intris_mat'][view - 1]), np.array(self.misc['world2cam'][view - 1])

    def object_vertices(self, t):
        """World, metres: the top turns about -z, then everything is turned and moved, in mm."""
        turns = rotations(np.stack([self.pose[t, 0] * np.array([0, 0, -1], np.float32), self.pose[t, 1:4]])).numpy()[:, 0]
        articulated = np.where(self.top[:, None], self.thing @ turns[0].T, self.thing)
        return (articulated @ turns[1].T + self.pose[t, 4:]) / 1000


@pytest.fixture(scope='module')
def release(tiny_arctic, open_body_models, tiny_recipe):
    return Release(tiny_arctic, open_body_models, tiny_recipe.split_sequences()['val'][0])


def test_hands_of_mano_are_the_bodys(release, open_body_models):
    ids = load_hand_vertex_ids(open_body_models / 'MANO_SMPLX_vertex_ids.pkl')
    for side, joints in (('left', [20, *range(25, 40)]), ('right', [21, *range(40, 55)])):
        hand, given = MANOLayer(str(open_body_models / 'mano'), side), release.mano[side]
        absolute = given['pose'] + hand.hand_mean.numpy()
        betas = torch.from_numpy(given['shape']).expand(len(absolute), -1)
        out = hand(rotations(given['rot']), rotations(absolute), betas, torch.from_numpy(given['trans']))
        vertex_ids = torch.from_numpy(np.asarray(ids[side]))
        whole = release.layer.weights[joints].sum(dim=0)[vertex_ids] > 0.999  # the wrist's ring hangs on the forearm too
        gap = (out.vertices - release.body.vertices[:, vertex_ids]).norm(dim=-1)
        assert whole.float().mean() > 0.9 and gap[:, whole].max() < 1e-4
        assert (out.joints - release.body.joints[:, joints]).norm(dim=-1).max() < 1e-4


def test_shapes_units_and_edges(release):
    count = 3 + 20
    assert release.pose.shape == (count, 7) and len(release.body.vertices) == count
    assert release.mano['right']['shape'].shape == (10,) and release.mano['right']['fitting_err'].shape == (count,)
    assert release.ego['R_k_cam_np'].shape == (count, 3, 3) and release.ego['T_k_cam_np'].shape == (count, 3, 1)
    assert np.array(release.misc['image_size']).tolist() == [[2800, 2000]] + [[240, 180]] * 8
    assert 300 < np.linalg.norm(release.pose[0, 4:]) < 3000  # mm
    first = release.annotation(10)
    assert first >= 0 and (release.pose[:first + 1] == release.pose[0]).all()  # held still before the first image
    assert not (release.pose[first] == release.pose[first + 1]).all()
    ahead = release.ego['R_k_cam_np'][0][2]
    assert ahead[1] < -0.5  # the person faces -y of the world


@pytest.mark.parametrize('view', [1, 5])
def test_the_files_give_back_the_picture(release, tiny_recipe, tmp_path, monkeypatch, view):
    """Labels of the renderer against labels cast from the files: hands and object agree but for outlines."""
    kept = []
    expose = Film.expose

    def spy(self, camera, light, backdrop):
        image, label = expose(self, camera, light, backdrop)
        kept.append((camera, self._part, label))
        return image, label

    monkeypatch.setattr(Film, 'expose', spy)
    make_sequence(tiny_recipe, tmp_path, release.sequence)
    frame, order = 1, tiny_recipe.views.index(view)
    camera, part, label = kept[frame * len(tiny_recipe.views) + order]
    K, world_to_cam = release.camera(view)
    t = release.annotation(10 + frame)
    vertices = np.concatenate([release.body.vertices[t].numpy(), release.object_vertices(t)])
    faces = np.concatenate([release.layer.faces, release.thing_faces + len(release.body.vertices[t])])
    local = vertices @ world_to_cam[:3, :3].T + world_to_cam[:3, 3]
    rebuilt = part[RayCaster('cpu').cast(local, faces, K, (240, 180)).face_id]
    for name in ('left', 'right', 'object'):
        ours, theirs = rebuilt == PARTS.index(name), label == PARTS.index(name)
        assert theirs.sum() > 30 and (ours & theirs).sum() / (ours | theirs).sum() > 0.93, name
    wrist = release.body.joints[t, [20, 21]]
    pixels = project(wrist @ torch.tensor(world_to_cam[:3, :3]).float().T + torch.tensor(world_to_cam[:3, 3]).float(),
                     torch.tensor(K).float())
    np.testing.assert_allclose(pixels.numpy(), camera.project(wrist.numpy()), atol=1e-2)


def test_visibility(release, tiny_arctic):
    table = np.load(tiny_arctic / 'meta' / 'visibility' / f'{release.sequence}.npz')
    assert table['views'].tolist() == [5, 1]
    rows = slice(release.annotation(10), release.annotation(13))
    for side in ('left', 'right'):
        for name in (side, f'{side}_inside'):
            assert table[name].shape == (23, 2) and (table[name] >= 0).all() and (table[name] <= 1).all()
            assert (np.delete(table[name], np.r_[rows], axis=0) == 0).all()
        assert (table[side][rows] > 0).any() and (table[f'{side}_inside'][rows] > 0.5).any()
    assert (table['left'][rows] < 0.99).any() or (table['right'][rows] < 0.99).any()  # something hides something
