"""Look into the outbox without disturbing it: what waits, whose it is, how old it is.

In: the outbox's path. Out: an `OutboxSummary`. Loses: nothing; what changes while it is read is told as it was seen.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from agentsight_auto.deliver.folders import is_dead, process_folders, segment_paths
from agentsight_auto.deliver.rejected import Rejected
from agentsight_auto.deliver.report import OutboxShare, OutboxSummary
from agentsight_auto.deliver.segment import parse
from agentsight_auto.deliver.set_aside import CORRUPT, NEWER, count_set_aside


def look_into(outbox: Path, own: Path | None, memory_events: int) -> OutboxSummary:
    """Return what waits in the outbox; `own` is the folder of this process."""
    shares = [_share(path, own) for path in process_folders(outbox)]
    return OutboxSummary(
        shares=[share for share in shares if share.segments or share.owner != "dead"],
        memory_events=memory_events,
        damaged=count_set_aside(outbox, CORRUPT),
        newer=count_set_aside(outbox, NEWER),
        rejected=Rejected(outbox).count(),
    )


def _share(path: Path, own: Path | None) -> OutboxShare:
    owner = "this" if path == own else "dead" if is_dead(path) else "living"
    segments = events = size_bytes = 0
    ages_s = []
    for segment in segment_paths(path):
        with contextlib.suppress(OSError):
            data = segment.read_bytes()
            ages_s.append(max(time.time() - segment.stat().st_mtime, 0.0))
            segments, events, size_bytes = segments + 1, events + len(parse(data).records), size_bytes + len(data)
    return OutboxShare(path.name, owner, segments, size_bytes, events, max(ages_s, default=None))
