"""How many requests a key may make: a bucket of one minute's worth (or of another time), refilled evenly."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_BUCKETS = 10_000


class Throttle:
    """Count the requests of each key, from any thread. 0 is no limit; `period_s` is another time than a minute."""

    def __init__(
        self, per_period: int, *, period_s: float = 60.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_period = per_period
        self._period_s = period_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def wait_s(self, key_id: int) -> int:
        """Take one request out of the key's bucket and return 0, or else how many seconds to wait."""
        if not self._per_period:
            return 0
        now, per_second, full = self._monotonic(), self._per_period / self._period_s, float(self._per_period)
        with self._lock:
            left, at = self._buckets.pop(key_id, (full, now))
            left = min(full, left + (now - at) * per_second)
            is_allowed = left >= 1
            self._buckets[key_id] = (left - is_allowed, now)
            while len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        return 0 if is_allowed else max(1, math.ceil((1 - left) / per_second))
