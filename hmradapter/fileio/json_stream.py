"""Large JSON files piece by piece: the text is held once, and of its values one at a time.

A list of lists of numbers needs some twenty times its text in Python objects; who turns each piece into an array as it comes
needs little more than the text.
"""
import json
from collections.abc import Iterable, Iterator

from .errors import DamagedFileError

_SPACE = ' \t\n\r'


def stream_json(path, depth: int = 1, expected: str = 'JSON') -> Iterator[tuple[tuple, object]]:
    """Yield (place, value) of everything `depth` containers deep, in the file's order; place (depth,) holds keys of objects
    (str) and numbers in lists (int). What ends higher up (a null where a list could be) comes with its shorter place.

    {"a": [7, [8]], "b": null} at depth 2 gives (('a', 0), 7), (('a', 1), [8]), (('b',), None).

    Raises:
        DamagedFileError: where the text stops being JSON; what came before it has been yielded.
    """
    for place, value, _ in _stream(path, depth, expected, 'utf-8'):
        yield place, value


def json_spans(path, depth: int = 1, expected: str = 'JSON') -> Iterator[tuple[tuple, object, tuple[int, int]]]:
    """As `stream_json`, and (start, end), the bytes of the file that hold each value: an index, by which `read_spans` reads
    it again. Text outside of ASCII has to be taken from there: in places and values it is not decoded."""
    yield from _stream(path, depth, expected, 'latin-1')  # a character a byte, and JSON's own signs are the same


def read_spans(path, spans: Iterable[tuple[int, int]], expected: str = 'JSON') -> list:
    """The values in these bytes of a JSON file."""
    values = []
    with open(path, 'rb') as file:
        for start, end in spans:
            file.seek(start)
            try:
                values.append(json.loads(file.read(end - start)))
            except (ValueError, RecursionError) as error:
                raise DamagedFileError(path, expected, error) from error
    return values


def _stream(path, depth: int, expected: str, encoding: str) -> Iterator[tuple[tuple, object, tuple[int, int]]]:
    with open(path, 'rb') as file:
        raw = file.read()
    try:
        text = raw.decode(encoding)
        del raw
        end = yield from _walk(text, _skip(text, 0), depth, ())
        if _skip(text, end) != len(text):
            raise ValueError(f'there is more after its end at character {end}')
    except (ValueError, RecursionError) as error:  # of bytes that are no text, too
        raise DamagedFileError(path, expected, error) from error


def _walk(text: str, at: int, depth: int, place: tuple) -> Iterator[tuple[tuple, object, tuple[int, int]]]:
    """What lies `depth` below the value that starts `at`; returns where it ends."""
    opening = text[at:at + 1]
    if depth == 0 or opening not in ('[', '{'):
        value, end = _DECODER.raw_decode(text, at)
        yield place, value, (at, end)
        return end
    closing, number = ']' if opening == '[' else '}', 0
    at = _skip(text, at + 1)
    if text[at:at + 1] == closing:
        return at + 1
    while True:
        key = number
        if opening == '{':
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, at)
            if not isinstance(key, str) or text[at:at + 1] != ':':
                raise ValueError(f'no key and colon before character {at}')
            at = _skip(text, at + 1)
        at = _skip(text, (yield from _walk(text, at, depth - 1, (*place, key))))
        number += 1
        mark = text[at:at + 1]
        at = _skip(text, at + 1)
        if mark == closing:
            return at
        if mark != ',':
            raise ValueError(f'neither comma nor {closing} before character {at}')


def _skip(text: str, at: int) -> int:
    """Past white space."""
    while text[at:at + 1] in _SPACE and at < len(text):
        at += 1
    return at


_DECODER = json.JSONDecoder()
