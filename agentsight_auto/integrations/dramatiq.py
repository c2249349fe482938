"""Dramatiq: the conversation travels with the message, in its options.

In: the signals of a broker, in the program that sends and in the worker. Out: an actor records into the conversation
that was current where its message was sent, also one that a retry or a pipeline sends. Loses: nothing; a worker
process that ends delivers what it has recorded.
"""

from __future__ import annotations

from typing import Any

from .._guard import guarded
from ..capture.entry import ConversationFrame
from .carried import KEY, deliver_at_the_end, pack, unpack
from .patches import Patches

_OPENED = "_agentsight_frame"
_NO_FAILURES = frozenset({"Retry", "RateLimitExceeded"})


def install(patches: Patches) -> None:
    """Patch what tells a broker's middleware of each step."""
    patches.wrap("dramatiq.broker", "Broker.emit_before", _before)
    patches.wrap("dramatiq.broker", "Broker.emit_after", _after)


def _before(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    signal, message = (*args, None, None)[:2]
    if signal == "enqueue":
        _note(message)
    result = wrapped(*args, **kwargs)
    if signal == "process_message":
        _open(message)
    return result


def _after(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    signal, message = (*args, None, None)[:2]
    if signal in {"process_message", "skip_message"}:
        _close(message, kwargs.get("exception"))
    result = wrapped(*args, **kwargs)
    if signal == "worker_shutdown":
        deliver_at_the_end()
    return result


@guarded
def _note(message: Any) -> None:
    """Let a message carry the conversation; one that is sent again keeps what it carries."""
    carried = pack()
    if carried is not None:
        message.options.setdefault(KEY, carried)


@guarded
def _open(message: Any) -> None:
    frame = unpack(message.options.get(KEY))
    if frame is not None:
        vars(message)[_OPENED] = frame


@guarded
def _close(message: Any, error: BaseException | None) -> None:
    frame = vars(message).pop(_OPENED, None)
    if isinstance(frame, ConversationFrame):
        frame.finish(None, None if type(error).__name__ in _NO_FAILURES else error)
