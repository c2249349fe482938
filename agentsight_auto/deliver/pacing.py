"""When the worker may work: not again too soon after a failure, and no more than its share while the program is busy.

In: failures and batches. Out: moments and pauses. Loses: nothing; what waits meanwhile is in the outbox.
"""

from __future__ import annotations

import math
import os
import time

from agentsight_auto.deliver.destination import DeliveryError

_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 60.0
_QUIET_BACKOFF_DOUBLINGS = 8
_REST_FOR_EACH_S = 3.0
_LONGEST_REST_S = 0.5


class Backoff:
    """When the destination may be tried again. Delays double from 0.5 s to 60 s, with a jitter of up to a quarter."""

    def __init__(self) -> None:
        self.until = 0.0
        self._is_told = False
        self._failures = 0

    def succeeded(self) -> None:
        """Forget earlier failures."""
        self.until, self._is_told, self._failures = 0.0, False, 0

    def failed(self, error: Exception) -> None:
        """Wait for as long as the other side asked, or longer each time."""
        told_s = error.retry_after_s if isinstance(error, DeliveryError) else None
        self._is_told = told_s is not None and 0 <= told_s < math.inf
        if told_s is not None and self._is_told:
            delay_s = min(told_s, _LONGEST_BACKOFF_S)
        else:
            delay_s = _FIRST_BACKOFF_S * 2 ** min(self._failures, _QUIET_BACKOFF_DOUBLINGS)
            delay_s = min(delay_s, _LONGEST_BACKOFF_S) * (1 - os.urandom(1)[0] / 1024)
        self._failures += 1
        self.until = time.monotonic() + delay_s

    def hurry(self) -> None:
        """Allow one try now, unless the other side asked to wait."""
        if not self._is_told:
            self.until = 0.0


class Courtesy:
    """How long to rest after a batch, so that a busy program does not share the interpreter half and half with us.

    For each second of processor time that the program's other threads used meanwhile, three seconds: a program that
    does nothing is not waited for, a program that never pauses keeps more than four fifths of its time.
    """

    def __init__(self) -> None:
        self._process_s = self._own_s = 0.0

    def batch_begins(self) -> None:
        """Look at the clocks."""
        self._process_s, self._own_s = time.process_time(), time.thread_time()

    def rest_s(self) -> float:
        """Return the seconds to rest now, at most half a second."""
        others_s = (time.process_time() - self._process_s) - (time.thread_time() - self._own_s)
        return min(max(others_s, 0.0) * _REST_FOR_EACH_S, _LONGEST_REST_S)
