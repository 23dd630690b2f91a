"""What pictures come from: every kind of source, good and bad, with real files; and boxes of persons that users give."""
import itertools
import json
import struct
import weakref
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmradapter.apis.inputs import InputError, person_boxes_of, read_person_boxes, read_picture
from hmradapter.apis.picture_files import picture_size
from hmradapter.apis.sources import FrameSource, open_source, picture_of_array
from hmradapter.datasets.images import ImageFileError


def write_video(path: Path, frames: list[np.ndarray], fps: float = 10, codec: str = 'MJPG') -> Path:
    height, width = frames[0].shape[:2] if frames else (48, 64)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (width, height))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture
def small(picture) -> np.ndarray:
    """(48, 64, 3) uint8 BGR."""
    return picture[:48, :64].copy()


@pytest.fixture
def images(tmp_path, small) -> Path:
    folder = tmp_path / 'images'
    folder.mkdir()
    for name in ('a.jpg', 'b.png', 'b.jpg', 'c.webp'):
        cv2.imwrite(str(folder / name), small)
    (folder / 'notes.txt').write_text('ignored')
    (folder / '.hidden.jpg').write_text('ignored')
    return folder


def only(inputs):
    frame, = open_source(inputs)
    return frame


def test_a_picture_a_folder_and_a_list_of_everything(images, small, tmp_path):
    frame = only(str(images / 'b.png'))
    assert (frame.name, frame.index, frame.time, frame.path, frame.error) == ('b', 0, None, images / 'b.png', None)
    np.testing.assert_array_equal(frame.image, small)
    source = open_source(images)
    assert len(source) == 4 and not source.is_stream
    assert [frame.name for frame in source] == ['a', 'b_jpg', 'b_png', 'c']
    video = write_video(tmp_path / 'walk.avi', [small] * 3)
    mixed = open_source([images, small, images / 'b.png', str(video), images / 'gone.png', 5, None, b'bytes'])
    frames = list(mixed)
    assert len(mixed) == len(frames) == 4 + 1 + 1 + 3 + 4
    names = [frame.name for frame in frames]
    assert len({name.casefold() for name in names}) == len(names)
    assert names[4] == 'array_000001' and names[6:9] == ['walk_000000', 'walk_000001', 'walk_000002']
    assert [frame.error is None for frame in frames] == [True] * 9 + [False] * 4
    assert 'does not exist' in frames[9].error and 'it is int' in frames[10].error and 'NoneType' in frames[11].error
    assert frames[9].source == str(images / 'gone.png')


def test_names_are_unique_whatever_files_are_called(tmp_path, small):
    paths = []
    for place in ('x/a.png', 'y/a.png', 'x/A.bmp', 'x/clip_000001.png', 'y/b.png', 'y/b.png'):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / place), small)
        paths.append(tmp_path / place)
    paths.append(write_video(tmp_path / 'clip.avi', [small] * 3))
    names = [frame.name for frame in open_source(paths)]
    assert names[:6] == ['x_a_png', 'y_a_png', 'A_bmp', 'clip_000001', 'y_b_png', 'y_b_png_2']
    assert names[6:] == [f'clip_avi_{i:06d}' for i in range(3)]


def test_two_iterations_give_the_same_frames(images, small, tmp_path):
    source = open_source([images, write_video(tmp_path / 'walk.avi', [small] * 2)])
    first, second = list(source), list(source)
    assert [frame.name for frame in first] == [frame.name for frame in second]
    assert all(np.array_equal(one.image, two.image) for one, two in zip(first, second, strict=True))


def test_one_picture_is_in_memory_at_a_time(images, small, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr('hmradapter.apis.sources.read_picture', lambda path: read.append(path) or small.copy())
    for frame in itertools.islice(open_source(images), 2):
        assert frame.error is None
    assert len(read) == 2  # of four
    monkeypatch.undo()
    alive = []
    for frame in open_source([images, write_video(tmp_path / 'walk.avi', [small] * 4)]):
        alive = [reference for reference in alive if reference() is not None]
        alive.append(weakref.ref(frame.image))
        assert len(alive) <= 2


def test_video_frames_have_index_and_time(tmp_path, small):
    shades = [np.full_like(small, 20 * i) for i in range(8)]
    source = open_source(write_video(tmp_path / 'walk.mp4', shades, fps=12.5, codec='mp4v'))
    assert source.is_stream and source.fps == 12.5 and len(source) == 8
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(8))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(8) / 12.5, atol=1e-6)
    for i, frame in enumerate(frames):
        assert frame.image.shape == small.shape and abs(frame.image.mean() - 20 * i) < 4


def test_a_video_is_closed_when_its_iteration_is_given_up(tmp_path, small, monkeypatch):
    path, released = write_video(tmp_path / 'walk.avi', [small] * 5), []

    class Capture:
        def __init__(self, what):
            self.real = cv2_capture(what)

        def __getattr__(self, name):
            return getattr(self.real, name)

        def release(self):
            released.append(True)
            self.real.release()

    cv2_capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', Capture)
    source = open_source(path)
    before, frames = len(released), iter(source)
    next(frames)
    frames.close()
    assert len(released) == before + 1


@pytest.mark.parametrize('kind, message', [
    ('no frames avi', 'no frame can be read'), ('no frames mp4', 'no frame can be read'), ('text', 'no frame can be read'),
    ('void', 'no frame can be read'), ('cut mp4', 'no frame can be read'), ('gone', 'does not exist'),
    ('tiny', 'at least 16 x 16')])
def test_videos_that_cannot_be_read(tmp_path, small, kind, message):
    path = tmp_path / ('walk.avi' if kind.endswith('avi') else 'walk.mp4')
    if kind.startswith('no frames'):
        write_video(path, [], codec='MJPG' if path.suffix == '.avi' else 'mp4v')
    elif kind == 'tiny':
        write_video(path, [small[:8, :8]] * 3, codec='mp4v')
    elif kind == 'cut mp4':
        path.write_bytes(write_video(path, [small] * 9, codec='mp4v').read_bytes()[:-200])  # its index is at the end
    elif kind != 'gone':
        path.write_text('hello' if kind == 'text' else '')
    frame, rest = only_first([path, small])
    assert frame.image is None and message in frame.error and frame.source == str(path)
    assert len(rest) == 1 and rest[0].error is None


def only_first(inputs):
    frames = list(open_source(inputs))
    return frames[0], frames[1:]


def test_a_cut_video_gives_its_frames_and_then_says_so(tmp_path, small):
    path = write_video(tmp_path / 'walk.avi', [small] * 30)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    *good, last = open_source(path)
    assert 5 < len(good) < 25 and all(frame.error is None for frame in good)
    assert last.image is None and f'ends after {len(good)} of the 30 frames' in last.error and last.index == len(good)


class FakeCamera:
    """Gives 3 pictures and then no more; number 0 alone exists."""
    opened = []

    def __init__(self, number):
        self.left = 3 if number == 0 else 0
        FakeCamera.opened.append(number)

    def read(self):
        self.left -= 1
        return self.left >= 0, np.full((48, 64, 3), 7, np.uint8) if self.left >= 0 else None

    def release(self):
        FakeCamera.opened.append('released')


def test_a_camera_gives_frames_until_it_stops_or_nobody_asks(monkeypatch):
    monkeypatch.setattr(cv2, 'VideoCapture', FakeCamera)
    FakeCamera.opened = []
    source = open_source('webcam')
    assert source.is_stream and source.fps is None and not FakeCamera.opened
    with pytest.raises(TypeError, match='not known'):
        len(source)
    frames = list(source)
    assert [frame.name for frame in frames] == [f'webcam_0_{i:06d}' for i in range(4)]
    assert all(frame.image.mean() == 7 and frame.time >= 0 and frame.path is None for frame in frames[:3])
    assert frames[0].time <= frames[1].time <= frames[2].time
    assert 'no more pictures after 3' in frames[3].error
    iterator = iter(source)
    next(iterator)
    iterator.close()
    assert FakeCamera.opened == [0, 'released', 0, 'released']
    frame, = open_source('webcam:12')
    assert 'there is no camera 12' in frame.error and frame.source == 'webcam:12'


def test_a_camera_that_is_not_there_is_an_error_with_the_real_opencv():
    assert 'there is no camera 98' in only('webcam:98').error


@pytest.mark.parametrize('url', ['http://a.b/c.jpg', 'https://a.b/c.mp4', 'rtsp://camera/1', 'file:///a.jpg', 'S3://bucket/x'])
def test_urls_are_refused(url):
    frame = only(url)
    assert frame.image is None and frame.source == url and 'nothing is downloaded' in frame.error


def test_empty_folder_empty_list_and_missing_path_are_one_error_each(tmp_path):
    (tmp_path / 'void').mkdir()
    for inputs, message in ((tmp_path / 'void', 'holds no image'), ([], 'the list is empty'), (tmp_path / 'gone', 'does not'),
                            ('a\0b', 'does not exist'), ({}, 'it is dict'), ('webcam:x', 'does not exist')):
        frame = only(inputs)
        assert frame.image is None and message in frame.error, inputs
        assert frame.name and '/' not in frame.name


def test_bad_pictures_of_a_folder_are_errors_at_their_places(images):
    jpeg = (images / 'a.jpg').read_bytes()
    (images / 'd_cut.jpg').write_bytes(jpeg[:len(jpeg) // 2])
    (images / 'e_text.png').write_text('hello')
    (images / 'f_void.jpg').write_bytes(b'')
    cv2.imwrite(str(images / 'g_dot.png'), np.zeros((1, 1, 3), np.uint8))
    for suffix in ('.webp', '.bmp', '.tif', '.png'):
        encoded = cv2.imencode(suffix, cv2.imread(str(images / 'b.png')))[1].tobytes()
        (images / f'h_cut{suffix}').write_bytes(encoded[:len(encoded) // 2])
    cv2.imwrite(str(images / 'z.png'), np.zeros((32, 32), np.uint8))
    frames = {frame.path.name: frame for frame in open_source(images)}
    assert len(frames) == 13
    assert [name for name, frame in frames.items() if frame.error is None] == ['a.jpg', 'b.jpg', 'b.png', 'c.webp', 'z.png']
    assert '1 x 1 pixels; at least 16' in frames['g_dot.png'].error and 'it was cut' in frames['d_cut.jpg'].error
    assert 'it is empty' in frames['f_void.jpg'].error
    for suffix in ('.webp', '.bmp', '.tif'):
        assert 'cut' in frames[f'h_cut{suffix}'].error, suffix


def bomb(kind: str, width: int, height: int) -> bytes:
    """A small file whose header says width x height."""
    if kind == 'png':
        def chunk(name, data):
            return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
        header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
        return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(bytes(100))) + chunk(b'IEND', b'')
    encoded = bytearray(cv2.imencode('.' + kind, np.zeros((32, 48, 3), np.uint8))[1].tobytes())
    if kind == 'jpg':
        at = encoded.index(b'\xff\xc0') + 5
        encoded[at:at + 4] = struct.pack('>HH', height, width)
    elif kind == 'bmp':
        encoded[18:26] = struct.pack('<ii', width, -height)
    elif kind == 'webp':
        encoded[21:25] = struct.pack('<I', (width - 1) | (height - 1) << 14)
    elif kind == 'tif':
        for tag, side in ((256, width), (257, height)):
            at = next(i for i in range(len(encoded)) if encoded[i:i + 2] == struct.pack('<H', tag) and encoded[i + 4] == 1)
            encoded[at:at + 12] = struct.pack('<HHII', tag, 4, 1, side)
    return bytes(encoded)


@pytest.mark.parametrize('kind, width, height', [
    ('png', 60000, 60000), ('jpg', 20000, 10001), ('jpg', 65535, 65535), ('bmp', 30000, 30000), ('webp', 16384, 16384),
    ('tif', 100000, 100000)])
def test_pictures_that_would_fill_the_memory_are_refused_before_decoding(tmp_path, monkeypatch, kind, width, height):
    path = tmp_path / f'bomb.{kind}'
    path.write_bytes(bomb(kind, width, height))
    assert picture_size(path) == (width, height)
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('it was decoded'))
    assert f'{width} x {height} pixels' in only(path).error and 'at most 200' in only(path).error


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.tif', '.webp', '.jp2'])
def test_header_and_decoder_agree_about_the_size(tmp_path, small, suffix):
    path = tmp_path / f'a{suffix}'
    for quality in ([], [cv2.IMWRITE_WEBP_QUALITY, 80]):
        cv2.imwrite(str(path), small, quality if suffix == '.webp' else [])
        if suffix == '.jp2':
            with pytest.raises(ImageFileError, match='no JPEG, PNG, BMP, TIFF or WebP'):
                picture_size(path)
        else:
            assert picture_size(path) == (64, 48)
            assert read_picture(path).shape == (48, 64, 3)


@given(st.sampled_from([b'', b'BM', b'II*\0', b'MM\0*', b'II+\0', b'RIFF    WEBPVP8X', b'RIFF    WEBPVP8L', b'RIFF']),
       st.binary(max_size=80))
def test_headers_of_noise_are_a_size_or_an_error(tmp_path_factory, head, noise):
    path = tmp_path_factory.getbasetemp() / 'noise.bin'
    path.write_bytes(head + noise)
    try:
        width, height = picture_size(path)
    except ImageFileError as error:
        assert str(path) in str(error)
    else:
        assert width > 0 and height > 0


def test_a_picture_of_100_megapixels_is_read_as_it_is(tmp_path):
    path = tmp_path / 'large.png'
    cv2.imwrite(str(path), np.zeros((10000, 10000), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    frame = only(path)
    assert frame.error is None and frame.image.shape == (10000, 10000, 3)


def test_grey_16_bit_alpha_and_turned_pictures_arrive_as_bgr(tmp_path, small):
    cv2.imwrite(str(tmp_path / 'grey.png'), small[..., 0])
    cv2.imwrite(str(tmp_path / 'deep.png'), small.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / 'alpha.png'), np.dstack([small, np.full(small.shape[:2], 9, np.uint8)]))
    jpeg = cv2.imencode('.jpg', small)[1].tobytes()
    tiff = b'MM\x00*' + struct.pack('>IHHHIHHI', 8, 1, 0x0112, 3, 1, 6, 0, 0)  # orientation 6: turn right
    (tmp_path / 'turned.jpg').write_bytes(
        jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(tiff) + 8) + b'Exif\x00\x00' + tiff + jpeg[2:])
    found = {frame.name: frame.image for frame in open_source(tmp_path)}
    np.testing.assert_array_equal(found['grey'], np.repeat(small[..., :1], 3, axis=2))
    np.testing.assert_array_equal(found['deep'], small)
    np.testing.assert_array_equal(found['alpha'], small)
    straight = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(found['turned'], cv2.rotate(straight, cv2.ROTATE_90_CLOCKWISE))


def test_arrays_of_every_accepted_kind_are_the_same_picture(small):
    assert np.shares_memory(picture_of_array(small), small)
    deep = small.astype(np.uint16) * 257
    for array in (deep, deep + 100, deep - np.minimum(deep, 100), small / 255, (small / 255).astype(np.float32),
                  np.dstack([small, small[..., :1]]), small[:, ::-1][:, ::-1]):
        found = picture_of_array(array)
        np.testing.assert_array_equal(found, small)
        assert found.flags.c_contiguous and found.dtype == np.uint8
    for grey in (small[..., 0], small[..., :1]):
        np.testing.assert_array_equal(picture_of_array(grey), np.repeat(small[..., :1], 3, axis=2))


@pytest.mark.parametrize('array, message', [
    (np.zeros((3, 48, 64), np.uint8), '(H, W, 3)'), (np.zeros((2, 48, 64, 3), np.uint8), 'list of arrays'),
    (np.zeros(5, np.uint8), '(H, W, 3)'), (np.zeros((48, 64, 2), np.uint8), '(H, W, 3)'),
    (np.zeros((0, 0, 3), np.uint8), '0 x 0'),
    (np.zeros((1, 1, 3), np.uint8), '1 x 1 pixels'), (np.full((48, 64, 3), 1.5), 'floats must lie in 0..1'),
    (np.full((48, 64), np.nan, np.float32), 'floats must lie in 0..1'), (np.zeros((48, 64, 3), np.int64), 'int64'),
    (np.zeros((48, 64, 3), bool), 'bool'), (np.zeros((48, 64, 3), np.float16), 'float16'),
    (np.zeros((48, 64), object), 'object')])
def test_other_arrays_are_refused_by_rule(array, message):
    with pytest.raises(InputError) as caught:
        picture_of_array(array)
    assert message in str(caught.value)
    assert message in only(array).error and only(array).source == 'array 0'


def test_a_source_of_nothing_known_has_no_length(small):
    assert isinstance(open_source(small), FrameSource) and len(open_source([small] * 3)) == 3
    with pytest.raises(TypeError):
        len(open_source([small, 'webcam']))


def test_person_boxes_of_the_command_line_and_of_a_file(tmp_path):
    assert read_person_boxes('1,2,30,40') == [[1, 2, 30, 40]]
    boxes = read_person_boxes(' 1,2,30,40; 5,6,70.5,80; ')
    np.testing.assert_array_equal(person_boxes_of(boxes, 'any.jpg', (100, 100))[0], [[1, 2, 30, 40], [5, 6, 70.5, 80]])
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps({'a.jpg': [[1, 2, 30, 40], {'xyxy': [-5, 6, 170, 80]}], 'b.jpg': []}))
    boxes = read_person_boxes(str(path))
    found, errors = person_boxes_of(boxes, 'a.jpg', (100, 100))
    assert found.dtype == np.float32 and found.tolist() == [[1, 2, 30, 40], [-5, 6, 170, 80]] and errors == []
    for name in ('b.jpg', 'not listed.jpg'):
        found, errors = person_boxes_of(boxes, name, (100, 100))
        assert found.shape == (0, 4) and errors == []
    found, _ = person_boxes_of(np.float32([[1, 2, 30, 40]]), 'from Python', (100, 100))
    assert found.tolist() == [[1, 2, 30, 40]]


@pytest.mark.parametrize('box, message', [
    ([float('nan'), 0, 5, 5], 'box [nan, 0, 5, 5] is not four finite'), ([0, 0, float('inf'), 5], 'is not four finite'),
    ([200, 0, 300, 50], 'box [200, 0, 300, 50] lies outside the image of 100 x 80'), ([-9, -9, -1, -1], 'lies outside'),
    ([5, 5, 5, 9], 'is empty'), ([50, 5, 40, 9], 'is empty'), ([1, 2, 3], 'not four'), ('abc', 'not four'), (None, 'not four'),
    (7, 'not four'), ({'box': [1, 2, 3, 4]}, "fields ['box']"), ({'xyxy': [1, 2, 3, 4], 'hand': 'left'}, "'hand'"),
    ({'xyxy': [1, 'a', 3, 4]}, 'not four')])
def test_a_bad_box_is_named_and_the_others_stay(box, message):
    found, errors = person_boxes_of({'a.jpg': [[1, 1, 50, 50], box, [2, 2, 60, 60]]}, 'a.jpg', (100, 80))
    assert found.tolist() == [[1, 1, 50, 50], [2, 2, 60, 60]]
    error, = errors
    assert error.startswith('person 1: ') and message in error


@pytest.mark.parametrize('text, message', [
    ('1,2,3', 'four numbers'), ('1,2,3,x', 'four numbers'), ('', 'four numbers'), ('1,2,3,4;5', 'four numbers'),
    ('gone.json', 'does not exist')])
def test_boxes_that_say_nothing_stop_at_once(text, message):
    with pytest.raises(InputError, match=message):
        read_person_boxes(text)


@pytest.mark.parametrize('content', ['[1, 2]', '{"a": 5}', '{"a": ', '{"a": {"xyxy": 1}}'])
def test_a_boxes_file_of_another_form_stops_at_once(tmp_path, content):
    (tmp_path / 'boxes.json').write_text(content)
    with pytest.raises(InputError, match='boxes.json'):
        read_person_boxes(str(tmp_path / 'boxes.json'))
