"""Celery: the conversation travels with the task, in a header of its message.

In: Celery's signals, in the program that sends and in the worker. Out: a task records into the conversation that was
current where it was sent, also one that a chain, a chord or a retry sends. Loses: nothing; a pool process that ends
delivers what it has recorded. A conversation without consent (``record=False``) travels as one.
"""

from __future__ import annotations

import functools
from typing import Any

from .. import _runtime
from .._guard import guarded
from ..capture.conversation import conversation
from ..capture.entry import ConversationFrame
from .patches import Patches

HEADER = "agentsight_conversation"
_OPENED = "_agentsight_frame"
_SHUTDOWN_S = 5.0


def install(patches: Patches) -> None:
    """Connect to the signals of both sides."""
    from celery import signals  # noqa: PLC0415 - imported by the program, else this does not run

    for name, receiver in (
        ("before_task_publish", _send),
        ("task_prerun", _open),
        ("task_postrun", _close),
        ("worker_process_shutdown", _deliver),
    ):
        signal = getattr(signals, name)
        uid = f"agentsight_auto.{name}"
        signal.connect(receiver, weak=False, dispatch_uid=uid)
        patches.on_undo(functools.partial(signal.disconnect, dispatch_uid=uid))


@guarded
def _send(headers: dict[str, Any] | None = None, **_: Any) -> None:
    frame = _runtime.default().current.get()
    if frame is None or not isinstance(headers, dict):
        return
    scope = frame.conversation
    headers[HEADER] = {"id": scope.conversation_id, "action_id": frame.action_id, "record": scope.is_recording}


@guarded
def _open(task: Any = None, **_: Any) -> None:
    carried = task.request.get(HEADER)
    if not isinstance(carried, dict) or not isinstance(carried.get("id"), str):
        return
    block = conversation(carried["id"], record=carried.get("record") is not False)
    frame = block.open_frame(carried["id"])
    action_id = carried.get("action_id")
    frame.action_id = action_id if isinstance(action_id, str) else None
    setattr(task.request, _OPENED, frame)
    frame.begin()


@guarded
def _close(task: Any = None, retval: Any = None, state: str | None = None, **_: Any) -> None:
    frame = vars(task.request).pop(_OPENED, None)
    if isinstance(frame, ConversationFrame):
        frame.finish(None, retval if state == "FAILURE" and isinstance(retval, BaseException) else None)


@guarded
def _deliver(**_: Any) -> None:
    runtime = _runtime.default()
    if not runtime.settings.disabled:
        runtime.shutdown(_SHUTDOWN_S)
