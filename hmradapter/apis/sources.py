"""Everything that pictures come from, as one stream of `Frame`s: files, folders, arrays, videos, a camera, and lists of these.

A frame is in memory only while it is looked at, so a folder or a video of any length can be handed in. What cannot be used is a
frame with an `error` instead of an `image`, at its place in the stream, and the rest goes on. Nothing is ever downloaded.

Rules: pictures have at least MIN_SIDE px a side; files of pictures at most MAX_PIXELS, told from their header before decoding
(both in `inputs`); orientation metadata is applied. Arrays are (H, W, 3) BGR as OpenCV reads them, (H, W) or (H, W, 1) grey, or
(H, W, 4) BGRA, whose alpha is dropped; uint8 as it is, uint16 by / 257, float32 and float64 in 0..1 by * 255, both rounded;
every other kind is refused, as nobody could say what its numbers mean.
"""
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import cv2
import numpy as np

from hmradapter.apis.inputs import MIN_SIDE, InputError, list_images, read_picture

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv', '.ts')
CUT_SHARE = 0.05  # of the frames that a video announces: containers estimate, so only a greater lack is told as a cut
_URL = re.compile(r'[a-z][a-z0-9+.\-]+://', re.IGNORECASE)  # two characters at least: c:/ is a drive
_CAMERA = re.compile(r'webcam(?::(\d+))?', re.IGNORECASE)


@dataclass(frozen=True)
class Frame:
    """One picture of a stream, or why there is none.

    name: of its outputs, unique in the stream, without a folder or suffix.
    image: (H, W, 3) uint8 BGR, None with an `error`.
    index: of a picture among all that was handed in; of a video's or camera's frame in that video or camera.
    time: seconds since the start of its video or camera, None for pictures.
    path: of the file, None for arrays and cameras.
    source: what a message calls it, such as the path.
    error: why it cannot be used.
    """
    name: str
    image: np.ndarray | None
    index: int
    time: float | None = None
    path: Path | None = None
    source: str = ''
    error: str | None = None


class FrameSource:
    """The frames of whatever was handed in, made by `open_source`. Every `iter` starts at the beginning. `len()` tells how many
    there will be where that is known (not with a camera; a video's own count is believed), else raises TypeError, as Python's
    protocol and tqdm expect. A video or camera is closed when its iteration ends or is given up.

    fps: frames a second where the source is one video, else None.
    is_stream: whether it is one video or one camera, whose frames follow each other in time.
    """

    def __init__(self, parts: Sequence['_Part']):
        self._parts = list(parts)
        only = self._parts[0] if len(self._parts) == 1 else None
        self.is_stream = only is not None and only.in_time
        self.fps = only.fps if only is not None else None

    def __iter__(self) -> Iterator[Frame]:
        for number, part in enumerate(self._parts):
            yield from part.frames(number)

    def __len__(self) -> int:
        if any(part.count is None for part in self._parts):
            raise TypeError('how many frames there will be is not known')
        return sum(part.count for part in self._parts)


@dataclass
class _Part:
    """A picture, a video, a camera or a mistake. `frames` makes its frames, given its number among all parts; `wanted` are
    names it would like, best first."""
    wanted: tuple[str, ...]
    frames: Callable[[int], Iterator[Frame]] | None = None
    count: int | None = 1
    in_time: bool = False
    fps: float | None = None
    name: str = ''


def open_source(inputs) -> FrameSource:
    """The frames of a path of a picture, a video or a folder of pictures (not below it); of an array; of 'webcam' or 'webcam:1'
    (a file of that name is './webcam'); or of a list of any of these. Mistakes are frames with an error, not exceptions."""
    entries = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    if not entries:
        entries = [InputError('nothing was handed in: the list is empty.')]
    parts = [part for index, entry in enumerate(entries) for part in _parts_of(entry, index)]
    _give_names(parts)
    return FrameSource(parts)


def picture_of_array(array: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 BGR of an array by the module's rules; the array itself where it is that already.

    Raises:
        InputError: it follows none of the rules.
    """
    rule = 'it must be (H, W, 3) BGR, (H, W) grey or (H, W, 4) BGRA'
    image = array[..., None] if array.ndim == 2 else array
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise InputError(f'the array is {array.shape}; {rule}. Several images are a list of arrays.')
    if min(image.shape[:2]) < MIN_SIDE:
        raise InputError(f'it has {image.shape[1]} x {image.shape[0]} pixels; at least {MIN_SIDE} x {MIN_SIDE} are needed '
                         f'({rule}).')
    image = image[..., :3]
    if image.dtype == np.uint16:
        image = ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif image.dtype in (np.float32, np.float64):
        low, high = float(image.min()), float(image.max())
        if not (low >= 0 and high <= 1):  # also where there is a NaN
            raise InputError(f'the array is {image.dtype} with values from {low:g} to {high:g}; floats must lie in 0..1.')
        image = np.rint(image * 255).astype(np.uint8)
    elif image.dtype != np.uint8:
        raise InputError(f'the array is {image.dtype}; it must be uint8, uint16, or float32 or float64 in 0..1.')
    return np.ascontiguousarray(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image)


def _parts_of(entry, index: int) -> list[_Part]:
    """What one entry of the user's list consists of."""
    if isinstance(entry, InputError):
        return [_mistake('inputs', str(entry))]
    if isinstance(entry, np.ndarray):
        return [_picture((f'array_{index:06d}',), lambda: picture_of_array(entry), f'array {index}')]
    if not isinstance(entry, str | os.PathLike):
        return [_mistake(f'input {index}', f'it is {type(entry).__name__}; it must be a path, an array, or "webcam".')]
    text = os.fspath(entry)
    if not isinstance(text, str):
        return [_mistake(f'input {index}', f'it is {text!r}; a path is text.')]
    camera = _CAMERA.fullmatch(text) if isinstance(entry, str) else None
    if camera:
        return [_camera(int(camera[1] or 0))]
    if _URL.match(text):
        return [_mistake(text, 'it is a URL; nothing is downloaded here: fetch the file and give its path.')]
    if Path(text).suffix.lower() in VIDEO_SUFFIXES and Path(text).is_file():
        return [_video(Path(text))]
    try:
        return [_file(path) for path in list_images(text)]
    except (InputError, OSError, ValueError) as error:  # ValueError: a null character in the path
        return [_mistake(text, str(error))]


def _mistake(source: str, message: str) -> _Part:
    stem = re.sub(r'\W+', '_', Path(source.replace('\0', '')).stem) or 'input'
    part = _Part((stem,))
    part.frames = lambda number: iter([Frame(part.name, None, number, source=source, error=message)])
    return part


def _file(path: Path) -> _Part:
    return _picture(_file_names(path), lambda: read_picture(path), str(path), path)


def _file_names(path: Path) -> tuple[str, ...]:
    return path.stem, path.name.replace('.', '_'), f'{path.parent.name}_{path.name}'.replace('.', '_')


def _picture(wanted: tuple[str, ...], read: Callable[[], np.ndarray], source: str, path: Path | None = None) -> _Part:
    part = _Part(wanted)

    def frames(number: int) -> Iterator[Frame]:
        try:
            image, error = read(), None
        except ValueError as problem:
            image, error = None, str(problem)
        yield Frame(part.name, image, number, path=path, source=source, error=error)
    part.frames = frames
    return part


def _video(path: Path) -> _Part:
    capture = cv2.VideoCapture(str(path))
    announced, fps = int(max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT))), capture.get(cv2.CAP_PROP_FPS)
    part = _Part(_file_names(path), count=announced or (None if capture.isOpened() else 1), in_time=True,
                 fps=fps if np.isfinite(fps) and fps > 0 else None)
    capture.release()

    def problem(read: int) -> str | None:
        if not read:
            return (f'no frame can be read from it as a video ({path.stat().st_size} bytes): it is empty, was cut, or its '
                    'codec is not known here.')
        if read < (1 - CUT_SHARE) * announced:
            return f'it ends after {read} of the {announced} frames it announces: it may have been cut.'
        return None
    part.frames = lambda _number: _moving_frames(part, str(path), path, problem)
    return part


def _camera(number: int) -> _Part:
    def problem(read: int) -> str:
        return f'camera {number} gives no more pictures after {read}.' if read else (
            f'there is no camera {number} that can be opened here; "webcam:N" takes camera N.')
    part = _Part((f'webcam_{number}',), count=None, in_time=True)
    part.frames = lambda _number: _moving_frames(part, number, None, problem)
    return part


def _moving_frames(part: _Part, what: str | int, path: Path | None, problem: Callable[[int], str | None]) -> Iterator[Frame]:
    """The frames that OpenCV gives, until it gives no more, and then the problem there may be with their number. Times are the
    container's, of a camera those of a clock."""
    capture, source = cv2.VideoCapture(what), f'webcam:{what}' if path is None else str(path)
    began = time.monotonic()
    try:
        for index in count():
            name = f'{part.name}_{index:06d}'
            there, image = capture.read()
            if not there:
                break
            if path is None:
                seconds = time.monotonic() - began
            else:
                seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                if index and seconds <= 0:  # the container tells none
                    seconds = index / part.fps if part.fps else None
            try:
                yield Frame(name, picture_of_array(image), index, seconds, path, source)
            except InputError as error:  # too small, and so are all that follow
                yield Frame(name, None, index, seconds, path, source, str(error))
                return
    finally:
        capture.release()
    message = problem(index)
    if message:
        yield Frame(name, None, index, None, path, source, message)


def _give_names(parts: Sequence[_Part]) -> None:
    """Give each part a name that no other has, also where capitals do not count: its first wish that is nobody else's, or its
    last one with a number. The name of a video or camera, to which numbers of frames are added, begins no other name."""
    asked = Counter(wish for part in parts for wish in {wish.casefold() for wish in part.wanted})
    taken: set[str] = set()
    for part in sorted(parts, key=lambda part: part.in_time):
        alone = [wish for wish in part.wanted if asked[wish.casefold()] == 1]
        last = part.wanted[-1]
        for name in chain(alone, [last], (f'{last}_{number}' for number in count(2))):
            low = name.casefold()
            if low not in taken and not (part.in_time and any(other.startswith(f'{low}_') for other in taken)):
                break
        part.name = name
        taken.add(low)
