"""How large the picture in a file is, from its header: a small file can hold a picture that fills the memory.

Formats by their first bytes, whatever the name says: JPEG and PNG (`datasets.images.probe_image`, which also tells cut files),
BMP, TIFF (classic and BigTIFF, first page) and WebP. Others are refused, so that nothing is decoded whose size is not known.
"""
import struct
from pathlib import Path

from hmradapter.datasets.images import PNG_HEAD, ImageFileError, probe_image

HEAD_BYTES = 64
WIDTH_TAG, HEIGHT_TAG = 256, 257                 # of TIFF
TIFF_NUMBERS = {1: 'B', 3: 'H', 4: 'I', 16: 'Q'}  # its types that sizes have


def picture_size(path: str | Path) -> tuple[int, int]:
    """(width, height) as the header says, before any turn by orientation metadata.

    Raises:
        OSError: the file cannot be read.
        ImageFileError: it is none of the formats, or its header does not hold a size.
    """
    with open(path, 'rb') as file:
        head = file.read(HEAD_BYTES)
    if head[:2] == b'\xff\xd8' or head[:8] == PNG_HEAD:
        return probe_image(path)
    for start, read in ((b'BM', _bmp_size), (b'II', _tiff_size), (b'MM', _tiff_size), (b'RIFF', _webp_size)):
        if head.startswith(start):
            try:
                width, height = read(path, head)
            except struct.error as error:
                raise ImageFileError(path, 'its header is cut') from error
            if width <= 0 or height <= 0:
                raise ImageFileError(path, f'its header says {width}x{height}')
            return width, height
    what = f'{Path(path).stat().st_size} bytes that start with {head[:4]!r}' if head else 'it is empty'
    raise ImageFileError(path, f'OpenCV cannot decode it safely: {what}, no JPEG, PNG, BMP, TIFF or WebP')


def _bmp_size(path: str | Path, head: bytes) -> tuple[int, int]:
    if struct.unpack_from('<I', head, 14)[0] == 12:  # the header of OS/2
        return struct.unpack_from('<HH', head, 18)
    width, height = struct.unpack_from('<ii', head, 18)
    return width, abs(height)  # negative: rows from top to bottom


def _webp_size(path: str | Path, head: bytes) -> tuple[int, int]:
    kind = head[12:16] if head[8:12] == b'WEBP' else b''
    if kind == b'VP8X':
        width, height = (int.from_bytes(head[at:at + 3], 'little') + 1 for at in (24, 27))
    elif kind == b'VP8L':
        bits = struct.unpack_from('<I', head, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b'VP8 ':
        width, height = (side & 0x3FFF for side in struct.unpack_from('<HH', head, 26))
    else:
        raise ImageFileError(path, 'it is a RIFF file, but no WebP picture')
    return width, height


def _tiff_size(path: str | Path, head: bytes) -> tuple[int, int]:
    order = '<' if head[:2] == b'II' else '>'
    version, = struct.unpack_from(f'{order}H', head, 2)
    if version not in (42, 43):
        raise ImageFileError(path, f'it starts like a TIFF, but its version is {version}')
    big = version == 43
    count_form, entry_form, start_form = ('Q', 'HHQ8s', 'Q') if big else ('H', 'HHI4s', 'I')
    sides = {}
    with open(path, 'rb') as file:
        start, = struct.unpack_from(order + start_form, head, 8 if big else 4)
        file.seek(min(start, file.seek(0, 2)))  # at the end nothing is read, which `unpack` tells
        count, = struct.unpack(order + count_form, file.read(struct.calcsize(order + count_form)))
        for _ in range(min(count, 4096)):
            tag, kind, number, value = struct.unpack(order + entry_form, file.read(struct.calcsize(order + entry_form)))
            if tag in (WIDTH_TAG, HEIGHT_TAG) and kind in TIFF_NUMBERS and number == 1:
                sides[tag], = struct.unpack_from(order + TIFF_NUMBERS[kind], value)
    if len(sides) != 2:
        raise ImageFileError(path, 'its first page has no width and height')
    return sides[WIDTH_TAG], sides[HEIGHT_TAG]
