"""Pieces of a JSON file are those of the whole; damage is named, wherever it is."""
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmradapter.fileio import DamagedFileError, json_spans, read_spans, stream_json

VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
                      lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
                      max_leaves=20)


def pieces(value, depth, place=()):
    """What a stream gives, from the whole value."""
    if depth == 0 or not isinstance(value, (list, dict)):
        return [(place, value)]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [piece for key, one in inner for piece in pieces(one, depth - 1, (*place, key))]


@given(VALUES, st.integers(0, 3), st.sampled_from([None, 1]))
def test_pieces_are_those_of_the_whole(tmp_path_factory, value, depth, indent):
    path = tmp_path_factory.getbasetemp() / 'value.json'
    path.write_text(json.dumps(value, indent=indent) + '\n')
    assert list(stream_json(path, depth)) == pieces(value, depth)


@given(VALUES, st.integers(0, 3), st.booleans())
def test_pieces_are_read_again_from_their_bytes(tmp_path_factory, value, depth, ascii_only):
    path = tmp_path_factory.getbasetemp() / 'value.json'
    path.write_text(json.dumps(value, indent=1, ensure_ascii=ascii_only), encoding='utf-8')
    spans = [span for *_, span in json_spans(path, depth)]
    assert read_spans(path, spans) == [piece for _, piece in pieces(value, depth)]


def test_bytes_that_are_no_text_are_named_when_they_are_read(tmp_path):
    path = tmp_path / 'value.json'
    path.write_bytes(b'[1, "\xff"]')
    spans = [span for *_, span in json_spans(path)]
    assert read_spans(path, spans[:1]) == [1]
    with pytest.raises(DamagedFileError, match=r'value.json cannot be read as names'):
        read_spans(path, spans, 'names')


def test_the_docstring_s_example(tmp_path):
    path = tmp_path / 'value.json'
    path.write_text('{"a": [7, [8]], "b": null}')
    assert list(stream_json(path, 2)) == [(('a', 0), 7), (('a', 1), [8]), (('b',), None)]


@pytest.mark.parametrize('text', ['', '[', '[1,', '[1 2]', '{"a" 1}', '{1:2}', '[1]]', '{"a":1,}', '[1,]', '[nul]', '"abc',
                                  '[1] x', '[' * 100_000, b'\xff\xfe[1]'])
def test_damage_is_named(tmp_path, text):
    path = tmp_path / 'value.json'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for depth in (0, 1, 2, 10_000):
        with pytest.raises(DamagedFileError, match=r'value.json cannot be read as a list of hands'):
            list(stream_json(path, depth, 'a list of hands'))


def test_a_missing_file_is_said_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        list(stream_json(tmp_path / 'none.json'))
