"""Who asks: the key of a request, and the agent it belongs to.

In: the ``Authorization`` header, ``Api-Key <key>`` or ``Bearer <key>``. Out: an `Agent`.
Loses: nothing; when a key was last used is written once a second, by `KeyRing.write_uses`.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import Headers

from agentsight_auto.server.errors import BAD_KEY, NO_CREDENTIALS, ApiError, detail_error, unauthorized
from agentsight_auto.store.database import Database
from agentsight_auto.store.keys import Agent, find_agent, note_use

_SCHEMES = frozenset({"api-key", "bearer"})
_KNOWN_FOR_S = 0.5
"""How long a key is believed without asking the store: a revoked one is refused within a second."""
_MOST_KNOWN = 1000


def read_key(headers: Headers, bad_key_status: int = 401) -> str:
    """Return the key that a request carries.

    Raises:
        ApiError: 401, none or several; where `bad_key_status` is 403, that.
    """
    given = headers.getlist("authorization")
    if len(given) > 1:
        raise refused(BAD_KEY, bad_key_status)
    scheme, _, key = (given[0] if given else "").strip().partition(" ")
    if scheme.lower() not in _SCHEMES or not key.strip():
        raise refused(NO_CREDENTIALS, bad_key_status)
    return key.strip()


def refused(detail: str, status: int = 401) -> ApiError:
    """Return the error for a key that is not accepted."""
    return unauthorized(detail) if status == 401 else detail_error(status, detail)


class KeyRing:
    """The keys of one store: recognises them and remembers their use. Usable from many threads."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us
        self._known: OrderedDict[bytes, tuple[float, Agent]] = OrderedDict()
        self._used_at_us: dict[int, int] = {}
        self._lock = threading.Lock()

    def known(self, key: str) -> Agent | None:
        """Return the agent of a key that was recognised a moment ago; asks nobody."""
        digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        with self._lock:
            until, agent = self._known.get(digest, (0.0, None))
            if agent is None or until < time.monotonic():
                return None
            self._used_at_us[agent.key_id] = self._now_us()
            return agent

    def recognise(self, key: str) -> Agent | None:
        """Return the agent of a key, from the store; None for one that is not valid."""
        agent = find_agent(self._database, key, at_us=self._now_us())
        if agent is None:
            return None
        digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        with self._lock:
            self._known[digest] = (time.monotonic() + _KNOWN_FOR_S, agent)
            self._known.move_to_end(digest)
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
            self._used_at_us[agent.key_id] = self._now_us()
        return agent

    def write_uses(self) -> None:
        """Store when keys were last used, if any were since the last call."""
        with self._lock:
            used, self._used_at_us = self._used_at_us, {}
        if used:
            note_use(self._database, used)
