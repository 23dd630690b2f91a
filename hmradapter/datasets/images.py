"""Reading encoded images, and telling a damaged file from a good one without decoding it."""
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from hmradapter.fileio.errors import FileError

JPEG_HEAD = b'\xff\xd8'
JPEG_END = b'\xff\xd9'
HARMLESS = 'extraneous bytes before marker'  # some cameras leave them; OpenCV skips them
PNG_HEAD = b'\x89PNG\r\n\x1a\n'
BMP_HEAD_BYTES = 34                        # of the file's and the picture's header (BITMAPINFOHEADER and later)
THREADS = 8                                # that wait for a disk
HEAD_BYTES, TAIL_BYTES = 1 << 16, 1 << 12  # what `probe_image` reads; a camera's JPEG header is a few hundred bytes


class ImageFileError(FileError):
    """The file is no image that can be read whole; the message names it and says what is wrong."""

    def __init__(self, path, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(f'{path} cannot be used as an image: {reason}. Fetch the file again, or prepare the data set anew '
                         'so that it is left out.')


def read_encoded(path, span: tuple[int, int] | None = None) -> np.ndarray:
    """(n,) uint8: a file as it is on disk, or the bytes `span` (offset, length) of it, as of an image in a tar.

    Raises:
        FileNotFoundError: when there is no such file.
        ImageFileError: when there is nothing, or less than `span` says.
    """
    if span is None:
        encoded = np.fromfile(path, dtype=np.uint8)
    else:
        with open(path, 'rb') as file:
            length = max(0, min(span[1], os.fstat(file.fileno()).st_size - span[0]))  # what a wrong span asks for may not fit
            encoded = np.fromfile(file, dtype=np.uint8, count=length, offset=span[0])
        if length < span[1]:
            raise ImageFileError(named(path, span), 'the file ends before it')
    if encoded.size == 0:
        raise ImageFileError(named(path, span), 'it is empty')
    return encoded


def named(path, span: tuple[int, int] | None = None) -> str:
    """How messages call an image: by its file, and by the bytes where it shares one."""
    return str(path) if span is None else f'{path} (bytes {span[0]} to {span[0] + span[1]})'


def read_image(path, exif: bool = False, span: tuple[int, int] | None = None) -> np.ndarray:
    """(H, W, 3) uint8 BGR. Orientation metadata is ignored, as in HaMeR's training, unless `exif`.

    Args:
        path: the image's own file, or with `span` (offset, length) one that has it at these bytes.

    Raises:
        FileNotFoundError: when there is no such file.
        ImageFileError: when it does not decode.
    """
    return decode_image(read_encoded(path, span), named(path, span), exif)


def decode_image(encoded: np.ndarray, name, exif: bool = False) -> np.ndarray:
    """Encoded bytes (n,) uint8 -> (H, W, 3) uint8 BGR; `name` is what ImageFileError says where they do not decode.

    JPEGs go through libjpeg-turbo itself: the pixels that OpenCV gives, of every kind, in an eighth less time, and an error
    where a damaged rest would be filled with grey."""
    if not exif and encoded[:2].tobytes() == JPEG_HEAD:
        try:
            return simplejpeg.decode_jpeg(encoded, colorspace='BGR')
        except ValueError as error:
            if HARMLESS not in str(error):
                raise ImageFileError(name, f'libjpeg-turbo says: {error}') from error
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR if exif else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ImageFileError(name, 'OpenCV cannot decode it')
    return image


def probe_image(path, span: tuple[int, int] | None = None) -> tuple[int, int]:
    """(width, height) from the header of a JPEG, PNG or BMP, after checking that the image also ends as it should.
    A cut file decodes to a picture with a grey rest, without an error, hence the look at its end."""
    start, size = span or (0, -1)
    with open(path, 'rb') as file:
        end = file.seek(0, 2)
        size = end if span is None else min(size, max(0, end - start))
        file.seek(start)
        head = file.read(min(HEAD_BYTES, size))
        file.seek(start + max(0, size - TAIL_BYTES))
        tail = file.read(min(TAIL_BYTES, size))
    return _probe(named(path, span), head, tail, size)


def probe_encoded(encoded: bytes, name) -> tuple[int, int]:
    """`probe_image` of encoded bytes that are called `name`."""
    return _probe(name, encoded[:HEAD_BYTES], encoded[-TAIL_BYTES:], len(encoded))


def _probe(name, head: bytes, tail: bytes, size: int) -> tuple[int, int]:
    if head[:2] == JPEG_HEAD:
        if JPEG_END not in tail:
            raise ImageFileError(name, f'a JPEG of {size} bytes without its end marker, so it was cut')
        return _jpeg_size(name, head)
    if head[:8] == PNG_HEAD:
        if b'IEND' not in tail or len(head) < 24:
            raise ImageFileError(name, f'a PNG of {size} bytes without its end chunk, so it was cut')
        return struct.unpack('>II', head[16:24])
    if head[:2] == b'BM' and len(head) >= BMP_HEAD_BYTES:
        return _bmp_size(name, head, size)
    raise ImageFileError(name, f'{size} bytes that start with {head[:4]!r}, neither JPEG, PNG nor BMP')


def verify_image(path, span: tuple[int, int] | None = None) -> tuple[int, int]:
    """`probe_image` and a full decode, (width, height)."""
    width, height = probe_image(path, span)
    decoded = read_image(path, span=span).shape[1::-1]
    if tuple(decoded) != (width, height):
        raise ImageFileError(named(path, span), f'its header says {width}x{height}, it decodes to {decoded[0]}x{decoded[1]}')
    return width, height


def image_sizes(paths: Sequence[Path], verify: bool = False) -> list[tuple[int, int] | str]:
    """(width, height) of each file, or why it cannot be used: 'missing_image', 'view_without_images' (its folder is missing
    too) or 'corrupt_image'. `verify` decodes every file."""
    def look(path: Path) -> tuple[int, int] | str:
        try:
            return tuple((verify_image if verify else probe_image)(path))
        except FileNotFoundError:
            return 'missing_image' if path.parent.is_dir() else 'view_without_images'
        except ImageFileError:
            return 'corrupt_image'
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(look, paths))


def _jpeg_size(path: str, head: bytes) -> tuple[int, int]:
    """Walk the segments to the frame header (SOF0-15 without DHT, JPG, DAC)."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack('>HH', head[at + 5:at + 9])
            if not width or not height:
                raise ImageFileError(path, f'its header says {width}x{height}')
            return width, height
        else:
            at += 2 + struct.unpack('>H', head[at + 2:at + 4])[0]
    raise ImageFileError(path, 'a JPEG without a frame header in its first bytes')


def _bmp_size(path: str, head: bytes, size: int) -> tuple[int, int]:
    """A BMP has no end marker, but its header says how many bytes the rows take. A negative height: rows run downwards."""
    start, header, width, height, _, bits, compression = struct.unpack('<IIiiHHI', head[10:BMP_HEAD_BYTES])
    if header < 40 or width <= 0 or height == 0:
        raise ImageFileError(path, f'a BMP whose header of {header} bytes says {width}x{height}')
    rows = (width * bits + 31) // 32 * 4 * abs(height) if compression == 0 else 0  # each starts at a multiple of 4 bytes
    if size < start + rows:
        raise ImageFileError(path, f'a BMP of {size} bytes that should have {start + rows}, so it was cut')
    return width, abs(height)
