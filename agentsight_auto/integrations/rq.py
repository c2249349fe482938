"""RQ: the conversation travels with the job, in its `meta`.

In: jobs as they are made, and as a worker performs them. Out: a job records into the conversation that was current
where it was made. Loses: nothing; a work horse that ends delivers what it has recorded.
"""

from __future__ import annotations

import sys
from typing import Any

from .._guard import guarded
from ..capture.entry import ConversationFrame
from .around import around
from .carried import KEY, deliver_at_the_end, pack, unpack
from .patches import Patches


class _Performed:
    """A job that is being performed."""

    def __init__(self, frame: ConversationFrame) -> None:
        self._frame = frame

    def end(self, result: Any) -> None:
        """End it with its result."""
        self._frame.finish(result, None)

    def fail(self, error: BaseException) -> None:
        """End it with an exception, which RQ notes, too."""
        self._frame.finish(None, error)


def install(patches: Patches) -> None:
    """Patch what makes a job, what performs it, and what a work horse does before it ends."""
    patches.wrap("rq.job", "Job.create", _create)
    patches.wrap("rq.job", "Job.perform", around(_start, _Performed.end))
    kinds: Any = sys.modules["rq.worker"].Worker.__mro__
    patches.wrap(next(kind for kind in kinds if "perform_job" in vars(kind)), "perform_job", _perform_job)


def _create(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    del instance
    job = wrapped(*args, **kwargs)
    _note(job)
    return job


@guarded
def _note(job: Any) -> None:
    carried = pack()
    if carried is not None:
        job.meta = {**job.meta, KEY: carried}


@guarded
def _start(job: Any, args: Any, kwargs: Any) -> _Performed | None:
    del args, kwargs
    frame = unpack(job.meta.get(KEY))
    return None if frame is None else _Performed(frame)


def _perform_job(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    try:
        return wrapped(*args, **kwargs)
    finally:
        if instance.is_horse:
            deliver_at_the_end()
