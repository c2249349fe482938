"""Which events wait, of this process: asked after a send, to say of each item what became of it.

In: event ids, lines and segments. Out: those that wait or were refused. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

import msgspec

from agentsight_auto.deliver.backlog import Backlog
from agentsight_auto.deliver.segment import Segment


class _Identified(msgspec.Struct):
    id: str


_decode_id = msgspec.json.Decoder(_Identified).decode


def unanswered_among(
    wanted: set[str], lines: Collection[bytes], segments: Iterable[Segment], reasons: Mapping[str, str]
) -> dict[str, str | None]:
    """Return those of the events that still wait, on these lines or in these segments' files, or have a reason.

    The value is None for those that wait, the reason for those that were rejected.
    """
    waiting: dict[str, str | None] = dict.fromkeys(_ids(lines) & wanted)
    for segment in segments:
        with suppress(OSError):  # delivered meanwhile
            records = segment.read().records if segment.path is not None else []
            left = [line for index, line in enumerate(records) if index not in segment.answered]
            if not segment.is_done:
                waiting.update(dict.fromkeys(_ids(left) & wanted))
    return waiting | {event_id: reasons[event_id] for event_id in wanted & reasons.keys()}


def lines_in_memory(backlog: Backlog) -> list[bytes]:
    """Return the lines that wait in memory, where the disk could not take them."""
    chunks = [segment for segment in backlog.segments() if segment.path is None]
    return [line for chunk in chunks for index, line in enumerate(chunk.lines) if index not in chunk.answered]


def _ids(lines: Collection[bytes]) -> set[str]:
    ids = set()
    for line in lines:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            ids.add(_decode_id(line).id)
    return ids
