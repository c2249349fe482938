"""The conversation as it travels with a task, from the program that sends it to the worker.

In: the current conversation, or what has arrived with a task. Out: plain data for any serialiser, or the conversation
made current again. Loses: nothing; what has arrived and is none opens nothing.
A conversation without consent (``record=False``) travels as one.
"""

from __future__ import annotations

from typing import Any

from .. import _runtime
from .._guard import guarded
from ..capture.conversation import conversation
from ..capture.entry import ConversationFrame

KEY = "agentsight_conversation"
_SHUTDOWN_S = 5.0


@guarded
def pack() -> dict[str, Any] | None:
    """Return what travels; None outside a conversation."""
    frame = _runtime.default().current.get()
    if frame is None:
        return None
    scope = frame.conversation
    return {"id": scope.conversation_id, "action_id": frame.id_of_action(), "record": scope.is_recording}


@guarded
def unpack(carried: Any) -> ConversationFrame | None:
    """Make the conversation that has arrived current, inside the action that sent it; `finish` the result."""
    if not isinstance(carried, dict) or not isinstance(carried.get("id"), str):
        return None
    block = conversation(carried["id"], record=carried.get("record") is not False)
    frame = block.open_frame(carried["id"])
    action_id = carried.get("action_id")
    frame.action_id = action_id if isinstance(action_id, str) else None
    frame.begin()
    return frame


@guarded
def deliver_at_the_end(**_: Any) -> None:
    """Deliver what a worker process has recorded: such processes end without running what is registered for exit."""
    runtime = _runtime.default()
    if not runtime.settings.disabled:
        runtime.shutdown(_SHUTDOWN_S)
