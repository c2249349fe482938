"""`conversation()`: the block, or decorator, in which everything recorded belongs to one conversation.

In: what is known of a conversation, then entering and leaving. Out: a scope with the documented ``track_*`` methods;
what was recorded in it is in the outbox when the block has been left. Loses: nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from .. import _runtime
from .._guard import failed, guarded, warn_at_most_once_a_minute
from ..exceptions import ConfigurationException
from ..helpers import generate_conversation_id
from . import arguments
from .entry import ConversationFrame
from .frames import Entries, Frame
from .scope import ConversationScope
from .shapes import positional_names, wrap_if_possible

F = TypeVar("F", bound=Callable[..., Any])


class ConversationBlock(Entries[ConversationFrame]):
    """What `conversation(...)` returns: a context manager that may be entered many times at once, and a decorator."""

    __slots__ = ("_id", "_id_from", "_is_recording", "_known", "_wait_s")

    def __init__(
        self,
        conversation_id: object,
        known: arguments.ConversationFields,
        *,
        id_from: str | Callable[..., object] | None,
        wait_s: float | None,
        is_recording: bool,
    ) -> None:
        self._id = conversation_id
        self._known = known
        self._id_from = id_from
        self._wait_s = wait_s
        self._is_recording = is_recording
        self._open = []  # what `super().__init__()` does

    def __enter__(self) -> ConversationScope:
        """Open the conversation; the result has the documented ``track_*`` methods."""
        return self._enter(id(sys._getframe(1))) or _SILENT

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the conversation: its events are safe. An exception is recorded as its outcome and goes on."""
        frame = self._take(id(sys._getframe(1)))
        if frame is not None:
            frame.finish(None, error)

    async def __aenter__(self) -> ConversationScope:
        """Open the conversation, in ``async with``."""
        return self._enter(0) or _SILENT

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the conversation, in ``async with``; what waits for the disk or for delivery waits in a thread."""
        frame = self._take(0)
        if frame is None:
            return
        await frame.finish_async(error)

    def __call__(self, function: F) -> F:
        """Decorate a function, coroutine, generator or async generator: each call is a block of its own.

        Raises:
            ConfigurationException: `id_from` names no parameter of the function.
            TypeError: a class, a property or something that cannot be called.
        """
        decorated: F = wrap_if_possible(function, lambda: _CallOpener(self, function), verb="conversation")
        return decorated

    def _enter(self, owner: int) -> ConversationScope | None:
        try:
            frame = self._open_frame(self._id)
            self.add(frame, owner)
            frame.begin()
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ConversationBlock._enter", failure)
            return None
        else:
            return frame.conversation

    def _take(self, owner: int) -> ConversationFrame | None:
        try:
            return self.take(_runtime.default_runtime.current.get(), owner)
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ConversationBlock._take", failure)
            return None

    def open_frame(self, conversation_id: object) -> ConversationFrame:
        """Return the frame of a new entry; where even that fails, one that records nothing."""
        try:
            return self._open_frame(conversation_id)
        except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
            failed("ConversationBlock.open_frame", failure)
            return ConversationFrame(_SILENT, None, None, known={}, wait_s=None)

    def _open_frame(self, conversation_id: object) -> ConversationFrame:
        runtime = _runtime.default_runtime
        settings = runtime.loaded_settings or runtime.settings
        outer = runtime.current.get()
        is_recording = (
            self._is_recording and not settings.disabled and (outer is None or outer.conversation.is_recording)
        )
        usable_id = arguments.usable_conversation_id(conversation_id)
        if usable_id is None:
            usable_id = generate_conversation_id()
            if conversation_id is not None:
                warn_at_most_once_a_minute(
                    "blank id", "agentsight-auto: the conversation id is blank; %s is used instead", usable_id
                )
        scope = ConversationScope(runtime, usable_id, is_recording=is_recording)
        return _frame_of(scope, outer, self._known, self._wait_s)

    def id_of_call(self, function: Callable[..., Any]) -> Callable[..., object]:
        """Return what tells the conversation id of a call of `function` from its arguments."""
        id_from = self._id_from
        if id_from is None:
            return lambda *_, **__: self._id
        if callable(id_from):
            return id_from
        target = getattr(function, "__func__", function)
        names, _ = positional_names(target)
        defaults = _defaults(target)
        if id_from not in defaults:
            raise ConfigurationException(
                f"id_from={id_from!r} is no parameter of {getattr(target, '__name__', target)!r}: "
                f"it has {', '.join(defaults) or 'none'}."
            )
        position = names.index(id_from) if id_from in names else sys.maxsize

        def from_parameter(*args: Any, **kwargs: Any) -> object:
            if id_from in kwargs:
                return kwargs[id_from]
            return args[position] if position < len(args) else defaults[id_from]

        return from_parameter


class _CallOpener:
    """Opens a block of its own for each call of a decorated function."""

    __slots__ = ("_block", "_id_of_call", "skips_first")

    def __init__(self, block: ConversationBlock, function: Callable[..., Any]) -> None:
        self._block = block
        self._id_of_call = block.id_of_call(function)
        self.skips_first = False

    @guarded
    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ConversationFrame | None:
        return self._block.open_frame(self._read_id(args, kwargs))

    @guarded
    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ConversationFrame | None:
        frame = self.open(args, kwargs)
        if frame is not None:
            frame.begin()
        return frame

    @guarded
    def _read_id(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        return self._id_of_call(*args, **kwargs)


_SILENT = ConversationScope(_runtime.default(), "", is_recording=False)
"""What a block gives that could not be opened."""

_UNRECORDED = ConversationBlock(None, {}, id_from=None, wait_s=None, is_recording=False)
"""Stands for a block that could not be made."""


def _frame_of(
    scope: ConversationScope, outer: Frame | None, known: arguments.ConversationFields, wait_s: float | None
) -> ConversationFrame:
    action_id = None
    if outer is not None:
        _forget_closed_blocks(outer)
        if outer.conversation.conversation_id == scope.conversation_id:
            action_id = outer.id_of_action()
    scope.frame = frame = ConversationFrame(scope, action_id, outer, known=known, wait_s=wait_s)
    return frame


def _forget_closed_blocks(frame: Frame) -> None:
    """Take closed blocks beneath a closed block out of the chain: blocks left elsewhere must not pile up here."""
    if not _is_closed_block(frame):
        return
    while frame.outer is not None and _is_closed_block(frame.outer):
        frame.outer = frame.outer.outer


def _is_closed_block(frame: Frame) -> bool:
    scope = frame.conversation
    return scope.frame is frame and not scope.is_open and not scope.is_binding


def conversation(
    conversation_id: object = None,
    *,
    customer_id: object = None,
    customer_ip_address: str | None = None,
    device: str | None = None,
    source: str | None = None,
    language: str | None = None,
    name: str | None = None,
    environment: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    id_from: str | Callable[..., object] | None = None,
    wait_s: float | None = None,
    record: bool = True,
) -> ConversationBlock:
    """Open a conversation: ``with``, ``async with``, or a decorator on any kind of function.

    Everything recorded inside belongs to it. Entering an id again continues that conversation and overrides nothing
    that is known of it. When the block has been left, its events survive the end of the process.

    Args:
        conversation_id: its id, as text of at most 255 characters; a new one by default.
        customer_id: who the customer is.
        customer_ip_address: where they are, for the world map.
        device: desktop, mobile, tablet or another text.
        source: the channel: web, whatsapp, voice ...
        language: of the conversation.
        name: shown in lists.
        environment: ``production``, ``development`` or another slug; by default the setting.
        metadata: a JSON document; its keys can be searched.
        id_from: for the decorator: the parameter that holds the id, or a callable that gets the call's arguments.
        wait_s: let leaving wait for delivery, for at most so many seconds (for serverless functions).
        record: False records nothing of this block and of what runs inside (no consent, say).

    Never raises into the program it records, and passes the program's own exceptions on unchanged.
    """
    known: arguments.ConversationFields = {
        "customer_id": customer_id,
        "customer_ip_address": customer_ip_address,
        "device": device,
        "source": source,
        "language": language,
        "name": name,
        "environment": environment,
        "metadata": metadata,
    }
    try:
        return ConversationBlock(conversation_id, known, id_from=id_from, wait_s=wait_s, is_recording=record)
    except Exception as failure:  # noqa: BLE001 - as `guarded` does, without a call of its own
        failed("conversation", failure)
        return _UNRECORDED


def current_conversation() -> ConversationScope | None:
    """Return the conversation that is current in this thread or task; None outside any."""
    return _current()


@guarded
def _current() -> ConversationScope | None:
    frame = _runtime.default().current.get()
    return None if frame is None else frame.conversation


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return all parameters with their defaults; None for those that have none."""
    import inspect  # noqa: PLC0415 - at decoration only

    parameters = inspect.signature(function).parameters.values()
    return {p.name: None if p.default is p.empty else p.default for p in parameters}
