"""Who read, exported or deleted which conversations: one line of JSON each, in the server's log, without content.

In: a visit and what it did. Out: lines of the logger ``agentsight_auto.server.access.audit``. Loses: nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import msgspec

from agentsight_auto._clock import iso_from_us
from agentsight_auto.server.access_log import logger as access_logger
from agentsight_auto.server.dashboard.visits import Visit

logger = access_logger.getChild("audit")


def note(visit: Visit, deed: str, *, conversations: Sequence[int] = (), filters: Iterable[str] = ()) -> None:
    """Write down a deed: ``read``, ``export`` or ``delete``; of filters only which ones there were."""
    if not logger.isEnabledFor(logging.INFO):
        return
    line = {
        "at": iso_from_us(visit.service.clock.now_us()),
        "audit": deed,
        "agent": visit.agent.name,
        "key": visit.agent.hint,
        "conversations": list(conversations),
        "filters": sorted(filters),
    }
    logger.info("%s", msgspec.json.encode(line).decode())
