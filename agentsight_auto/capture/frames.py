"""What is current: frames, and how they are entered and left.

In: the runtime's current variable. Out: the innermost frame of this thread or task.
Loses: nothing; a frame that is left where it is not current leaves the variable alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from .._guard import failed

if TYPE_CHECKING:
    from .running import ActionFrame
    from .scope import ConversationScope

E = TypeVar("E", bound="Frame")


class Frame(msgspec.Struct, eq=False):
    """A stretch in which a conversation, and perhaps an action in it, is current.

    A Struct, since one is made for every call of a tracked function: it is filled without running any Python.
    """

    conversation: ConversationScope
    action_id: str | None
    outer: Frame | None
    opener: object = None
    owner: int = 0
    is_tool: bool = False
    """Whether a framework runs a tool in it, whose function may be a tracked one: then `told_by` is asked."""

    __repr__ = object.__repr__

    def id_of_action(self) -> str | None:
        """Return the event id of the innermost action that is running here."""
        return self.action_id

    @property
    def is_block(self) -> bool:
        """Whether this frame opened its conversation with a block that is still open."""
        return self.conversation.frame is self and self.conversation.is_open

    def told_by(
        self, action: ActionFrame, error: BaseException | None
    ) -> tuple[Frame | None, Mapping[str, Any] | None, BaseException | None]:
        """Return what surrounds an action that ends right inside this frame, its metadata and its error."""
        return self, action.metadata, error

    def enter(self) -> None:
        """Make this frame current."""
        self.conversation.runtime.current.set(self)

    def leave(self) -> None:
        """Win back what was current before, if this frame is current here; never raises.

        Frames above it that nobody will leave any more (bindings, actions) go with it. Where another open block lies
        above it, in the interleaved use of two generators say, this frame is only taken out of the chain.
        """
        variable = self.conversation.runtime.current
        current = variable.get()
        if current is self:
            variable.set(self.outer)
        else:
            self._leave_from(current)

    def leave_after_all(self, replaced: Any) -> None:
        """Put back what was current when it was taken for this frame, and leave; `Token.MISSING` stands for nothing."""
        self.conversation.runtime.current.set(None if replaced is Token.MISSING else replaced)
        self.leave()

    def _leave_from(self, current: Frame | None) -> None:
        variable = self.conversation.runtime.current
        above = current
        while above is not None and above.outer is not self:
            above = above.outer
        if above is None:
            return  # left in a foreign thread, task or context
        frame = current
        while frame is not None and frame is not self:
            if frame.is_block:
                above.outer = self.outer
                return
            frame = frame.outer
        variable.set(self.outer)


class Resumption:
    """Makes a frame current for one stretch of the user's code, and what was current before in between.

    For what runs in pieces (a generator, a streamed response): one object for all stretches, entered around each of
    them and never held across a ``yield``. What the code itself made current in one stretch is current in the next.
    """

    __slots__ = ("_inside", "_outside", "_variable")

    def __init__(self, frame: Frame) -> None:
        self._variable = frame.conversation.runtime.current
        self._inside: Frame | None = frame
        self._outside: Frame | None = None

    def __enter__(self) -> None:
        """Make current what was current at the end of the last stretch."""
        try:
            self._outside = self._variable.get()
            self._variable.set(self._inside)
        except Exception as failure:  # noqa: BLE001 - the user's code runs all the same
            failed("Resumption.__enter__", failure)

    def __exit__(self, *_: object) -> None:
        """Win back what was current before this stretch."""
        try:
            self._inside = self._variable.get()
            self._variable.set(self._outside)
            self._outside = None
        except Exception as failure:  # noqa: BLE001 - the user's code has run all the same
            failed("Resumption.__exit__", failure)


def chain(frame: Frame | None) -> Iterator[Frame]:
    """Yield a frame and all those around it, innermost first."""
    while frame is not None:
        yield frame
        frame = frame.outer


def enclosing_block(frame: Frame | None) -> Frame | None:
    """Return the innermost frame of an open block, skipping bindings and actions."""
    while frame is not None and not frame.is_block:
        frame = frame.outer
    return frame


class Entries(Generic[E]):
    """A reusable context manager: it may be entered many times at once, and keeps its open entries.

    The entry that an exit belongs to is the innermost one of this opener that is current here, first among those of
    the same Python frame. Where none is (the block was left in another thread, task or context), it is the last one
    opened by the same Python frame, or the last one of all.
    """

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: list[E] = []

    def add(self, entry: E, owner: int) -> None:
        """Remember an entry; `owner` is the id of the Python frame that holds the with statement."""
        entry.opener = self
        entry.owner = owner
        self._open.append(entry)

    def take(self, current: Frame | None, owner: int) -> E | None:
        """Return and forget the entry that is being left."""
        entries = self._open
        if len(entries) == 1:
            try:
                return entries.pop(0)
            except IndexError:  # left already, by another thread
                return None
        here = [frame for frame in chain(current) if frame.opener is self]
        candidates: list[Frame] = [*here, *reversed(entries.copy())]
        same_owner = [frame for frame in candidates if frame.owner == owner]
        # Where __enter__ and __exit__ are called by helpers, an ExitStack say, the owners differ: then what is current.
        ranked = [frame for frame in same_owner if frame in here] + here + same_owner + candidates
        return self._forget(cast("E", ranked[0])) if ranked else None

    def _forget(self, entry: E) -> E | None:
        try:
            self._open.remove(entry)
        except ValueError:  # left already, by another thread
            return None
        return entry
