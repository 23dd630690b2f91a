"""Samples of HaMeR's training tars, in place or from a stream: `<key>.jpg` (jpeg, png) and `<key>.data.pyd` beside each other.

One reading for the source that indexes tars and for the stream that shuffles them, so both give the same hands. Members with
other endings (`detection.npz`: masks) are not read. Pickles are read without running them (`fileio`).
Source: HaMeR `datasets/image_dataset.py:load_tars_as_webdataset`, webdataset `tariterators.py` (which members belong together).
"""
import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from hmradapter.fileio import DamagedFileError
from hmradapter.fileio.pickles import unpickle

from ..images import ImageFileError, decode_image, probe_encoded
from ..store.units import KEY_BYTES
from .hamer import HandFilters, Hands, clean, hands_of_dicts

IMAGES = ('jpg', 'jpeg', 'png')
LABELS = 'data.pyd'
# as webdataset divides names; what starts with __ is about the tar
_NAME = re.compile(r'^((?:.*/|)[^.]+)[.]([^/]*)$')
Drop = Callable[[str, str, str], None]  # reason, name of what is left out, and what is wrong with it where that is not obvious


class Member(NamedTuple):
    """A file in a tar: its name, where its bytes begin, and the bytes."""
    name: str
    offset: int
    data: bytes


class HandSample(NamedTuple):
    """One image and the hands of it that are kept: hands (n), their numbers in the image's list, and size (W, H)."""
    key: str
    image: Member
    size: tuple[int, int]
    hands: Hands
    numbers: np.ndarray


class _StrictHeader(tarfile.TarInfo):
    """A header whose damage is an error wherever it stands; `tarfile` takes one in the middle for the tar's end."""

    @classmethod
    def fromtarfile(cls, tar):
        try:
            return super().fromtarfile(tar)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError, tarfile.EmptyHeaderError) as error:
            raise tarfile.ReadError(f'{error} at byte {tar.offset}') from error


def hand_samples(file, tar: str, filters: HandFilters, drop: Drop, streamed: bool = False,
                 verify: bool = False) -> Iterator[HandSample]:
    """Samples of an open tar with at least one hand to give, in the tar's order.

    Args:
        tar: its path, for messages.
        drop: told of whatever is left out; what lies before a tar's damage is given, but for the image next to it.
        streamed: read it once from front to end, compressed or not; `offset`s then mean nothing.
        verify: decode every image.

    Raises:
        UnsafeFileError: labels that ask for code; names tar and member.
    """
    try:
        for key, members in _grouped(_members(file, streamed), drop, tar):
            sample = _sample(key, members, tar, filters, drop, verify)
            if sample is not None:
                yield sample
    except (tarfile.TarError, EOFError, OSError) as error:
        drop('damaged_tar', tar, str(DamagedFileError(tar, 'a tar whose rest is whole', error)))


def sample_key(dataset: str, tar: str, key: str, number: int) -> str:
    """The name of a hand: data set, tar, key of the image and number of the hand. A key too long for a record gives way to its
    hash."""
    name = f'{dataset}/{tar}/{key}/{number}'
    if len(name.encode()) > KEY_BYTES:
        name = f'{dataset}/{tar}/~{hashlib.sha256(key.encode()).hexdigest()[:16]}/{number}'
    return name


def _members(file, streamed: bool) -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode='r|*' if streamed else 'r:', tarinfo=_StrictHeader) as tar:
        for info in tar:
            if info.isreg() and not info.issparse() and _ending(info.name) in (*IMAGES, LABELS):
                data = tar.extractfile(info).read()
                if len(data) != info.size:
                    raise tarfile.ReadError(f'{info.name} has {len(data)} of {info.size} bytes')
                yield Member(info.name, info.offset_data, data)


def _ending(name: str) -> str | None:
    parts = _NAME.match(name)
    return None if parts is None or parts[1].startswith('__') else parts[2].lower()


def _grouped(members: Iterator[Member], drop: Drop, tar: str) -> Iterator[tuple[str, dict[str, Member]]]:
    """(key, {ending: member}) of neighbours with the same key. The last, cut off by damage, is not given."""
    key, group = None, {}
    for member in members:
        name, ending = _NAME.match(member.name)[1], _ending(member.name)
        if name != key and key is not None:
            yield key, group
        if name != key:
            key, group = name, {}
        if ending in group:
            drop('member_twice', f'{tar}:{member.name}', '')
        group.setdefault(ending, member)
    if key is not None:
        yield key, group


def _sample(key: str, members: dict[str, Member], tar: str, filters: HandFilters, drop: Drop,
            verify: bool) -> HandSample | None:
    image = next((members[ending] for ending in IMAGES if ending in members), None)
    if image is None or LABELS not in members:
        drop('image_without_labels' if image else 'labels_without_image', f'{tar}:{key}', '')
        return None
    labels, name = members[LABELS], f'{tar}:{members[LABELS].name}'
    try:
        hands = hands_of_dicts(unpickle(io.BytesIO(labels.data), name), name)
        size = probe_encoded(image.data, f'{tar}:{image.name}')
        if verify:
            decode_image(np.frombuffer(image.data, np.uint8), f'{tar}:{image.name}')
    except DamagedFileError as error:
        drop('damaged_labels', name, str(error))
        return None
    except ImageFileError as error:
        drop('corrupt_image', f'{tar}:{image.name}', str(error))
        return None
    hands, why = clean(hands, filters, np.tile(size, (len(hands.loss), 1)))
    for number in np.flatnonzero(why != ''):
        drop(str(why[number]), f'{tar}:{key}, hand {number}', '')
    kept = np.flatnonzero(why == '')
    return HandSample(key, image, size, hands.take(kept), kept) if len(kept) else None
