"""What all requests of one server share: settings, store, keys, clock."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from agentsight_auto._clock import Clock
from agentsight_auto._ids import IdSource
from agentsight_auto._settings import load_settings
from agentsight_auto.query.lifecycle import Rules
from agentsight_auto.query.served import ServedBackend
from agentsight_auto.server.auth import KeyRing
from agentsight_auto.server.metrics import Metrics
from agentsight_auto.server.quota import Quota
from agentsight_auto.server.settings import ServerSettings
from agentsight_auto.server.signing import LinkSigner, load_secret
from agentsight_auto.server.throttle import Throttle
from agentsight_auto.store import erasure
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
from agentsight_auto.store.geo import GeoLookup
from agentsight_auto.store.insights import settle
from agentsight_auto.store.keys import Agent
from agentsight_auto.store.sessions import SessionLimits

if TYPE_CHECKING:
    from agentsight_auto.server.routing import Operation

FILES_PATH = "/api/files/"
_MOST_WRITERS = 8
_EXAMINED_AT_ONCE = 1000
_SIGN_INS_PER_MINUTE = 5
"""From one address."""
_EXPORTS_PER_HOUR = 10
"""Of everything that a list shows, with one key."""
_TIDY_S = 0.5
_MOST_LARGE_BODIES = 1


class Service:
    """The store behind a server, opened once for all requests.

    Raises:
        StoreException: the database cannot be opened.
    """

    def __init__(
        self, settings: ServerSettings, operations: Sequence[Operation], local_agent: str | None = None
    ) -> None:
        self.settings = settings
        self.local_agent = local_agent
        """Whose conversations the dashboard shows without a sign-in; None asks everyone for one."""
        self.session_limits = SessionLimits(settings.session_idle_s, settings.session_lifetime_s)
        self.sign_in_throttle = Throttle(_SIGN_INS_PER_MINUTE)
        self.export_throttle = Throttle(0 if local_agent is not None else _EXPORTS_PER_HOUR, period_s=3600)
        self.operations = operations
        self.metrics = Metrics()
        self.database = Database.open(settings.db_path)
        self.clock = Clock()
        self.ids = IdSource()
        self.keys = KeyRing(self.database, self.clock.now_us)
        self.quota = Quota(settings.agent_attachment_bytes)
        self.throttle = Throttle(settings.requests_per_minute)
        self.signer = LinkSigner(load_secret(settings.secret_path), settings.link_lifetime_s)
        self.counting_tokens = threading.Lock()
        """Held while cumulative counters of an older client are turned into what came since the last ones."""
        told = load_settings({})
        self.rules = Rules(told.escalation_actions, told.resolution_actions, told.idle_after)
        """What moves a conversation: the library's settings, from the server's environment."""
        self._geo = GeoLookup(None if settings.geoip_db is None else Path(settings.geoip_db))

    @cached_property
    def writers(self) -> anyio.CapacityLimiter:
        """How many threads may wait to write, so that those who read always find one that is free."""
        return anyio.CapacityLimiter(_MOST_WRITERS)

    @cached_property
    def large_bodies(self) -> anyio.CapacityLimiter:
        """How many requests may have a large or compressed body in memory at once."""
        return anyio.CapacityLimiter(_MOST_LARGE_BODIES)

    def attachments(self, agent_id: int, agent_name: str) -> AttachmentFolder:
        """Return the folder with the contents that this agent has sent."""
        return AttachmentFolder(self.settings.attachments_path).of_agent(agent_id, agent_name)

    def backend(self, agent: Agent, address: str) -> ServedBackend:
        """Return the store as this agent sees it; links to attachments begin with `address`."""
        folder = self.attachments(agent.id, agent.name)

        def link(row: Any) -> str | None:
            if not folder.path(row.sha256).exists():
                return None
            return f"{address}{FILES_PATH}{self.signer.sign(agent.id, row.id)}/"

        return ServedBackend(self.database, folder, agent=agent.name, geo=self._geo, rules=self.rules, link=link)

    def examine(self) -> None:
        """Examine some of the conversations that changed."""
        settle(self.database, most=_EXAMINED_AT_ONCE)

    def tidy(self) -> None:
        """Go on with unfinished erasures and erase what has expired, for a second or so at most.

        Raises:
            StoreException: the store cannot be written to now.
        """
        erasure.resume(self.database, self.attachments, wait_s=_TIDY_S)
        if self.settings.retention_days is not None:
            erasure.expire(self.database, self.settings.retention_days, self.attachments, wait_s=_TIDY_S)

    def close(self) -> None:
        """Write what is still to be written and close the store."""
        self.keys.write_uses()
        self.database.close()
