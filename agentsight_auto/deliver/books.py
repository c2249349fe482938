"""The two ways of keeping account of delivered segments: this process's own, and those of dead processes.

In: verdicts. Out: counts, and files that are gone. Loses: nothing; what was not answered is counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from agentsight_auto.deliver.backlog import Backlog
from agentsight_auto.deliver.cursor import remove_cursor
from agentsight_auto.deliver.delivery import Verdict
from agentsight_auto.deliver.gate import Gate
from agentsight_auto.deliver.segment import Segment


class OwnBooks:
    """Account for this process's own segments, taking turns with the threads that record."""

    def __init__(self, gate: Gate, backlog: Backlog) -> None:
        self._gate = gate
        self._backlog = backlog

    def begin(self, segment: Segment) -> bool:
        """Claim a segment, unless a bound or the disk's recovery has taken it away."""
        return self._gate.call(lambda: self._backlog.begin(segment))

    def note(self, verdicts: Iterable[Verdict]) -> None:
        """Count answered records."""
        self._gate.call(lambda: self._note(verdicts))

    def settle(self, segment: Segment, reason: str) -> None:
        """Forget a segment, remove its file, and count what was not answered as lost for this reason."""
        self._gate.call(lambda: self._backlog.drop(segment, reason))

    def _note(self, verdicts: Iterable[Verdict]) -> None:
        counts = self._backlog.counts
        for verdict in verdicts:
            verdict.segment.answered.add(verdict.position)
            if verdict.reason is None:
                counts.delivered += 1
            else:
                counts.reject(verdict.reason)


class AdoptedBooks:
    """Account for the segments of dead processes, whose folder this process has locked.

    What was answered is remembered by path, so that trying again after a failure neither sends nor counts it twice.
    """

    def __init__(self, backlog: Backlog) -> None:
        self._counts = backlog.counts
        self._segments: dict[Path, Segment] = {}

    def segment(self, path: Path) -> Segment:
        """Return the segment at `path`, with what is known of it."""
        return self._segments.setdefault(path, Segment(path, is_adopted=True))

    def forget_vanished(self) -> None:
        """Forget what other processes have delivered meanwhile."""
        for path in [path for path in self._segments if not path.exists()]:
            del self._segments[path]

    def begin(self, segment: Segment) -> bool:
        """Claim a segment: the folder is locked, so it is ours."""
        return not segment.is_done

    def note(self, verdicts: Iterable[Verdict]) -> None:
        """Count delivered records, apart from this process's own balance."""
        for verdict in verdicts:
            verdict.segment.answered.add(verdict.position)
            self._counts.adopted += verdict.reason is None

    def settle(self, segment: Segment, reason: str) -> None:
        """Forget a segment and remove its file."""
        segment.is_done = True
        if segment.path is not None:
            self._segments.pop(segment.path, None)
            with contextlib.suppress(OSError):
                segment.path.unlink()
            remove_cursor(segment.path)
