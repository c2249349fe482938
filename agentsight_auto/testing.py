"""For tests of code that records: see what was recorded, without files and without waiting.

::

    from agentsight_auto.testing import recording

    def test_the_agent_looks_the_order_up():
        with recording() as recorded:
            handle_message("chat-1", "Where is A-17?")
        assert recorded.action_names("chat-1") == ["find_order"]

The pytest fixture `agentsight_recording` is the same around a whole test.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from . import _runtime, events
from ._clock import Clock
from ._ids import IdSource
from .deliver.memory import MemoryDestination

E = TypeVar("E", bound=events.Event)

_WAIT_S = 5.0


class ManualClock(Clock):
    """A clock that moves only when told to; starts at `start_s` seconds since 1970 (UTC)."""

    def __init__(self, start_s: float = 1_000_000_000.0) -> None:
        self._wall = round(start_s * 1e9)
        self._monotonic = 0
        super().__init__(wall_ns=lambda: self._wall, monotonic_ns=lambda: self._monotonic)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._wall += round(seconds * 1e9)
        self._monotonic += round(seconds * 1e9)

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward, or back where negative, as an administrator would."""
        self._wall += round(seconds * 1e9)


class SequentialIds(IdSource):
    """Event ids that are the same in every run: the sequence number alone."""

    def renew(self) -> None:
        """Start the sequence again."""
        self.start("700080000000")


class Recording:
    """What was recorded while `recording()` was open; every question sees all events up to now."""

    def __init__(self, runtime: _runtime.Runtime, destination: MemoryDestination) -> None:
        self._runtime = runtime
        self._destination = destination

    @property
    def events(self) -> list[events.AnyEvent]:
        """All events in the order of their capture."""
        self._runtime.flush(_WAIT_S)
        return sorted(self._destination.events, key=lambda event: (event.at_us, event.id))

    @property
    def conversation_ids(self) -> list[str]:
        """The ids of all conversations, in the order of their first event."""
        return list(dict.fromkeys(event.conversation_id for event in self.events))

    def of(self, kind: type[E], conversation_id: str | None = None) -> list[E]:
        """Return the events of one kind, of one conversation or of all."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and conversation_id in {None, event.conversation_id}
        ]

    def messages(self, conversation_id: str | None = None) -> list[tuple[str, str]]:
        """Return sender and text of the messages, in order."""
        return [(message.sender, message.content) for message in self.of(events.Message, conversation_id)]

    def actions(self, conversation_id: str | None = None) -> list[dict[str, Any]]:
        """Return the actions in order: name, tools_used, response, error_msg, duration_ms, metadata ..."""
        return [msgspec.structs.asdict(action) for action in self.of(events.Action, conversation_id)]

    def action_names(self, conversation_id: str | None = None) -> list[str]:
        """Return the names of the actions, in order."""
        return [action.action_name for action in self.of(events.Action, conversation_id)]


@contextmanager
def recording(*, clock: Clock | None = None, ids: IdSource | None = None, **settings: Any) -> Iterator[Recording]:
    """Record into memory while the block is open, whatever the settings of the process are.

    `clock` (a `ManualClock`, say) and `ids` (`SequentialIds`) make events the same in every run. Other threads record
    into it too. Nothing is written but attachments, to a temporary folder that goes with the block.

    Raises:
        ConfigurationException, InvalidConversationDataException: one of `settings` cannot be used.
    """
    destination = MemoryDestination()
    with tempfile.TemporaryDirectory(prefix="agentsight-") as folder:
        fixed = {"home": folder, "durability": "memory", "disabled": False, **settings}
        runtime = _runtime.Runtime(clock=clock, ids=ids, open_destination=lambda: destination, **fixed)
        try:
            with _runtime.used_as_default(runtime):
                yield Recording(runtime, destination)
        finally:
            runtime.shutdown(_WAIT_S)
