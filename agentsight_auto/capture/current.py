"""Which conversation an event belongs to: the current one, a binding, or an implicit one.

In: the runtime. Out: the frame of this thread or task. Loses: nothing; outside any conversation an implicit one is
opened for this thread or task, and a warning says so once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._guard import logger, warn_at_most_once_a_minute
from ..helpers import generate_conversation_id
from .arguments import usable_conversation_id
from .frames import Frame, enclosing_block
from .scope import ConversationScope

if TYPE_CHECKING:
    from .._runtime import Runtime


def live_frame(runtime: Runtime) -> Frame | None:
    """Return the frame that is current here, if it is not a binding that has been idle for too long."""
    frame = runtime.current.get()
    if frame is None or not frame.conversation.is_binding or frame is not frame.conversation.frame:
        return frame  # inside a running action the conversation is in use, however long it takes
    idle_us = runtime.clock.now_us() - frame.conversation.used_at_us
    return None if idle_us > runtime.settings.idle_minutes * 60e6 else frame


def frame_for_recording(runtime: Runtime, *, hold: bool) -> Frame:
    """Return the current frame, or that of an implicit conversation which becomes current here.

    With `hold` the implicit conversation waits for `send_tracked_data()`, as tracker calls outside a block do.
    """
    frame = live_frame(runtime)
    if frame is not None:
        return frame
    settings = runtime.settings
    if settings.disabled:
        return Frame(ConversationScope(runtime, "", is_recording=False), None, None)
    known_id = usable_conversation_id(settings.conversation_id)
    conversation_id = known_id or generate_conversation_id()
    scope = _bind(runtime, conversation_id, None, is_held=hold)
    if known_id is None and not runtime.has_warned_of_implicit:
        runtime.has_warned_of_implicit = True
        logger.warning(
            "agentsight-auto: recorded outside a conversation; opened %s for this thread or task. "
            "Use conversation(...) around it; propagate(...) or instrument('threads') carry it into threads.",
            conversation_id,
        )
    scope.record_start({"environment": settings.environment})
    assert scope.frame is not None
    return scope.frame


def bind(runtime: Runtime, conversation_id: str, known: dict[str, Any] | None) -> ConversationScope:
    """Make a conversation current for the rest of this thread or task, and record what is known of it.

    The scope that is current already is kept if it has this id.
    """
    frame = live_frame(runtime)
    scope = None if frame is None else frame.conversation
    if scope is None or scope.conversation_id != conversation_id:
        block = enclosing_block(frame)
        is_recording = not runtime.settings.disabled and (block is None or block.conversation.is_recording)
        scope = _bind(runtime, conversation_id, block, is_held=block is None, is_recording=is_recording)
    if known is not None:
        _warn_of_second_customer(scope, known.get("customer_id"))
        scope.record_start(known)
    return scope


def _bind(
    runtime: Runtime, conversation_id: str, outer: Frame | None, *, is_held: bool, is_recording: bool = True
) -> ConversationScope:
    scope = ConversationScope(runtime, conversation_id, is_recording=is_recording, is_binding=True, is_held=is_held)
    scope.used_at_us = runtime.clock.now_us()
    scope.frame = Frame(scope, None, outer)
    scope.frame.enter()
    return scope


def _warn_of_second_customer(scope: ConversationScope, customer_id: str | None) -> None:
    if scope.is_binding and scope.customer_id and customer_id and customer_id != scope.customer_id:
        warn_at_most_once_a_minute(
            "second customer",
            "agentsight-auto: conversation %s is bound to this thread or task and now gets a second customer. "
            "Use conversation(...) around each request, so that one does not record into the other's.",
            scope.conversation_id,
        )
