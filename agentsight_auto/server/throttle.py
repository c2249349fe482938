"""How many requests a key may make: a bucket of one minute's worth, refilled evenly."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_BUCKETS = 10_000


class Throttle:
    """Count the requests of each key; for one thread, the event loop's. 0 a minute is no limit."""

    def __init__(self, per_minute: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def wait_s(self, key_id: int) -> int:
        """Take one request out of the key's bucket and return 0, or else how many seconds to wait."""
        if not self._per_minute:
            return 0
        now, per_second = self._monotonic(), self._per_minute / 60
        left, at = self._buckets.pop(key_id, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - at) * per_second)
        is_allowed = left >= 1
        self._buckets[key_id] = (left - is_allowed, now)
        while len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return 0 if is_allowed else max(1, math.ceil((1 - left) / per_second))
