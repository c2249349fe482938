"""What the runtime must know of whoever records through it: the conversation scopes of `capture`."""

from __future__ import annotations

from typing import Protocol

from ._lines import Captured


class Unsent(Protocol):
    """What a scope remembers of what it has recorded since its last send: its events as they wait, oldest first."""

    generation: int
    """Of the process that recorded them: after a fork the parent sends them, and the child starts afresh."""

    items: list[bytes | Captured]
    size_bytes: int
    limit_bytes: int

    def start_afresh(self, generation: int) -> None:
        """Forget what the parent process recorded."""

    def let_go(self) -> None:
        """Let go of content, down to the limit; callers take turns."""


class Recorder(Protocol):
    """What the runtime must know of the conversation scope an event belongs to."""

    key: str
    """Names the held segment of a binding that was made outside any block."""

    is_open: bool
    """The block has not been left: its events are written when it is, or after the journal interval."""

    is_held: bool
    """Events are written at once and wait for `send_tracked_data()`."""

    @property
    def unsent(self) -> Unsent:
        """What it remembers for `send_tracked_data()`."""
