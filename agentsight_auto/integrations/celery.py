"""Celery: the conversation travels with the task, in a header of its message.

In: Celery's signals, in the program that sends and in the worker. Out: a task records into the conversation that was
current where it was sent, also one that a chain, a chord or a retry sends. Loses: nothing; a pool process that ends
delivers what it has recorded.
"""

from __future__ import annotations

import functools
from typing import Any

from .._guard import guarded
from ..capture.entry import ConversationFrame
from .carried import KEY, deliver_at_the_end, pack, unpack
from .patches import Patches

_OPENED = "_agentsight_frame"


def install(patches: Patches) -> None:
    """Connect to the signals of both sides."""
    from celery import signals  # noqa: PLC0415 - imported by the program, else this does not run

    for name, receiver in (
        ("before_task_publish", _send),
        ("task_prerun", _open),
        ("task_postrun", _close),
        ("worker_process_shutdown", deliver_at_the_end),
    ):
        signal = getattr(signals, name)
        uid = f"agentsight_auto.{name}"
        signal.connect(receiver, weak=False, dispatch_uid=uid)
        patches.on_undo(functools.partial(signal.disconnect, dispatch_uid=uid))


@guarded
def _send(headers: dict[str, Any] | None = None, **_: Any) -> None:
    carried = pack()
    if carried is not None and isinstance(headers, dict):
        headers[KEY] = carried


@guarded
def _open(task: Any = None, **_: Any) -> None:
    frame = unpack(task.request.get(KEY))
    if frame is not None:
        setattr(task.request, _OPENED, frame)


@guarded
def _close(task: Any = None, retval: Any = None, state: str | None = None, **_: Any) -> None:
    frame = vars(task.request).pop(_OPENED, None)
    if isinstance(frame, ConversationFrame):
        frame.finish(None, retval if state == "FAILURE" and isinstance(retval, BaseException) else None)
