from __future__ import annotations

import io
import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto.interchange.reading import Item, Unreadable, read_items


def read(data: bytes, **options: int) -> list[Item]:
    """Read all items of some bytes."""
    return list(read_items(io.BytesIO(data), **options))


def reasons(items: list[Item]) -> dict[int, str]:
    """Why lines could not be read, by line number."""
    return {item.line: item.value.reason for item in items if isinstance(item.value, Unreadable)}


class Source(io.RawIOBase):
    """A file of very many lines that counts what is read of it."""

    def __init__(self, line: bytes) -> None:
        self._endless = itertools.cycle(line)
        self.given_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.given_bytes > 100_000_000:
            return 0
        buffer[:] = bytes(itertools.islice(self._endless, len(buffer)))
        self.given_bytes += len(buffer)
        return len(buffer)


def test_each_line_is_one_value_with_its_number() -> None:
    """Blank lines are passed over but counted, and the last line needs no end."""
    items = read(b'{"id": 1}\n\n  \r\n{"id": 2}\r\n{"id": 3}')
    assert [(item.line, item.value) for item in items] == [(1, {"id": 1}), (4, {"id": 2}), (5, {"id": 3})]


def test_a_damaged_line_is_told_and_the_rest_is_read() -> None:
    """Torn JSON and bytes that are not UTF-8 harm only their own line."""
    items = read(b'{"id": 1}\n{"id": \n{"id": "\xff"}\n{"id": 4}\n')
    assert [item.line for item in items] == [1, 2, 3, 4]
    assert set(reasons(items)) == {2, 3}
    assert "not UTF-8" in reasons(items)[3]


def test_a_damaged_first_line_does_not_hide_the_others() -> None:
    """A first line that looks like the beginning of an array is reported, and the following lines are read."""
    items = read(b'[{"id": 1},\n{"id": 2}\n\n{"id": 4}\n')
    assert [(item.line, item.value) for item in items if item.line > 1] == [(2, {"id": 2}), (4, {"id": 4})]
    assert set(reasons(items)) == {1}


def test_an_array_gives_its_items() -> None:
    """One JSON array, on one line or indented over many, is as good as lines."""
    document = [{"id": "a", "messages": []}, {"id": "b", "messages": []}]
    for text in (json.dumps(document), json.dumps(document, indent=2)):
        items = read(text.encode())
        assert [item.value for item in items] == document
        assert [item.position for item in items] == [1, 2]


def test_an_indented_object_is_one_conversation() -> None:
    """A single conversation as an editor formats it is read whole."""
    document = {"id": "a", "messages": []}
    assert [item.value for item in read(json.dumps(document, indent=4).encode())] == [document]


def test_a_list_of_messages_is_one_conversation() -> None:
    """What has roles is a transcript, not a list of conversations."""
    transcript = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert [item.value for item in read(json.dumps(transcript).encode())] == [transcript]


def test_a_byte_order_mark_does_no_harm() -> None:
    """Files from Windows begin with one; UTF-16 is named as such."""
    assert [item.value for item in read(b'\xef\xbb\xbf{"id": 1}\n')] == [{"id": 1}]
    assert "UTF-16" in reasons(read('{"id": 1}\n'.encode("utf-16")))[1]


def test_what_python_writes_beyond_json_is_read() -> None:
    """NaN, infinities and lone surrogates come from json.dumps and are no reason to refuse a line."""
    (item,) = read(b'{"a": NaN, "b": [Infinity, 1e400], "c": "\\ud800"}')
    assert set(item.value) == {"a", "b", "c"}


def test_a_line_beyond_the_limit_is_passed_over() -> None:
    """A line that is too long is one bad line; the next is found where it begins."""
    items = read(b'{"id": 1}\n{"text": "%s"}\n{"id": 3}\n' % (b"x" * 500), max_line_bytes=100)
    assert [(item.line, isinstance(item.value, Unreadable)) for item in items] == [(1, False), (2, True), (3, False)]
    assert "longer" in reasons(items)[2]


def test_nesting_without_end_is_a_bad_line() -> None:
    """A million brackets are told, not died of."""
    items = read(b'{"id": 1}\n' + b"[" * 1_000_000 + b'\n{"id": 3}\n')
    assert [isinstance(item.value, Unreadable) for item in items] == [False, True, False]


def test_a_large_file_is_not_read_at_once() -> None:
    """The first conversation comes after a buffer's worth of reading, not after the whole file."""
    source = Source(b'{"id": "a", "messages": []}\n')
    next(read_items(io.BufferedReader(source)))
    assert source.given_bytes < 1_000_000


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"[", b"{", b"[]", b"[{}", b"{}", b"null"]))))
def test_no_file_makes_reading_fail(lines: list[bytes]) -> None:
    """Whatever the bytes, every value has a line number within the file."""
    data = b"\n".join(lines)
    for item in read(data):
        assert 1 <= item.line <= data.count(b"\n") + 1


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.floats(allow_nan=False)), min_size=1))
def test_lines_of_objects_come_back(objects: list[dict[str, object]]) -> None:
    """What JSON lines hold is what is read, in order."""
    data = b"".join(json.dumps(value).encode() + b"\n" for value in objects)
    assert [item.value for item in read(data)] == objects
