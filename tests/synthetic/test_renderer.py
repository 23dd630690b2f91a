"""The ray caster against analytic shapes and against a plain double-precision intersection."""
import numpy as np
import pytest
import trimesh

from hmradapter.synthetic.renderer import RayCaster

K = np.array([[200.0, 0, 63.5], [0, 210.0, 47.5], [0, 0, 1]])
SIZE = (128, 96)


@pytest.fixture(scope='module')
def caster():
    return RayCaster('cpu')


def pixel_rays():
    u, v = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    return np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(K).T


def test_tilted_plane(caster):
    normal = np.array([0.2, -0.3, -1.0]) / np.linalg.norm([0.2, -0.3, -1.0])
    corners = np.array([[-5, -5, 0], [5, -5, 0], [5, 5, 0], [-5, 5, 0]], float)
    corners[:, 2] = 2 - (corners @ normal) / normal[2]
    hits = caster.cast(corners, np.array([[0, 1, 2], [0, 2, 3]]), K, SIZE)
    depth = 2 * normal[2] / (pixel_rays() @ normal)
    assert hits.mask.all()
    np.testing.assert_allclose(hits.depth, depth, atol=1e-4)
    np.testing.assert_allclose(hits.normal, np.broadcast_to(normal, hits.normal.shape), atol=1e-4)


def test_sphere(caster):
    ball = trimesh.creation.icosphere(subdivisions=6, radius=0.3)
    centre = np.array([0.05, -0.02, 1.5])
    hits = caster.cast(ball.vertices + centre, ball.faces, K, SIZE)
    rays = pixel_rays()
    a, b, c = (rays ** 2).sum(-1), rays @ centre, centre @ centre - 0.09
    inside = b ** 2 - a * c > 0.05 * a  # away from the rim, where a facet's error in depth grows without bound
    depth = (b - np.sqrt(np.maximum(b ** 2 - a * c, 0))) / a
    assert inside.sum() > 400 and hits.mask[inside].all()
    np.testing.assert_allclose(hits.depth[inside], depth[inside], atol=1e-4)
    smooth = hits.interpolate(ball.vertices / 0.3, ball.faces)
    np.testing.assert_allclose(smooth[inside], ((rays * depth[..., None] - centre) / 0.3)[inside], atol=1e-4)


def test_barycentric_weights_give_the_hit_point(caster):
    vertices = np.array([[-1, -1, 3], [1.5, -1, 2], [0, 1, 2.5]])
    faces = np.array([[0, 1, 2]])
    hits = caster.cast(vertices, faces, K, SIZE)
    assert 100 < hits.mask.sum() < hits.mask.size
    points = pixel_rays() * hits.depth[..., None]
    np.testing.assert_allclose(hits.interpolate(vertices, faces)[hits.mask], points[hits.mask], atol=1e-4)


def test_the_nearest_face_wins_and_depth_is_along_z(caster):
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    vertices = np.concatenate([square + [0, 0, 3], square * 0.2 + [0, 0, 2]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    hits = caster.cast(vertices, faces, K, SIZE)
    assert set(np.unique(hits.depth[hits.mask]).round(4)) == {2.0, 3.0}
    assert ((hits.face_id >= 2) == (np.abs(hits.depth - 2) < 1e-4)).all()


@pytest.mark.parametrize('bad, message', [
    (dict(faces=np.array([[0, 1, 9]])), 'there are 3'), (dict(vertices=np.full((3, 3), np.nan)), 'finite'),
    (dict(K=np.eye(3) * 0), 'intrinsic'), (dict(size=(0, 4)), 'at least 1 pixel')])
def test_bad_input_is_named(caster, bad, message):
    good = dict(vertices=np.eye(3), faces=np.array([[0, 1, 2]]), K=K, size=SIZE)
    with pytest.raises(ValueError, match=message):
        caster.cast(**{**good, **bad})
