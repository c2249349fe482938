"""A running action: what is current while the function or block runs, and is recorded when it ends.

In: a result or an error, the items of a generator. Out: one `Action` event with times, arguments, result or error.
Loses: what exceeds the value limits, which the recorded value says itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import events
from .._guard import failed, guarded
from .._settings import Settings
from ..snapshot import QUICK_INT, describe_error, snapshot
from . import arguments
from .frames import Frame

if TYPE_CHECKING:
    from .spec import ActionSpec

_STREAM_ITEMS = 100
"""Share of the limit that one yielded item which is no text uses up: so many items are kept at most."""


class ActionFrame(Frame):
    """A running action.

    In ``with track_action("name") as action:`` set `response`, `error_msg`, `tools_used` and `metadata` on it.
    """

    spec: ActionSpec = None  # type: ignore[assignment]  # always given; the order is that in which `start` gives them
    tools_used: Any = None
    metadata: Mapping[str, Any] | None = None
    started_ns: int = 0
    offset_ns: int = 0
    keeps_result: bool = False
    """What the function returns is the response, as it is or its snapshot; otherwise `_response` decides."""
    response: Any = None
    error_msg: str | None = None
    is_finished: bool = False
    stream: _Stream | None = None

    @property
    def frame(self) -> Frame:
        """The frame of the action: itself."""
        return self

    @property
    def at_us(self) -> int:
        """When the action began, in microseconds since 1970 (UTC)."""
        return (self.started_ns + self.offset_ns) // 1000

    @guarded
    def begin(self) -> None:
        """Take the time and an event id, and become current."""
        runtime = self.conversation.runtime
        self.started_ns = runtime.clock.monotonic_ns()
        self.offset_ns = runtime.clock.offset_ns
        self.action_id = runtime.ids.next(self.at_us)
        runtime.current.set(self)

    def finish(self, result: Any, error: BaseException | None) -> None:
        """Record the action with its result or error, and win back what was current before; never raises."""
        try:
            conversation = self.conversation
            runtime = conversation.runtime
            ended_ns = runtime.clock.monotonic_ns()
            outer = self.outer
            before = runtime.current.set(outer).old_value
            if before is not self:
                self.leave_after_all(before)
            if self.is_finished:
                return
            self.is_finished = True
            settings = runtime.loaded_settings or runtime.settings
            if not self.keeps_result or not (  # what `snapshot` would return as it is
                result is None
                or ((kind := type(result)) is str and len(result) < settings.max_value_bytes >> 3)
                or (kind is int and -QUICK_INT < result < QUICK_INT)
                or kind is bool
            ):
                result = self._response(result, settings)
            metadata = self.metadata
            if outer is not None and outer.is_tool:
                outer, metadata, error = outer.told_by(self, error)
            at_us = (self.started_ns + self.offset_ns) // 1000
            duration_ns = ended_ns - self.started_ns
            parent_id = None
            if outer is not None and outer.conversation.conversation_id == conversation.conversation_id:
                parent_id = outer.id_of_action()
            conversation.record(
                events.Action(
                    self.id_of_action() or "",
                    conversation.conversation_id,
                    at_us,
                    self.spec.name or "action",
                    at_us,
                    at_us + duration_ns // 1000,
                    duration_ns / 1e6,
                    self.tools_used,
                    result,
                    None if error is None and self.error_msg is None else self._error_text(error),
                    None if metadata is None else arguments.kept_metadata(metadata, settings),
                    parent_id,
                )
            )
            if conversation.is_binding:
                conversation.used_at_us = at_us + duration_ns // 1000
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ActionFrame.finish", failure)

    @guarded
    def add_item(self, item: object) -> None:
        """Count an item of a generator and keep the first ones."""
        if self.stream is None:
            settings = self.conversation.runtime.settings
            keeps = self.spec.captures_response(settings)
            self.stream = _Stream(settings.max_value_bytes if keeps else 0)
        self.stream.add(item)

    @guarded
    def close_early(self) -> None:
        """Record a generator whose consumer stopped before its end."""
        self.metadata = {**(self.metadata or {}), "is_closed_early": True}
        self.finish(None, None)

    def _response(self, result: object, settings: Settings) -> Any:
        limit_bytes = settings.max_value_bytes
        if self.response is not None:
            return snapshot(self.response, limit_bytes)
        if not self.spec.captures_response(settings):
            return None
        if self.stream is not None:
            return snapshot(self.stream.response(), limit_bytes)
        return None if result is None else snapshot(result, limit_bytes)

    def _error_text(self, error: BaseException | None) -> str | None:
        if self.error_msg is not None:
            return str(snapshot(self.error_msg, 2048))
        return None if error is None else describe_error(error)


class _Stream:
    """What a generator has yielded: its text joined, or the first items and their number."""

    __slots__ = ("_count", "_items", "_room_bytes", "_texts")

    def __init__(self, limit_bytes: int) -> None:
        self._count = 0
        self._items: list[Any] = []
        self._texts: list[str] = []
        self._room_bytes = limit_bytes

    def add(self, item: object) -> None:
        self._count += 1
        if self._room_bytes <= 0:
            return
        if type(item) is str:
            self._room_bytes -= len(item)
            self._texts.append(item)
        else:
            self._room_bytes -= self._room_bytes // _STREAM_ITEMS + 1
            self._items.append(snapshot(item, self._room_bytes))

    def response(self) -> Any:
        if self._texts and not self._items:
            return "".join(self._texts)
        return {"yielded": self._count, "items": [*self._items, *self._texts]}
