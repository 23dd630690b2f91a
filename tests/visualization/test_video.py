"""Videos, written and read back."""
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from hmradapter.apis.sources import open_source
from hmradapter.visualization.video import VideoWriter


def picture(k, size=(48, 64)):
    """A red square that moves right on a grey ground that grows brighter."""
    frame = np.full((*size, 3), 40 + 8 * k, np.uint8)
    frame[10:26, 2 * k:2 * k + 16] = (0, 0, 230)
    return frame


def written(path, frames=20, fps=25, **settings):
    with VideoWriter(path, fps, **settings) as video:
        for k in range(frames):
            video.write(picture(k))
    return path


def test_frames_come_back_in_order_at_their_times(tmp_path):
    path = written(tmp_path / 'new' / 'clip.mp4')
    source = open_source(path)
    frames, times = zip(*((frame.image, frame.time) for frame in source), strict=True)
    np.testing.assert_allclose(times, np.arange(20) / 25, atol=1e-3)
    assert source.fps == pytest.approx(25) and len(frames) == 20
    for k, frame in enumerate(frames):
        assert frame.shape == (48, 64, 3)
        ground, square = frame[36:].reshape(-1, 3).mean(0), frame[14:22, 2 * k + 4:2 * k + 12].reshape(-1, 3).mean(0)
        np.testing.assert_allclose(ground, 40 + 8 * k, atol=6)
        np.testing.assert_allclose(square, (0, 0, 230), atol=25)  # BGR: red
    assert [file.name for file in path.parent.iterdir()] == ['clip.mp4']


def test_it_is_what_browsers_play(tmp_path):
    path = written(tmp_path / 'clip.mp4')
    report = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), '-hide_banner', '-i', str(path)], capture_output=True, text=True)
    assert 'Video: h264' in report.stderr and 'yuv420p' in report.stderr
    content = path.read_bytes()
    assert content[4:8] == b'ftyp' and content.index(b'moov') < content.index(b'mdat')  # plays before it is loaded


def test_odd_sizes_lose_a_column_and_a_row(tmp_path):
    with VideoWriter(tmp_path / 'odd.mp4', 29.97) as video:
        video.write(picture(0, (49, 65)))
    frame, = open_source(tmp_path / 'odd.mp4')
    assert frame.image.shape == (48, 64, 3) and frame.time == 0


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = written(tmp_path / 'clip.mp4', 3)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), VideoWriter(path, 25) as video:
        video.write(picture(0))
        _ = 1 / 0
    with pytest.raises(ValueError, match='no frame was written'), VideoWriter(path, 25):
        pass
    with pytest.raises(ValueError, match='frame 1 is uint8 of shape .10, 10, 3.'), VideoWriter(path, 25) as video:
        video.write(picture(0))
        video.write(np.zeros((10, 10, 3), np.uint8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_uneven_times_are_the_files_own(tmp_path):
    """A film whose middle frames were dropped keeps the pause."""
    path = written(tmp_path / 'clip.mp4')
    cut = tmp_path / 'cut.mp4'
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), '-v', 'error', '-i', str(path), '-vf', "select='not(between(n,5,11))'",
                    '-fps_mode', 'vfr', str(cut)], check=True)
    times = [frame.time for frame in open_source(cut)]
    np.testing.assert_allclose(times, np.delete(np.arange(20), np.arange(5, 12)) / 25, atol=2e-3)


def test_mistakes_are_named(tmp_path):
    for path, settings, message in (('a.avi', dict(fps=25), 'a.avi'), ('a.mp4', dict(fps=0), 'fps'),
                                    ('a.mp4', dict(fps=25, quality=60), 'quality')):
        with pytest.raises(ValueError, match=message):
            VideoWriter(tmp_path / path, **settings)
    with pytest.raises(ValueError, match='first frame'), VideoWriter(tmp_path / 'a.mp4', 25) as video:
        video.write(np.zeros((48, 64), np.uint8))
    assert not list(tmp_path.iterdir())
