"""tools/demo.py on people: pictures, videos and every kind of bad input, with tiny experts of random weights."""
import importlib.util
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from chromium import Opened
from tiny_experts import write_adapters, write_dual_path, write_experts

from hmradapter.apis import load_prediction
from hmradapter.apis.person_run import PersonSettings, PictureRun
from hmradapter.apis.sources import Frame, FrameSource, open_source
from hmradapter.apis.video_motion import load_motions
from hmradapter.visualization.bvh import read_bvh
from hmradapter.visualization.mesh_files import read_mesh, viewer_vertices
from hmradapter.visualization.video import VideoWriter

TOOL = Path(__file__).parents[2] / 'tools' / 'demo.py'
spec = importlib.util.spec_from_file_location('demo_of_persons', TOOL)
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)

BOX, OTHER = [60, 20, 150, 220], [170, 30, 260, 230]
TWO = '60,20,150,220;170,30,260,230'


@pytest.fixture(scope='module')
def config(open_body_models, tmp_path_factory):
    """A dual path with adapters, as a file."""
    folder = tmp_path_factory.mktemp('dual_path')
    parts = write_experts(folder, Path(open_body_models).resolve())
    return write_dual_path(folder / 'tiny.py', parts, write_adapters(parts, folder))


@pytest.fixture
def run(config, tmp_path, capsys):
    """Run the tool; returns (exit status, stdout, stderr)."""
    def call(source, *arguments, boxes=None):
        if boxes is not None:
            (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
            arguments = ('--bboxes', tmp_path / 'boxes.json', *arguments)
        status = demo.main([str(source), '--config', str(config), '--out-dir', str(tmp_path / 'out'), '--device', 'cpu',
                            *map(str, arguments)])
        output = capsys.readouterr()
        return status, output.out, output.err
    return call


@pytest.fixture
def photo(tmp_path, picture):
    cv2.imwrite(str(tmp_path / 'photo.png'), picture)
    return tmp_path / 'photo.png'


@pytest.fixture
def clip(tmp_path, picture):
    """12 frames of a picture that moves."""
    with VideoWriter(tmp_path / 'clip.mp4', 12) as video:
        for k in range(12):
            video.write(np.roll(picture, 3 * k, axis=1))
    return tmp_path / 'clip.mp4'


@pytest.fixture
def output(tmp_path):
    return tmp_path / 'out'


@pytest.fixture
def page(browser, output):
    """`page()` opens the run's page; nothing may go wrong in there, and no request leave the disk."""
    tabs = []

    def open_page():
        tabs.append(Opened(browser, output / 'index.html'))
        return tabs[-1]
    yield open_page
    for tab in tabs:
        assert tab.errors == [] and all(url.startswith(('file:', 'data:')) for url in tab.requests)
        tab.close()


def names(folder):
    return {path.name for path in folder.iterdir() if path.is_file()}


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file() and path.suffix != '.html'}


def test_a_folder_with_bad_files_and_boxes(run, tmp_path, output, picture):
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a.jpg', 'b.png', 'c.jpg'):
        cv2.imwrite(str(folder / name), picture)
    jpeg = (folder / 'a.jpg').read_bytes()
    (folder / 'cut.jpg').write_bytes(jpeg[:len(jpeg) // 2])
    (folder / 'text.jpg').write_text('hello')
    boxes = {'a.jpg': [BOX, OTHER, [float('nan'), 0, 9, 9]], 'b.png': [dict(xyxy=BOX)], 'c.jpg': [],
             'cut.jpg': [BOX], 'text.jpg': [BOX], 'gone.jpg': [BOX]}
    status, out, err = run(folder, '--batch-size', 2, boxes=boxes)
    assert status == 1
    for message in ('a.jpg: person 2: box [nan, 0, 9, 9] is not four finite', 'cut.jpg: it is no usable image',
                    'text.jpg: it is no usable image', 'gone.jpg: is in the boxes file, but not among the images'):
        assert message in err, message
    assert '2 of 5 images done (0 unchanged), 4 errors' in out
    files = {'a': ['.json', '.npz', '.glb', '_0.obj', '_0.ply', '_1.obj', '_1.ply', '_overlay.jpg', '_side.jpg'],
             'b': ['.json', '.npz', '.glb', '_0.obj', '_0.ply', '_overlay.jpg', '_side.jpg'],
             'c': ['.json', '.npz', '_overlay.jpg']}
    assert names(output) == {'index.html', *(stem + ending for stem, endings in files.items() for ending in endings)}
    for suffix in ('.json', '.npz'):
        people = load_prediction(output / f'a{suffix}')
        assert [person.box_xyxy.tolist() for person in people] == [BOX, OTHER]
        for i, person in enumerate(people):
            for kind in ('obj', 'ply'):
                mesh = read_mesh(output / f'a_{i}.{kind}')
                np.testing.assert_allclose(mesh.vertices, viewer_vertices(person.vertices_camera), atol=1e-6)
            stored = trimesh.load(output / 'a.glb', process=False).geometry[f'person_{i}'].vertices
            np.testing.assert_allclose(stored, viewer_vertices(person.vertices_camera), atol=1e-6)
    assert load_prediction(output / 'c.json') == []
    page = (output / 'index.html').read_text()
    assert 'Could not be used' in page and 'No person was given for this image.' in page
    links = re.findall(r'href="([^"]+)"', page)
    assert links and all((output / link).is_file() for link in links)

    before = times(output)  # again: nothing to do, the same errors
    status, out, again = run(folder, '--batch-size', 2, boxes=boxes)
    assert status == 1 and '2 of 5 images done (3 unchanged), 4 errors' in out
    assert times(output) == before and (output / 'index.html').read_text() == page
    assert sorted(line for line in again.splitlines() if line.startswith('error')) == sorted(
        line for line in err.splitlines() if line.startswith('error'))


def test_a_changed_option_a_lost_file_and_overwrite_do_it_again(run, photo, output):
    assert run(photo, '--bboxes', TWO)[0] == 0
    assert '(1 unchanged)' in run(photo, '--bboxes', TWO)[1]
    assert '(0 unchanged)' in run(photo, '--bboxes', TWO, '--formats', 'glb')[1]
    assert names(output) == {'index.html', 'photo.json', 'photo.npz', 'photo.glb', 'photo_overlay.jpg', 'photo_side.jpg'}
    assert '(0 unchanged)' in run(photo, '--bboxes', TWO, '--formats', 'glb', '--focal', 900)[1]
    person = load_prediction(output / 'photo')[0]
    assert person.camera.source == 'given' and person.camera.K[0, 0] == 900
    for file in (output / 'photo_side.jpg', next((output / 'index_files').glob('frame-*'))):
        file.unlink()
        assert '(0 unchanged)' in run(photo, '--bboxes', TWO, '--formats', 'glb', '--focal', 900)[1] and file.is_file()
    assert '(0 unchanged)' in run(photo, '--bboxes', TWO, '--formats', 'glb', '--focal', 900, '--overwrite')[1]


def test_without_rendering_there_are_meshes_and_parameters_only(run, photo, output):
    assert run(photo, '--bboxes', TWO, '--no-render')[0] == 0
    assert names(output) == {'index.html', 'photo.json', 'photo.npz', 'photo.glb', 'photo_0.obj', 'photo_0.ply', 'photo_1.obj',
                             'photo_1.ply'}
    assert not (output / 'index_files').exists() and '<img' not in (output / 'index.html').read_text()


def test_the_page_of_a_comparison_in_a_browser(run, photo, output, page):
    status, _, err = run(photo, '--compare-base')
    assert status == 0, err
    person, = load_prediction(output / 'photo')
    assert person.flags[0] == 'whole_image' and person.score == 0
    assert {'photo_combined_overlay.jpg', 'photo_combined_side.jpg'} <= names(output)
    assert (cv2.imread(str(output / 'photo_combined_overlay.jpg')) != cv2.imread(str(output / 'photo_overlay.jpg'))).any()
    opened = page()
    text = opened.scene().inner_text()
    assert 'ours' in text and 'experts combined' in text
    captions = opened.tab.locator('figcaption').all_inner_texts()
    assert captions == ['input', 'experts combined', 'ours', 'experts combined from the side', 'ours from the side']
    assert 'Nobody was detected' in opened.tab.content()


def test_a_video_becomes_a_film_an_animation_motion_and_arrays(run, clip, output, page):
    status, out, err = run(clip, '--bboxes', TWO)
    assert status == 0, err
    assert names(output) == {'index.html', 'clip.mp4', 'clip.glb', 'clip_0.bvh', 'clip_1.bvh', 'clip.json', 'clip.npz',
                             'clip_input.jpg', 'clip_overlay.jpg'}
    frames = [frame.image for frame in open_source(output / 'clip.mp4')]
    assert len(frames) == 12 and frames[0].shape[1] > 320  # the side views stand beside the picture
    assert len(trimesh.load(output / 'clip.glb').geometry) == 2
    motions = load_motions(output / 'clip.npz')
    assert [len(motion) for motion in motions] == [12, 12] and [motion.name for motion in motions] == ['person_0', 'person_1']
    for number, motion in enumerate(motions):
        bvh = read_bvh(output / f'clip_{number}.bvh')
        assert len(bvh.rotations) == 12 and bvh.frame_time == pytest.approx(1 / 12, rel=1e-3)
        turned = np.diag([1, -1, -1]) @ motion.global_orient
        np.testing.assert_allclose(bvh.rotations[:, 0], turned, atol=1e-4)
    assert page().scene().locator('input[type=range]').count() == 1

    before = times(output)
    assert '1 of 1 videos done (1 unchanged)' in run(clip, '--bboxes', TWO)[1] and times(output) == before
    assert '(0 unchanged)' in run(clip, '--bboxes', TWO, '--smooth', 'none', '--no-render')[1]
    assert 'clip.mp4' not in names(output) and 'clip_overlay.jpg' not in names(output)
    raw = load_motions(output / 'clip.npz')
    step = [np.linalg.norm(np.diff(m[0].global_orient, 2, axis=0)) for m in (motions, raw)]
    assert step[0] < step[1]  # smoother


@pytest.mark.parametrize('content, message', [
    (b'', 'no frame can be read from it as a video (0 bytes)'), (b'hello', 'no frame can be read from it as a video')])
def test_a_video_without_frames_is_an_error(run, tmp_path, output, content, message):
    (tmp_path / 'void.mp4').write_bytes(content)
    status, out, err = run(tmp_path / 'void.mp4')
    assert status == 1 and message in err and names(output) == {'index.html'}


def test_a_camera_runs_until_it_is_stopped(config, picture, output):
    class Camera(FrameSource):
        """Two pictures, then Ctrl-C."""

        def __init__(self):
            super().__init__(())
            self.is_stream = True

        def __iter__(self):
            for k in range(2):
                yield Frame(f'webcam_0_{k:06d}', np.roll(picture, k, 1), k, float(k), None, 'webcam:0')
            raise KeyboardInterrupt

    run = PictureRun(PersonSettings(str(config), output, device='cpu', detector='whole_image', formats=('glb',)), Camera())
    page = run.process().read_text()
    assert run.errors == [] and run.done == 2 and 'webcam_0_000001' in page
    assert {'webcam_0_000000.glb', 'webcam_0_000001.json'} <= names(output)


def test_the_page_of_a_long_run_has_pictures_of_the_first_ones(config, picture, tmp_path, output, monkeypatch):
    monkeypatch.setattr('hmradapter.apis.person_run.PAGE_PICTURES', 1)
    images = [tmp_path / f'{name}.png' for name in 'ab']
    for image in images:
        cv2.imwrite(str(image), picture)
    run = PictureRun(PersonSettings(str(config), output, device='cpu', detector='whole_image'), open_source(images))
    page = run.process().read_text()
    assert page.count('data-scene') == 1 and page.count('<img') == 3 and page.count('<section') == 2
    assert (output / 'b_overlay.jpg').is_file()


@pytest.mark.parametrize('arguments, message', [
    (['nowhere'], 'nowhere does not exist'), (['{empty}'], 'holds no image'), (['https://example.org/a.jpg'], 'it is a URL'),
    (['{photo}', '--bboxes', '1,2,3'], 'four numbers'), (['{photo}', '--bboxes', 'no.json'], 'no.json does not exist'),
    (['{photo}', '--hand', 'left', '--adapter', 'x'], '--adapter, --hand: for hands only'),
    (['{photo}', '--weights', 'body_expert'], 'must be NAME=FILE'),
    (['{photo}', '--weights', 'foot=x.pth'], "weights has ['foot']"),
    (['{photo}', '--formats', 'glb,stl'], "formats has ['stl']"),
    (['{photo}', '--detector', 'nobody'], "det_model is 'nobody'"),
    (['{photo}', '--focal', '-3'], 'positive'),
    (['{photo}', '--device', 'abacus'], "device 'abacus'")])
def test_what_stops_the_whole_run_is_one_clear_line(run, photo, tmp_path, request, arguments, message):
    (tmp_path / 'empty').mkdir()
    places = dict(empty=tmp_path / 'empty', photo=photo)
    if '{clip}' in arguments:
        places['clip'] = request.getfixturevalue('clip')
    status, _, err = run(*(argument.format(**places) for argument in arguments))
    assert status == 2 and message in err and 'Traceback' not in err
    assert not (tmp_path / 'out').exists()


def test_options_of_persons_are_refused_with_the_config_of_a_hand_expert(weights, photo, capsys):
    status = demo.main([str(photo), '--config', weights.config, '--no-render', '--smooth', 'none'])
    assert status == 2 and '--no-render, --smooth: for persons only' in capsys.readouterr().err


def test_outputs_never_lie_among_the_inputs(tmp_path, capsys):
    folder = tmp_path / 'mine'
    folder.mkdir()
    cv2.imwrite(str(folder / 'a.png'), np.full((60, 80, 3), 90, np.uint8))
    before = sorted(path.name for path in folder.iterdir())
    for source in (folder, folder / 'a.png'):
        assert demo.main([str(source), '--out-dir', str(folder)]) == 2
        assert 'where the input lies' in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_video_that_the_boxes_file_does_not_name_is_an_error(run, clip):
    status, _, err = run(clip, '--no-render', boxes={'other.mp4': [[0, 0, 50, 50]]})
    assert status == 1 and "the boxes file does not name it, but ['other.mp4']" in err


def test_a_film_of_a_comparison_shows_both(run, clip, output, page):
    assert run(clip, '--formats', 'glb')[0] == 0
    alone = next(iter(open_source(output / 'clip.mp4'))).image
    assert run(clip, '--formats', 'glb', '--compare-base')[0] == 0
    both = [frame.image for frame in open_source(output / 'clip.mp4')]
    width = next(iter(open_source(clip))).image.shape[1]
    assert both[0].shape[1] >= alone.shape[1] + width
    combined, ours = both[0][:, :width], both[0][:, -alone.shape[1]:][:, :width]
    assert np.abs(combined.astype(int) - ours).max() > 30  # the adapters of the tiny experts do something
    assert 'experts combined' in (output / 'index.html').read_text()
