"""The call of a plain function with small arguments and a small result: most calls, and the shortest way for them.

In: what `ActionFrame` gets. Out: what an `Action` event is made of: id, event and JSON are put together when the buffer
is written, not while the caller waits. Loses: nothing; a call that turns out to be another `ActionFrame` records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from .. import events
from .._guard import failed
from .._ids import event_id
from .._lines import line_of
from ..snapshot import QUICK_INT
from .running import ActionFrame

if TYPE_CHECKING:
    from .spec import ActionSpec

SMALL_TEXT = 256
"""Texts of fewer characters are small; so are None, bools and the numbers that `snapshot` keeps as they are."""
SMALL_COUNT = 4
"""Calls of more arguments are not small: what one keeps would exceed by far what it counts for."""
_SMALL_BYTES = 512
"""What such a call counts for, against the bounds of what is buffered."""


class SmallCall(ActionFrame):
    """A running call with small arguments; until it ends, `tools_used` is the tuple of them.

    Its event id is put together when somebody asks for it, from the `number` and the `process` of the ids.
    """

    number: int = 0
    process: str = ""

    def id_of_action(self) -> str:
        """Return the event id."""
        return event_id((self.started_ns + self.offset_ns) // 1000, self.process, self.number)

    def finish(self, result: Any, error: BaseException | None) -> None:
        """Take the call in, and win back what was current before; never raises."""
        try:
            conversation = self.conversation
            runtime = conversation.runtime
            outer = self.outer
            if (
                error is None
                and (
                    result is None
                    or ((kind := type(result)) is str and len(result) < SMALL_TEXT)
                    or (kind is int and -QUICK_INT < result < QUICK_INT)
                    or kind is bool
                )
                and outer is not None
                and not outer.is_tool
                and runtime.processing is None
            ):
                ended_ns = runtime.clock.monotonic_ns()
                before = runtime.current.set(outer).old_value
                if before is not self:
                    self.leave_after_all(before)
                around, parent_id = outer.conversation, None
                if around is conversation or around.conversation_id == conversation.conversation_id:
                    parent_id = outer.id_of_action() if type(outer) is SmallCall else outer.action_id
                runtime.take_in(
                    _FinishedCall(
                        self.spec,
                        self.process,
                        self.number,
                        conversation.conversation_id,
                        self.started_ns,
                        self.offset_ns,
                        ended_ns,
                        self.tools_used,
                        result,
                        parent_id,
                    ),
                    _SMALL_BYTES,
                    conversation,
                )
                return
            self.tools_used = self.spec.told(self.tools_used)
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("SmallCall.finish", failure)
            return
        ActionFrame.finish(self, result, error)


class _FinishedCall(msgspec.Struct, gc=False):
    """What a call leaves behind. Nothing in it changes, and nothing of it leads back to the scope that remembers it."""

    spec: ActionSpec
    process: str
    number: int
    conversation_id: str
    started_ns: int
    offset_ns: int
    ended_ns: int
    arguments: tuple[Any, ...]
    response: Any
    parent_id: str | None

    def line(self) -> bytes:
        """Return the line of the event."""
        at_us = (self.started_ns + self.offset_ns) // 1000
        duration_ns = self.ended_ns - self.started_ns
        spec = self.spec
        return line_of(
            events.Action(
                event_id(at_us, self.process, self.number),
                self.conversation_id,
                at_us,
                spec.name or "action",
                at_us,
                at_us + duration_ns // 1000,
                duration_ns / 1e6,
                spec.told(self.arguments),
                self.response,
                None,
                None,
                self.parent_id,
            )
        )
