"""3D views of the page: what is stored, and what a real browser makes of it (Chromium, from disk, without a network)."""
import json
import re

import numpy as np
import pytest
from chromium import Opened

from hmradapter.visualization.meshes import Mesh
from hmradapter.visualization.report import Figure, Page, Section
from hmradapter.visualization.viewer import Frame3D, Scene3D, scene_folder, store_scene
from hmradapter.visualization.viewer.packing import MAX_ERROR, pack_faces, pack_vertices, unpack

SIZE = (320, 240)
K = np.array([[400., 0, 100], [0, 380., 150], [0, 0, 1]])  # the principal point far from the centre, pixels not square
QUAD = np.array([[0, 1, 2], [0, 2, 3]])
RED, BLUE = (1., 0, 0), (0, 0, 1.)


def rectangle(x0, y0, x1, y1, depth=3., color=RED):
    """A flat mesh that covers the pixels' area from corner (x0, y0) to (x1, y1) of the picture."""
    corners = np.array([[x0, y0, 1], [x0, y1, 1], [x1, y1, 1], [x1, y0, 1]], float) - (0.5, 0.5, 0)
    return Mesh(depth * corners @ np.linalg.inv(K).T, QUAD, color)


def scene(**kwargs) -> Scene3D:
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    picture[160:200, 200:280] = (0, 255, 0)
    meshes = {'ours': [rectangle(40, 60, 120, 100)], 'experts <combined>': [rectangle(60, 100, 140, 140, color=BLUE)]}
    return Scene3D.still(meshes, K, SIZE, picture, **kwargs)


def video(count: int) -> Scene3D:
    frames = [Frame3D({'ours': [rectangle(20 + 4 * i, 60, 60 + 4 * i, 100)]}) for i in range(count)]
    return Scene3D(frames, K, SIZE, fps=50.)


# what is stored

def test_coordinates_are_stored_to_a_twentieth_of_a_millimetre():
    rng = np.random.default_rng(0)
    person = rng.uniform((-1, -1, 30), (1, 1, 31), (500, 3))
    packed = json.loads(json.dumps(pack_vertices(person)))
    assert packed['type'] == 'u2'
    assert np.linalg.norm(unpack(packed) - person, axis=1).max() < 3e-5 < MAX_ERROR
    flat = np.array([[1., 2, 3], [2, 2, 3], [1, 2, 4]])
    np.testing.assert_allclose(unpack(pack_vertices(flat)), flat, atol=1e-9)
    huge = (person * 100).astype(np.float32)
    np.testing.assert_array_equal(unpack(pack_vertices(huge)), huge)


@pytest.mark.parametrize('top', [65535, 65536])
def test_triangles_are_stored_exactly(top):
    faces = np.array([[0, 1, top], [3, top, 2]])
    np.testing.assert_array_equal(unpack(pack_faces(faces)), faces)


@pytest.mark.parametrize('change, message', [
    (dict(K=np.zeros((3, 3))), 'positive focal lengths'),
    (dict(size=(0, 10)), 'whole pixels'),
    (dict(meshes={}), 'no mesh in any frame'),
    (dict(meshes={'a': [Mesh(np.full((4, 3), np.nan), QUAD)]}), "mesh 0 of variant 'a' has vertices"),
    (dict(meshes={'a': [Mesh(np.zeros((3, 3)), QUAD)]}), 'its 3 vertices'),
    (dict(meshes={'a': [Mesh(np.zeros((4, 3)), QUAD, (255, 0, 0))]}), r'colours are \(r, g, b\) in 0..1'),
    (dict(picture=np.zeros((4, 4))), 'uint8 BGR'),
])
def test_what_cannot_be_shown_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Scene3D.still(**{**dict(meshes={'a': [rectangle(0, 0, 9, 9)]}, K=K, size=SIZE), **change})
    with pytest.raises(ValueError, match='fps is 0'):
        Scene3D([Frame3D({'a': [rectangle(0, 0, 9, 9)]})], K, SIZE, fps=0)


def test_files_are_shared_kept_and_cleared_away(tmp_path):
    page, folder = tmp_path / 'index.html', scene_folder(tmp_path / 'index.html')
    Page('a', sections=[Section('1', scene=scene()), Section('2', scene=video(3))]).write(page)
    kinds = sorted(path.name.split('-')[0] for path in folder.iterdir())
    assert kinds == ['faces', *['frame'] * 4, 'three', 'viewer']  # triangles once
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / 'notes.js').write_text('mine')
    (folder / '.frame-x.js.partial-1').write_text('killed')
    Page('a', sections=[Section('1', scene=scene())]).write(page)
    left = {path for path in folder.iterdir() if path.name != 'notes.js'}
    assert len(left) == 4 and all(path.stat().st_mtime_ns == times[path] for path in left) and (folder / 'notes.js').exists()
    assert all((tmp_path / name).exists() for name in re.findall(r'src="([^"]+\.js)"', page.read_text()))
    Page('a', sections=[Section('1')]).write(page)
    assert [path.name for path in folder.iterdir()] == ['notes.js'] and '<script' not in page.read_text()


def test_a_page_stays_as_it_was_when_its_views_cannot_be_stored(tmp_path, monkeypatch):
    page = tmp_path / 'index.html'
    Page('old', sections=[Section('1', scene=scene())]).write(page)
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    elsewhere = store_scene(scene(), tmp_path / 'other')
    with pytest.raises(ValueError, match="scene of 'x' is stored in .*other"):
        Page('new', sections=[Section('1', scene=video(2)), Section('x', scene=elsewhere)]).write(page)
    assert all(path.read_bytes() == content for path, content in before.items())
    with pytest.raises(ValueError, match='use Page.write'):
        Page('new', sections=[Section('1', scene=scene())]).html()


# what a browser makes of it

@pytest.fixture
def opened(browser, tmp_path):
    """`opened(sections)` writes a page and opens it; at the end nothing may have gone wrong, and no request left the disk."""
    tabs = []

    def open_page(sections, **options):
        Page('Results', sections=sections).write(tmp_path / 'a b' / 'index.html')
        tabs.append(Opened(browser, tmp_path / 'a b' / 'index.html', **options))
        return tabs[-1]
    yield open_page
    for tab in tabs:
        assert tab.errors == []
        assert tab.requests and all(url.startswith(('file:', 'data:')) for url in tab.requests)
        tab.close()


def place_of(mask: np.ndarray) -> np.ndarray:
    """x0, y0, x1, y1 of the area where a mask is true."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def coloured(image, channel):
    others = [i for i in range(3) if i != channel]
    return (image[..., channel] > 80) & (image[..., channel] > 1.5 * image[..., others].max(-1))


def blue(image):
    return coloured(image, 0)


def green(image):
    return coloured(image, 1)


def red(image):
    return coloured(image, 2)


def test_a_view_begins_where_the_picture_was_taken(opened):
    page = opened([Section('a & b.jpg', figures=[Figure('input', np.zeros((9, 9, 3), np.uint8))], scene=scene())])
    page.scene()
    image = page.pixels()
    height, width = image.shape[:2]
    scale = min(width / SIZE[0], height / SIZE[1])
    margin = np.array([width - scale * SIZE[0], height - scale * SIZE[1]] * 2) / 2
    for found, expected in ((red(image), (40, 60, 120, 100)), (green(image), (200, 160, 280, 200)),
                            (image[..., 3] > 128, (0, 0, *SIZE))):
        np.testing.assert_allclose(place_of(found), margin + scale * np.array(expected), atol=2.5)
    assert not blue(image).any()


def test_the_mouse_turns_the_wheel_zooms_after_a_click_and_reset_returns(opened):
    page = opened([Section('x', scene=scene())])
    place = page.scene()
    start = page.pixels()
    place.locator('canvas').hover()
    page.tab.mouse.wheel(0, -200)
    np.testing.assert_array_equal(page.pixels(), start)
    page.drag(0, 0)
    page.tab.mouse.wheel(0, -200)
    page.tab.wait_for_timeout(100)
    assert red(page.pixels()).sum() > 1.1 * red(start).sum()
    place.get_by_role('button', name='reset').click()
    np.testing.assert_array_equal(page.pixels(), start)
    page.drag(120, 0)
    turned = page.pixels()
    assert red(turned).sum() < 0.9 * red(start).sum()
    place.get_by_role('button', name='picture').click()
    assert not green(page.pixels()).any()
    for name in ('side', 'top'):
        place.get_by_role('button', name=name, exact=True).click()
        assert not np.array_equal(page.pixels(), turned)
    place.get_by_role('button', name='reset').click()
    place.get_by_role('button', name='picture').click()
    np.testing.assert_array_equal(page.pixels(), start)


def test_the_keyboard_turns_and_returns(opened):
    page = opened([Section('x', scene=scene())])
    page.scene().locator('canvas').focus()
    start = page.pixels()
    for key, shrinks in (('ArrowRight', True), ('ArrowUp', True), ('-', True), ('+', False)):
        for _ in range(4):
            page.tab.keyboard.press(key)
        now = red(page.pixels()).sum()
        assert now < 0.95 * red(start).sum() if shrinks else now > 1.05 * red(start).sum(), key
        page.tab.keyboard.press('0')
        np.testing.assert_array_equal(page.pixels(), start)


def test_variants_are_shown_one_by_one_and_side_by_side(opened):
    page = opened([Section('x', scene=scene())])
    place = page.scene()
    button = place.get_by_role('button', name='experts <combined>')
    button.click()
    image = page.pixels()
    assert blue(image).any() and not red(image).any() and button.get_attribute('aria-pressed') == 'true'
    place.get_by_role('button', name='side by side').click()
    both = page.pixels()
    half = both.shape[1] // 2
    assert red(both[:, :half]).any() and not red(both[:, half:]).any()
    assert blue(both[:, half:]).any() and not blue(both[:, :half]).any()
    np.testing.assert_allclose(place_of(green(both[:, :half])), place_of(green(both[:, half:])), atol=1)


def test_a_video_plays_and_its_slider_seeks(opened):
    page = opened([Section('x', scene=video(12))])
    place = page.scene()
    assert place.get_by_role('button', name='picture').count() == 0  # there is none
    first = place_of(red(page.pixels()))
    place.get_by_role('button', name='play').click()
    page.tab.wait_for_function('document.querySelector("output").textContent === "12 / 12"')
    last = place_of(red(page.pixels()))
    assert last[0] - first[0] == pytest.approx((last[2] - last[0]) * 44 / 40, abs=4)
    place.get_by_role('slider').fill('0')
    page.tab.wait_for_function('document.querySelector("output").textContent === "1 / 12"')
    np.testing.assert_array_equal(place_of(red(page.pixels())), first)


def test_a_long_page_holds_only_what_is_in_sight(opened):
    count = 40  # more than the contexts that a browser allows
    scenes = [Scene3D.still({'ours': [rectangle(20, 20, 60 + 4 * i, 99)]}, K, SIZE) for i in range(count)]
    page = opened([Section(f'{i}.jpg', scene=scene) for i, scene in enumerate(scenes)])
    page.scene()
    start = page.pixels()
    assert sum('/frame-' in url for url in page.requests) < 6
    page.scene(count - 1)
    assert red(page.pixels(page.tab.locator('.scene canvas').count() - 1)).any()
    page.tab.wait_for_function('document.querySelector(".scene").dataset.state === "waiting"')
    assert page.tab.evaluate('document.querySelector(".scene canvas").width') == 0
    page.scene()
    np.testing.assert_array_equal(page.pixels(), start)
    assert sum('/faces-' in url for url in page.requests) == 1


def test_a_dark_page_and_a_finger(opened):
    page = opened([Section('x', scene=scene())], color_scheme='dark', has_touch=True)
    place = page.scene()
    start = page.pixels()
    box = place.locator('canvas').bounding_box()
    page.tab.touchscreen.tap(box['x'] + 50, box['y'] + 50)
    assert place.locator('canvas').evaluate('canvas => canvas.style.touchAction') == 'none'
    client = page.tab.context.new_cdp_session(page.tab)
    for kind, x in (('touchStart', 200), ('touchMove', 260), ('touchMove', 320), ('touchEnd', None)):
        points = [] if x is None else [dict(x=box['x'] + x, y=box['y'] + 100)]
        client.send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=points))
    assert not np.array_equal(page.pixels(), start)


def test_without_scripts_the_page_says_what_is_missing(opened):
    page = opened([Section('x', scene=scene())], java_script_enabled=False)
    assert page.tab.get_by_text('needs a browser with scripts and WebGL').is_visible()


def test_without_webgl_the_page_says_so_and_has_no_error(launch, tmp_path):
    Page('Results', sections=[Section('x', scene=scene())]).write(tmp_path / 'index.html')
    browser = launch('--disable-3d-apis')
    page = Opened(browser, tmp_path / 'index.html')
    page.scene(state='unsupported')
    assert page.tab.get_by_text('needs a browser with scripts and WebGL').is_visible() and page.errors == []
    browser.close()


def test_a_missing_file_is_named(browser, tmp_path):
    Page('Results', sections=[Section('x', scene=scene())]).write(tmp_path / 'index.html')
    gone, = scene_folder(tmp_path / 'index.html').glob('frame-*')
    gone.unlink()
    page = Opened(browser, tmp_path / 'index.html')
    page.scene(state='failed')
    assert page.tab.get_by_text(f'index_files/{gone.name} is missing').is_visible()
    page.close()
