"""Pictures to bytes and files. Images are (H, W, 3) uint8 BGR."""
import base64
from pathlib import Path

import cv2
import numpy as np

from hmradapter.fileio import atomic_write

MIME = {'.jpg': 'image/jpeg', '.png': 'image/png'}


def encode_image(image: np.ndarray, kind: str = '.jpg', quality: int = 88) -> bytes:
    """JPEG ('.jpg') or PNG ('.png') bytes."""
    if kind not in MIME:
        raise ValueError(f'pictures are written as {sorted(MIME)}, not as {kind!r}.')
    done, encoded = cv2.imencode(kind, image, [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == '.jpg' else [])
    if not done:
        raise ValueError(f'OpenCV cannot encode a picture of shape {image.shape} as {kind}.')
    return encoded.tobytes()


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write a .jpg or .png atomically."""
    with atomic_write(path) as file:
        file.write(encode_image(image, Path(path).suffix.lower()))


def data_uri(image: np.ndarray, kind: str = '.jpg') -> str:
    """The picture as a `data:` URI, to stand inside a web page."""
    return f'data:{MIME[kind]};base64,{base64.b64encode(encode_image(image, kind)).decode()}'
