"""What users hand in: images, folders, boxes of persons, boxes of hands with sides and bodies. Every mistake is told by name,
for its image alone."""
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from hmradapter.apis.inference import check_box
from hmradapter.apis.picture_files import picture_size
from hmradapter.datasets.images import ImageFileError
from hmradapter.fileio import load_npz, load_object_npy

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
MIN_SIDE = 16             # pixels: less is no picture of a hand
MAX_PIXELS = 200_000_000  # of a file: 600 MB when decoded. Larger ones are refused before, never shrunk
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
        InputError: the file is no image, was cut, is too small, or has more than MAX_PIXELS, which its header tells before
            anything is decoded. The message does not repeat its name.
    """
    try:
        width, height = picture_size(path)
        if width * height > MAX_PIXELS:
            raise InputError(f'it has {width} x {height} pixels, {width * height / 1e6:.0f} megapixels; at most '
                             f'{MAX_PIXELS / 1e6:.0f} are read. Make it smaller first.')
        encoded = np.fromfile(path, dtype=np.uint8)
    except ImageFileError as error:
        raise InputError(f'it is no usable image: {error.reason}.') from error
    except OSError as error:
        raise InputError(f'it cannot be read ({error.strerror}).') from error
    try:
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    except cv2.error:  # some decoders raise where the others give None
        image = None
    if image is None:
        raise InputError(f'OpenCV cannot decode it as an image ({encoded.size} bytes); it may have been cut.')
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
        return _read_lists(path, '{"xyxy": [x0, y0, x1, y1], "hand": "right"}')
    box = _box_of(text)
    if len(box) != 4:
        raise InputError(f'--bboxes is {text!r}; it must be a .json file or four numbers x0,y0,x1,y1.')
    return [HandRequest(box, default_hand, body_pose)]


def read_person_boxes(text: str) -> dict[str, list] | list[list[float]]:
    """The --bboxes of a command line, for persons: a JSON file {image name: [[x0, y0, x1, y1] or {"xyxy": [...]}, ...]}, or
    'x0,y0,x1,y1;x0,y0,x1,y1', boxes for every image. What is returned is for `person_boxes_of`, which checks each box.

    Raises:
        InputError: neither of the two.
    """
    path = Path(text)
    if path.suffix == '.json':
        return _read_lists(path, '[x0, y0, x1, y1]')
    boxes = [_box_of(box) for box in text.strip().rstrip(';').split(';')]
    if any(len(box) != 4 for box in boxes):
        raise InputError(f'--bboxes is {text!r}; it must be a .json file, or four numbers x0,y0,x1,y1 a person, with ; between '
                         'persons.')
    return boxes


def _box_of(text: str) -> list[float]:
    """The numbers between commas, none where one is no number."""
    try:
        return [float(number) for number in text.split(',')]
    except ValueError:
        return []


def person_boxes_of(boxes: dict[str, Sequence] | Sequence, name: str,
                    size: tuple[int, int]) -> tuple[np.ndarray, list[str]]:
    """The boxes of one image that can be used, (N, 4) float32 xyxy px as they were given (they may reach beyond the border),
    and a message for each that cannot, which names it.

    Args:
        boxes: of `read_person_boxes`, or from Python: {image name: boxes}, or boxes (N, 4) for every image. An image that is
            not in the dict has no person.
        name: of the image, a key of the dict.
        size: (width, height) px of the image.
    """
    entries = boxes.get(name, []) if isinstance(boxes, dict) else boxes
    is_list = isinstance(entries, (list, tuple, np.ndarray)) and not (isinstance(entries, np.ndarray) and entries.ndim == 0)
    if not is_list or (len(entries) and all(isinstance(entry, (int, float, np.number)) for entry in entries)):
        return np.zeros((0, 4), np.float32), [f'its boxes are {entries!r}; they must be a list of boxes [x0, y0, x1, y1].']
    found, errors = [], []
    for i, entry in enumerate(entries):
        try:
            if isinstance(entry, dict):
                if set(entry) != {'xyxy'}:
                    raise InputError(f'it has the fields {sorted(map(str, entry))}; it must be {{"xyxy": [x0, y0, x1, y1]}}.')
                entry = entry['xyxy']
            box = check_box(entry, size)
            if not is_wide_enough(box, size):
                raise InputError(f'box {[round(float(x), 1) for x in box]} covers no more than one pixel of the image of '
                                 f'{size[0]} x {size[1]} in width or height.')
            found.append(box)
        except ValueError as error:
            errors.append(f'person {i}: {error}')
    return np.array(found, np.float32).reshape(-1, 4), errors


def is_wide_enough(box: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether more than one pixel of a box (4,) lies in the image of `size` (width, height), in both directions."""
    low, high = np.clip(box[:2], 0, np.subtract(size, 1)), np.clip(box[2:], 0, np.subtract(size, 1))
    return bool((high - low > 1).all())


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


def _read_lists(path: Path, entry: str) -> dict[str, list]:
    """A JSON file {image name: [entry, ...]}; `entry` says in the error what one is."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise InputError(f'{path} does not exist.') from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f'{path} is no JSON file ({error}).') from error
    if not isinstance(content, dict) or not all(isinstance(entries, list) for entries in content.values()):
        raise InputError(f'{path} must be {{image name: [{entry}, ...]}}.')
    return content


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
