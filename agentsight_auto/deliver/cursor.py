"""The cursor: which events of a segment were answered, beside the segment, for servers that do not know repeats.

In: event ids, one by one. Out: after a crash, the ids to leave out.
Loses: the one event whose answer was on its way when the process died; it is sent again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from agentsight_auto.deliver.locks import OPEN_FLAGS

SUFFIX = ".answered"


def cursor_of(segment: Path) -> Path:
    """Return where the cursor of a segment lies."""
    return segment.with_suffix(SUFFIX)


def note_answered(segment: Path, event_id: str) -> None:
    """Note that an event was answered. One write: it is whole or it is not there.

    Raises:
        OSError: the disk refuses.
    """
    fd = os.open(cursor_of(segment), os.O_WRONLY | os.O_APPEND | os.O_CREAT | OPEN_FLAGS, 0o600)
    try:
        os.write(fd, f"{event_id}\n".encode())
    finally:
        os.close(fd)


def read_answered(segment: Path) -> set[str]:
    """Return the ids that were answered before; none without a cursor."""
    with contextlib.suppress(OSError):
        return set(cursor_of(segment).read_text("ascii", "replace").split())
    return set()


def remove_cursor(segment: Path) -> None:
    """Remove the cursor of a segment that is gone."""
    with contextlib.suppress(OSError):
        cursor_of(segment).unlink()
