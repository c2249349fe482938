"""Who visits: the owner of this machine's store, or somebody who signed in with an API key.

In: a visit's cookies. Out: an `Agent` with its role. Loses: nothing.
Every page asks the store, so that signing out and revoking a key take effect with the next request.
"""

from __future__ import annotations

from agentsight_auto.server.dashboard.visits import Visit, local_agent
from agentsight_auto.store import sessions
from agentsight_auto.store.keys import Agent

_NAME = "agentsight_session"
AGENT_COOKIE = "agentsight_agent"


def cookie_name(visit: Visit) -> str:
    """Return the cookie's name: over TLS one that only this host can have set."""
    return f"__Host-{_NAME}" if visit.is_secure else _NAME


def recognise(visit: Visit) -> Agent | None:
    """Return whom a visit speaks for, None for a stranger."""
    service = visit.service
    if service.local_agent is not None:
        wanted = visit.cookies.get(AGENT_COOKIE)
        chosen = next((agent for agent in visit.agents if str(agent.id) == wanted), None)
        return chosen or local_agent(service.database.agent_id(service.local_agent), service.local_agent)
    session_id = visit.cookies.get(cookie_name(visit), "")
    return sessions.find_session(service.database, session_id, service.session_limits, at_us=service.clock.now_us())
