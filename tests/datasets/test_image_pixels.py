"""JPEGs are decoded to the very pixels of OpenCV, whatever their form; damaged ones are named."""
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from hmradapter.datasets.images import ImageFileError, read_image


def photograph(size=(333, 251)):
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (13, 17, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
    return np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def encoded(image, mode='RGB', **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, 'JPEG', **options)
    return file.getvalue()


@pytest.mark.parametrize('options', [
    *(dict(quality=quality, subsampling=subsampling) for quality in (30, 92, 100) for subsampling in (0, 1, 2)),
    dict(progressive=True), dict(mode='L'), dict(mode='CMYK'), dict(keep_rgb=True)], ids=str)
@pytest.mark.parametrize('size', [(333, 251), (1, 1), (16, 9)])
def test_pixels_are_opencvs(tmp_path, options, size):
    path = tmp_path / 'image.jpg'
    path.write_bytes(encoded(photograph(size), **options))
    np.testing.assert_array_equal(read_image(path), cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION))


@pytest.mark.parametrize('factor', [0x411111, 0x221111, 0x211111, 0x121111, 0x111111])
def test_pixels_are_opencvs_for_every_sampling(tmp_path, factor):
    path = tmp_path / 'image.jpg'
    cv2.imwrite(str(path), photograph(), [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor, cv2.IMWRITE_JPEG_RST_INTERVAL, 3])
    np.testing.assert_array_equal(read_image(path), cv2.imread(str(path)))


def test_orientation_is_ignored_unless_asked_for(tmp_path):
    path, exif = tmp_path / 'image.jpg', Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    path.write_bytes(encoded(photograph(), exif=exif))
    assert read_image(path).shape == (251, 333, 3) and read_image(path, exif=True).shape == (333, 251, 3)


@pytest.mark.parametrize('change', [lambda data: data[:len(data) // 2] + b'\xff\xd9', lambda data: data[:len(data) // 2],
                                    lambda data: data[:2] + b'a' * 100])
def test_a_damaged_rest_is_an_error_and_not_grey(tmp_path, change):
    path = tmp_path / 'image.jpg'
    path.write_bytes(change(encoded(photograph(), quality=90)))
    with pytest.raises(ImageFileError, match=r'image\.jpg cannot be used as an image: libjpeg-turbo says'):
        read_image(path)


def test_bytes_between_a_jpegs_segments_are_skipped(tmp_path):
    """As cameras and editors leave them, and as OpenCV skips them, too."""
    encoded = cv2.imencode('.jpg', np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))[1].tobytes()
    path = tmp_path / 'image.jpg'
    path.write_bytes(encoded[:20] + bytes(3) + encoded[20:])
    np.testing.assert_array_equal(read_image(path), cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR))
