"""Threads and thread pools carry the conversation in which they were given their work.

In: ``Thread.start`` and ``ThreadPoolExecutor.submit``, which ``map``, ``run_in_executor`` and ``Timer`` come down to
(``run_coroutine_threadsafe`` and ``to_thread`` carry it by themselves). Out: the same calls; what runs there records
into the conversation, and the action, that was current where it was handed over. Loses: nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .. import _runtime
from .._guard import guarded
from ..capture.frames import Frame, Resumption
from ..deliver import journal, worker
from .patches import Patches

_OUR_THREADS = frozenset({worker.THREAD_NAME, journal.THREAD_NAME})


def install(patches: Patches) -> None:
    """Wrap the two calls that everything comes down to."""
    patches.wrap("threading", "Thread.start", _start)
    patches.wrap("concurrent.futures.thread", "ThreadPoolExecutor.submit", _submit)


def _start(wrapped: Callable[..., Any], thread: threading.Thread, args: Any, kwargs: Any) -> Any:
    frame = _runtime.default().current.get()
    if frame is None or thread.ident is not None or thread.name in _OUR_THREADS:
        return wrapped(*args, **kwargs)
    _let_run_within(frame, thread)
    try:
        return wrapped(*args, **kwargs)
    except BaseException:
        _forget_run(thread)
        raise


@guarded
def _let_run_within(frame: Frame, thread: threading.Thread) -> None:
    """Put a `run` before the thread's own, whatever its class; it takes itself away when it starts."""
    run = thread.run

    def run_within() -> None:
        _forget_run(thread)
        with Resumption(frame):
            run()

    run_within.is_agentsight = True  # type: ignore[attr-defined]
    if "run" not in vars(thread):
        vars(thread)["run"] = run_within


def _forget_run(thread: threading.Thread) -> None:
    if getattr(vars(thread).get("run"), "is_agentsight", False):
        del vars(thread)["run"]


def _submit(wrapped: Callable[..., Any], executor: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    del executor
    variable = _runtime.default().current
    frame = variable.get()
    if frame is None or not args:
        return wrapped(*args, **kwargs)
    function, *rest = args
    variable.set(None)  # a thread that the pool starts now outlives this conversation
    try:
        return wrapped(_Carried(function, frame), *rest, **kwargs)
    finally:
        variable.set(frame)


class _Carried:
    """A function that runs within a frame."""

    __slots__ = ("_frame", "_function")

    def __init__(self, function: Callable[..., Any], frame: Frame) -> None:
        self._function = function
        self._frame = frame

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with Resumption(self._frame):
            return self._function(*args, **kwargs)
