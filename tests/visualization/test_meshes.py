"""Meshes over pictures, from the side, and in files."""
import cv2
import numpy as np
import pytest

from hmradapter.synthetic.renderer import RayCaster
from hmradapter.visualization.mesh_files import read_mesh, viewer_vertices, write_glb, write_obj, write_ply
from hmradapter.visualization.meshes import Mesh, fit_inside, hole_faces, overlay, render, side_view, vertex_normals

K = np.array([[200., 0, 40], [0, 200., 30], [0, 0, 1]])
BOX_FACES = np.array([[0, 2, 1], [1, 2, 3], [4, 5, 6], [5, 7, 6], [0, 1, 4], [1, 5, 4], [2, 6, 3], [3, 6, 7], [0, 4, 2],
                      [2, 4, 6], [1, 3, 5], [3, 7, 5]])


@pytest.fixture(scope='module')
def caster():
    return RayCaster('cpu')


def box(center, size=0.1, color=(1., 0, 0)):
    corners = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)]) * size / 2
    return Mesh(corners + center, BOX_FACES, color)


def test_overlay_touches_the_pixels_that_the_mesh_projects_to_and_no_others(caster):
    image = np.full((60, 80, 3), 100, np.uint8)
    drawn = overlay(image, [box((0.05, -0.02, 1.))], K, caster)
    changed = (drawn != image).any(2)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    # front face at z = 0.95: x 0..0.1 m, y -0.07..0.03 m
    assert columns[0] == pytest.approx(40, abs=1)
    assert columns[-1] == pytest.approx(40 + 200 * 0.1 / 0.95, abs=1)
    assert rows[0] == pytest.approx(30 - 200 * 0.07 / 0.95, abs=1)
    assert rows[-1] == pytest.approx(30 + 200 * 0.03 / 0.95, abs=1)
    b, g, r = drawn[30, 50].astype(int)
    assert r > 100 > max(b, g)  # images are BGR, colours are RGB


def test_the_nearer_mesh_hides_the_farther_whatever_the_order(caster):
    near, far = box((0, 0, 1.), color=(1., 0, 0)), box((0, 0, 2.), 0.15, color=(0, 0, 1.))
    image = np.zeros((60, 80, 3), np.uint8)
    one, other = overlay(image, [near, far], K, caster), overlay(image, [far, near], K, caster)
    np.testing.assert_array_equal(one, other)
    assert one[30, 40, 2] > 100 and one[30, 40, 0] == 0


def test_pictures_do_not_depend_on_the_scale_of_the_scene_or_on_great_distances(caster):
    near = render([box((0, 0, 1.))], K, (80, 60), caster)
    far = render([Mesh(box((0, 0, 1.)).vertices * 3000, BOX_FACES, (1., 0, 0))], K, (80, 60), caster)
    assert np.abs(near - far).max() < 1e-3
    assert near[30, 40, 3] == 1


def test_meshes_outside_the_picture_behind_the_camera_or_not_finite_leave_the_picture_alone(caster):
    image = np.full((60, 80, 3), 7, np.uint8)
    broken = Mesh(np.full((8, 3), np.nan), BOX_FACES)
    for mesh in (box((5, 0, 1.)), box((0, 0, -1.)), box((0, 0, 0.)), broken):
        np.testing.assert_array_equal(overlay(image, [mesh], K, caster), image)
    np.testing.assert_array_equal(overlay(image, [], K, caster), image)


def test_side_view_shows_the_whole_mesh_from_its_side(caster):
    long = Mesh(box((3, 2, 40.)).vertices * (1, 1, 1) + 0, BOX_FACES)
    picture = side_view(long, 64, caster)
    ground = picture[0, 0]
    seen = (np.abs(picture.astype(int) - ground) > 8).any(2)
    assert seen[32, 32] and not seen[0].any() and not seen[:, 0].any()
    flat = Mesh(long.vertices * (1, 1, 0) + (0, 0, 1), BOX_FACES)  # no depth: edge on, nothing to see from the side
    assert (np.abs(side_view(flat, 64, caster).astype(int) - ground) > 8).any(2).sum() < seen.sum() / 3


def test_vertex_normals_point_outwards():
    mesh = box((0, 0, 0))
    normals = vertex_normals(mesh.vertices, mesh.faces)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert ((normals * mesh.vertices).sum(1) > 0).all()


def test_closing_a_hole_gives_a_watertight_mesh():
    mesh = box((0, 0, 0))
    opened = Mesh(mesh.vertices, mesh.faces[2:])
    added = hole_faces(opened.faces)
    assert len(added) == 2
    edges = [(a, b) for face in opened.closed().faces.tolist() for a, b in zip(face, face[1:] + face[:1], strict=True)]
    assert len(set(edges)) == len(edges)
    assert all((b, a) in set(edges) for a, b in edges)
    assert len(hole_faces(mesh.faces)) == 0


def test_glb_obj_and_ply_reload_with_the_same_bounds_and_numbers(tmp_path):
    mesh = box((0.0123456789, -0.2, 0.7))
    write_glb(tmp_path / 'm.glb', {'hand': mesh})
    write_obj(tmp_path / 'm.obj', mesh)
    write_ply(tmp_path / 'm.ply', mesh)
    expected = viewer_vertices(mesh.vertices)
    for file in ('m.glb', 'm.obj', 'm.ply'):
        loaded = read_mesh(tmp_path / file)
        np.testing.assert_array_equal(np.float32(loaded.bounds), np.stack([expected.min(0), expected.max(0)]))
        np.testing.assert_array_equal(np.float32(loaded.vertices), expected)
        np.testing.assert_array_equal(loaded.faces, mesh.faces)
    assert expected[:, 2].max() < 0  # before the camera is at negative z in viewers


def test_glb_keeps_several_named_meshes(tmp_path):
    write_glb(tmp_path / 'two.glb', {'left': box((-0.2, 0, 1)), 'right': box((0.2, 0, 1))})
    loaded = read_mesh(tmp_path / 'two.glb')
    assert len(loaded.vertices) == 16
    assert (tmp_path / 'two.glb').read_bytes()[:4] == b'glTF'


def test_fit_inside_shrinks_but_never_enlarges():
    assert fit_inside(np.zeros((100, 400, 3), np.uint8), 200).shape == (50, 200, 3)
    assert fit_inside(np.zeros((10, 20, 3), np.uint8), 200).shape == (10, 20, 3)
    assert fit_inside(np.zeros((1, 4000, 3), np.uint8), 200).shape == (1, 200, 3)


def test_nothing_needs_a_display(monkeypatch, caster):
    monkeypatch.delenv('DISPLAY', raising=False)
    assert render([box((0, 0, 1.))], K, (8, 6), caster).shape == (6, 8, 4)
    assert cv2.imencode('.png', side_view(box((0, 0, 1.)), 16, caster))[0]
