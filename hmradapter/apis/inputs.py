"""What users hand in: images, folders, boxes with sides and bodies. Every mistake is told by name, for its image alone."""
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from hmradapter.datasets.images import ImageFileError, probe_image
from hmradapter.fileio import load_npz, load_object_npy

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
PROBED_SUFFIXES = ('.jpg', '.jpeg', '.png')  # a cut file of these decodes to a grey rest without an error
MIN_SIDE = 16  # pixels: less is no picture of a hand
HAND_CHOICES = ('right', 'left', 'auto')
HAND_KEYS = {'xyxy', 'hand', 'body_pose'}


class InputError(ValueError):
    """What was handed in cannot be used; the message names it and says why."""


@dataclass(frozen=True)
class HandRequest:
    """One hand to look at: box (4,) px or None for the whole image, side or 'auto', guiding body (22, 3) or None."""
    xyxy: Sequence[float] | None
    hand: str
    body_pose: np.ndarray | None = field(default=None)


def list_images(path: str | Path) -> list[Path]:
    """The image itself, or the images of a folder in order of their names (not below it).

    Raises:
        InputError: there is no such path, or the folder holds no image.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f'{path} does not exist: give an image or a folder of images.')
    images = sorted(p for p in path.iterdir() if p.is_file() and p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != '.')
    if not images:
        raise InputError(f'{path} holds no image; {", ".join(IMAGE_SUFFIXES)} are looked for.')
    return images


def read_picture(path: str | Path) -> np.ndarray:
    """(H, W, 3) uint8 BGR, turned as its orientation metadata says; grey, 16 bit and alpha are brought to this form.

    Raises:
        InputError: the file is no image, was cut, or is too small. The message does not repeat its name.
    """
    path = Path(path)
    try:
        encoded = np.fromfile(path, dtype=np.uint8)
        if path.suffix.lower() in PROBED_SUFFIXES:
            probe_image(path)
    except ImageFileError as error:
        raise InputError(f'it is no usable image: {error.reason}.') from error
    except OSError as error:
        raise InputError(f'it cannot be read ({error.strerror}).') from error
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None:
        raise InputError(f'OpenCV cannot decode it as an image ({encoded.size} bytes).')
    if min(image.shape[:2]) < MIN_SIDE:
        raise InputError(f'it has {image.shape[1]} x {image.shape[0]} pixels; at least {MIN_SIDE} x {MIN_SIDE} are needed.')
    return image


def read_requests(text: str, default_hand: str, body_pose: np.ndarray | None = None) -> dict[str, list] | list[HandRequest]:
    """The --bboxes of a command line: a JSON file {image name: [{"xyxy": [...], "hand": ..., "body_pose": ...}, ...]}, returned
    as it is for `request_of`, or the four numbers of one box for every image.

    Raises:
        InputError: neither of the two.
    """
    path = Path(text)
    if path.suffix == '.json':
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
        except FileNotFoundError as error:
            raise InputError(f'{path} does not exist.') from error
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(f'{path} is no JSON file ({error}).') from error
        if not isinstance(content, dict) or not all(isinstance(hands, list) for hands in content.values()):
            raise InputError(f'{path} must be {{image name: [{{"xyxy": [x0, y0, x1, y1], "hand": "right"}}, ...]}}.')
        return content
    try:
        box = [float(number) for number in text.split(',')]
    except ValueError:
        box = []
    if len(box) != 4:
        raise InputError(f'--bboxes is {text!r}; it must be a .json file or four numbers x0,y0,x1,y1.')
    return [HandRequest(box, default_hand, body_pose)]


def request_of(entry, default_hand: str, default_body: np.ndarray | None = None) -> HandRequest:
    """One entry of a boxes file.

    Raises:
        InputError: for unknown, missing or unusable fields (whether the box fits its image is checked later).
    """
    if not isinstance(entry, dict):
        raise InputError(f'it is {type(entry).__name__}, not {{"xyxy": [x0, y0, x1, y1], ...}}.')
    unknown = sorted(entry.keys() - HAND_KEYS)
    if unknown:
        raise InputError(f'it has unknown fields {unknown}; known are {sorted(HAND_KEYS)}.')
    if 'xyxy' not in entry:
        raise InputError('it has no "xyxy".')
    hand = entry.get('hand', default_hand)
    if hand not in HAND_CHOICES:
        raise InputError(f'"hand" is {hand!r}; it must be one of {HAND_CHOICES}.')
    body = entry.get('body_pose')
    return HandRequest(entry['xyxy'], hand, default_body if body is None else _body_array(body, '"body_pose"'))


def read_body_pose(path: str | Path) -> np.ndarray:
    """A guiding body from a .json list, a .npy, or the `body_pose` of a .npz: (22, 3) axis-angle or (22, 3, 3).

    Raises:
        InputError: names the file and what is wrong.
    """
    path = Path(path)
    readers = {'.json': lambda: json.loads(path.read_text(encoding='utf-8')), '.npy': lambda: load_object_npy(path),
               '.npz': lambda: load_npz(path, ['body_pose'])['body_pose']}
    if path.suffix not in readers:
        raise InputError(f'{path}: a body pose is read from {sorted(readers)}.')
    try:
        return _body_array(readers[path.suffix](), str(path))
    except (OSError, KeyError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f'{path} cannot be read as a body pose ({error}).') from error


def _body_array(values, where: str) -> np.ndarray:
    try:
        body = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        body = np.zeros(0, np.float32)
    if body.shape not in ((22, 3), (22, 3, 3)) or not np.isfinite(body).all():
        raise InputError(f'{where} must be 22 finite rotations, SMPL-X order, (22, 3) axis-angle or (22, 3, 3) matrices.')
    return body


def output_names(images: Sequence[Path]) -> dict[Path, str]:
    """A distinct name for the outputs of each image: its stem, or its whole name where two share a stem."""
    stems = [image.stem for image in images]
    return {image: image.stem if stems.count(image.stem) == 1 else image.name.replace('.', '_') for image in images}
