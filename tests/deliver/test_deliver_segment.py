"""The format of a segment survives damage."""

from __future__ import annotations

from zlib import crc32

from hypothesis import example, given
from hypothesis import strategies as st

from agentsight_auto.deliver.segment import FORMAT_VERSION, HEADER, LINES_OF_A_RECORD, frame, frames, parse

from .support import make_lines

LINES = make_lines(12, "a customer's words, 100 of them 0123abcd 12 {")


def written(lines: list[bytes]) -> bytes:
    """Return the bytes of a whole segment, each line in a record of its own."""
    return HEADER + b"".join(frame([line]) for line in lines)


def one_line(data: bytes) -> bytes:
    """JSON contains no line ends."""
    return data.replace(b"\n", b"")


LINE = st.binary(max_size=300).map(one_line)


@given(st.lists(st.lists(LINE, min_size=1, max_size=2 * LINES_OF_A_RECORD + 1)))
@example([[b""], [b"", b""]])
def test_what_was_written_is_read(appends: list[list[bytes]]) -> None:
    """Any lines come back as they were, in order, however many were written together."""
    data = HEADER + b"".join(record for lines in appends for record in frames(lines))
    assert parse(data) == ([line for lines in appends for line in lines], [], False)


@given(st.lists(LINE))
def test_what_version_1_wrote_is_read(lines: list[bytes]) -> None:
    """Segments that an earlier version left are delivered."""
    title = b"agentsight-outbox 1"
    records = b"".join(b"%08x %d %b\n" % (crc32(line), len(line), line) for line in lines)
    assert parse(b"%s %08x\n" % (title, crc32(title)) + records) == (lines, [], False)


def test_damage_harms_at_most_the_lines_of_one_record() -> None:
    """Many lines that were written together are not lost together."""
    lines = make_lines(5 * LINES_OF_A_RECORD)
    data = bytearray(HEADER + b"".join(frames(lines)))
    data[len(data) // 2] ^= 1
    assert len(parse(bytes(data)).records) == 4 * LINES_OF_A_RECORD


@given(st.data())
def test_every_undamaged_record_is_read_whatever_happens_to_the_others(data: st.DataObject) -> None:
    """Random bytes over random stretches cost exactly the records that they touch."""
    whole = written(LINES)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 700)))
    noise = data.draw(st.binary(max_size=700) | st.just(b"\0" * (end - start)))
    ends, position = [], len(HEADER)
    for line in LINES:
        ends.append((position, position + len(frame([line]))))
        position = ends[-1][1]
    untouched = [line for line, (first, last) in zip(LINES, ends, strict=True) if last <= start or first >= end]
    records = parse(whole[:start] + noise + whole[end:]).records
    assert [line for line in records if line in untouched] == untouched


@given(st.binary(max_size=2000))
def test_noise_is_damage_and_never_an_error(noise: bytes) -> None:
    """Bytes that nobody wrote are set aside, all of them."""
    contents = parse(noise)
    assert b"".join(contents.damaged) == noise or contents.records


def test_a_torn_last_record_costs_only_itself() -> None:
    """A process that died while writing leaves all but the last record."""
    contents = parse(written(LINES)[:-20])
    assert contents.records == LINES[:-1]
    assert len(contents.damaged) == 1


def test_a_missing_last_line_end_is_forgiven() -> None:
    """A record whose checksum is good counts, even if its line end is gone."""
    assert parse(written(LINES)[:-1]).records == LINES


def test_a_newer_version_is_left_alone() -> None:
    """A header of a later version, with a good checksum, is not ours to read."""
    title = b"agentsight-outbox %d" % (FORMAT_VERSION + 1)
    assert parse(b"%s %08x\nwhatever" % (title, crc32(title))) == ([], [], True)


def test_a_damaged_version_number_is_damage() -> None:
    """One flipped bit in the version does not make the records unreadable."""
    data = written(LINES).replace(b"agentsight-outbox %d" % FORMAT_VERSION, b"agentsight-outbox 9", 1)
    contents = parse(data)
    assert contents.records == LINES
    assert not contents.is_newer


def test_text_that_looks_like_a_record_is_not_one_while_it_is_inside_an_undamaged_record() -> None:
    """What a customer writes cannot end a record."""
    inner = frame([b'{"kind":"message"}']).decode()
    lines = make_lines(2, inner)
    assert parse(written(lines)).records == lines
