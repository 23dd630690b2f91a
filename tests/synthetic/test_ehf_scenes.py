"""The open EHF: its fixed camera, meshes, keypoints and boxes agree; runs go on."""
import dataclasses
import hashlib
import json

import cv2
import numpy as np
import pytest

from hmradapter.body_models import SMPLXLayer
from hmradapter.synthetic.ehf_scenes import EHFRecipe, generate_ehf, make_frame
from hmradapter.synthetic.openpose import keypoints
from hmradapter.synthetic.people import PARTS
from hmradapter.synthetic.renderer import RayCaster
from hmradapter.synthetic.scene import Scene

# EHF's camera as the readers of the real data set have it, in their words
R = cv2.Rodrigues(np.array([-2.98747896, 0.01172457, -0.05704687]))[0]
T = np.array([-0.03609917, 0.43416458, 2.37101226])
FOCAL, CENTRE = 1498.22426237, np.array([790.263706, 578.90334])


@pytest.fixture(scope='module')
def recipe(open_body_models):
    return EHFRecipe(frames=2, subjects=1, seed=4, body_models=str(open_body_models))


@pytest.fixture(scope='module')
def ehf(recipe, tmp_path_factory):
    out = tmp_path_factory.mktemp('ehf') / 'data'
    assert generate_ehf(recipe, out)['images'] == 2
    return out


def read_ply(path):
    header, body = path.read_bytes().split(b'end_header\n', 1)
    count = int(header.split(b'element vertex ')[1].split()[0])
    return np.frombuffer(body, '<f4', 3 * count).reshape(-1, 3).astype(np.float64), body[12 * count:]


def project(points):
    camera = points @ R.T + T
    return FOCAL * camera[:, :2] / camera[:, 2:] + CENTRE


def test_files_have_ehfs_names_and_sizes(ehf, open_body_models):
    of_frames = {f'{k}_{what}' for k in ('01', '02') for what in ('img.png', 'align.ply', '2Djnt.json')}
    assert {path.name for path in ehf.iterdir()} == {'EHF.json', 'open_world.json', *of_frames}
    assert cv2.imread(str(ehf / '01_img.png')).shape == (1200, 1600, 3)
    vertices, faces = read_ply(ehf / '01_align.ply')
    body = SMPLXLayer(open_body_models)
    assert len(vertices) == len(body.v_template)
    assert (np.frombuffer(faces, np.dtype([('n', 'u1'), ('ids', '<i4', 3)]))['ids'] == body.faces).all()


def test_the_camera_leads_from_the_mesh_to_the_keypoints(ehf, open_body_models):
    """Wrists, fingertips and the nose of the mesh lie on the written keypoints to 0.01 px."""
    body = SMPLXLayer(open_body_models)
    vertices = read_ply(ehf / '01_align.ply')[0]
    person = json.loads((ehf / '01_2Djnt.json').read_text())['people'][0]
    assert {name: len(values) for name, values in person.items()} == dict(
        pose_keypoints_2d=75, face_keypoints_2d=210, hand_left_keypoints_2d=63, hand_right_keypoints_2d=63)
    points = {part: np.array(values).reshape(-1, 3) for part, values in person.items()}
    pixels = project(vertices)
    extra = body.extra_ids.numpy()  # nose first, fingertips last: left thumb to pinky, right thumb to pinky
    tips = [4, 8, 12, 16, 20]
    for mesh, told in ((pixels[extra[11:16]], points['hand_left_keypoints_2d'][tips]),
                       (pixels[extra[16:]], points['hand_right_keypoints_2d'][tips]),
                       (pixels[extra[:1]], points['pose_keypoints_2d'][:1])):
        np.testing.assert_allclose(mesh, told[:, :2], atol=0.01)
        assert (told[:, 2] == 1).all()


def test_the_person_stands_upright_and_whole_where_the_mesh_says(ehf):
    for name in ('01', '02'):
        vertices = read_ply(ehf / f'{name}_align.ply')[0]
        pixels = project(vertices)
        assert (pixels > 0).all() and (pixels < (1600, 1200)).all()
        assert pixels[vertices[:, 1].argmax(), 1] < pixels[vertices[:, 1].argmin(), 1]  # scanner's y is up, the image's down


def test_the_moved_mesh_covers_the_persons_pixels(recipe, open_body_models, tmp_path, monkeypatch):
    """Cast anew from the written file; clothes and hair add a rim to what was photographed."""
    seen, photograph = [], Scene.photograph
    monkeypatch.setattr(Scene, 'photograph', lambda *args: seen.append(photograph(*args)) or seen[-1])
    make_frame(recipe, tmp_path, '01')
    person = np.isin(seen[0][1], [PARTS.index(name) for name in ('body', 'left', 'right', 'head')])
    vertices = read_ply(tmp_path / '01_align.ply')[0] @ R.T + T
    K = np.array([[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]], [0, 0, 1]])
    mesh = RayCaster('cpu').cast(vertices, SMPLXLayer(open_body_models).faces, K, (1600, 1200)).mask
    assert (mesh & person).sum() > 0.99 * mesh.sum()
    assert (mesh & person).sum() > 0.9 * person.sum()


def test_boxes_enclose_their_keypoints(ehf):
    content = json.loads((ehf / 'EHF.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['01_img.png', '02_img.png']
    for image, entry in zip(content['images'], content['annotations'], strict=True):
        assert entry['image_id'] == image['id']
        x, y, w, h = entry['body_bbox']
        for name in ('lefthand_bbox', 'righthand_bbox', 'face_bbox'):
            a, b, c, d = entry[name]
            assert c > 5 and d > 5 and x <= a and y <= b and a + c <= x + w + 0.01 and b + d <= y + h + 0.01


def test_a_lost_file_is_made_again_bit_for_bit(recipe, ehf):
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in ehf.iterdir()}
    (ehf / '02_img.png').unlink()
    (ehf / 'EHF.json').unlink()
    assert generate_ehf(recipe, ehf)['images'] == 1
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in ehf.iterdir()} == before
    with pytest.raises(ValueError, match='seed: 4 there, 5 now'):
        generate_ehf(dataclasses.replace(recipe, seed=5), ehf)


def test_what_lies_outside_is_not_detected():
    pixels = np.array([(5.0, 5.0), (-1, 5), (5, 10.5)])
    assert keypoints(pixels, (0, 1, 2), (10, 11)).tolist() == [[5, 5, 1], [0, 0, 0], [0, 0, 0]]


def test_bad_recipes_of_ehf_are_named():
    with pytest.raises(ValueError, match='at least 1'):
        EHFRecipe(frames=0)
