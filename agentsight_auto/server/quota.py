"""How many bytes of attachments each agent keeps, and whether there is room for more.

In: an agent's folder. Out: nothing, or a refusal. Loses: nothing; what is refused was not kept.
"""

from __future__ import annotations

import threading
import time

from agentsight_auto.server.errors import too_large
from agentsight_auto.store.attachments import AttachmentFolder

_MEASURED_S = 60.0


class Quota:
    """Refuse contents beyond `limit_bytes` for each agent; 0 refuses nothing. Usable from many threads.

    A folder is measured at most once a minute, also what no event refers to; what was taken since is added. Requests at
    the same moment may go beyond the limit by what they bring.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[float, int]] = {}

    def check(self, agent_id: int, folder: AttachmentFolder, size_bytes: int) -> None:
        """Count contents that are about to be kept.

        Raises:
            ApiError: 413, they would be too much.
        """
        if not self._limit_bytes:
            return
        with self._lock:
            until, kept_bytes = self._kept.get(agent_id, (0.0, 0))
        if until < time.monotonic():
            until, kept_bytes = time.monotonic() + _MEASURED_S, folder.size_bytes()
        if kept_bytes + size_bytes > self._limit_bytes:
            raise too_large(f"This agent's attachments would be larger than {self._limit_bytes} bytes together.")
        with self._lock:
            self._kept[agent_id] = until, kept_bytes + size_bytes
