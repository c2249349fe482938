"""Sessions of people who are signed in to the dashboard: begin, recognise, end. Only the SHA-256 of an id is stored.

In: the API key that a person signed in with, or a session's id. Out: whom it speaks for.
Loses: nothing. A session ends with its key: where that is revoked or expires, it is over at once.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, delete, insert, or_, select, update

from agentsight_auto.store.keys import Agent, is_valid
from agentsight_auto.store.schema import agents, api_keys, sessions

if TYPE_CHECKING:
    from agentsight_auto.store.database import Database

_SECOND_US = 1_000_000
_SEEN_EVERY_US = 60 * _SECOND_US
"""How exactly it is known when a session was last used."""
_ID_LENGTH = 43


class SessionLimits:
    """How long a session may go unused, and how long it lasts at most, both in seconds."""

    def __init__(self, idle_s: float, lifetime_s: float) -> None:
        self.idle_us = int(idle_s * _SECOND_US)
        self.lifetime_us = int(lifetime_s * _SECOND_US)


def begin_session(database: Database, agent: Agent, limits: SessionLimits, *, at_us: int) -> str:
    """Store a new session and return its id, 256 random bits as text; sessions that are over are removed."""
    session_id = secrets.token_urlsafe(32)
    values = {"agent_id": agent.id, "key_id": agent.key_id, "created_at_us": at_us, "seen_at_us": at_us}
    with database.write() as connection:
        connection.execute(delete(sessions).where(_is_over(limits, at_us)))
        connection.execute(insert(sessions).values(id_hash=_digest(session_id), **values))
    return session_id


def find_session(database: Database, session_id: str, limits: SessionLimits, *, at_us: int) -> Agent | None:
    """Return whom a session speaks for; None for one that is unknown, ended, too old, or whose key is not valid."""
    if len(session_id) != _ID_LENGTH or not session_id.isascii():
        return None
    digest = _digest(session_id)
    query = (
        select(api_keys, agents.c.name, sessions.c.seen_at_us)
        .join(api_keys, api_keys.c.id == sessions.c.key_id)
        .join(agents, agents.c.id == api_keys.c.agent_id)
        .where(sessions.c.id_hash == digest, is_valid(at_us), ~_is_over(limits, at_us))
    )
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    if at_us - row.seen_at_us > min(_SEEN_EVERY_US, limits.idle_us // 4):
        with database.write() as connection:
            connection.execute(update(sessions).where(sessions.c.id_hash == digest).values(seen_at_us=at_us))
    return Agent(row.agent_id, row.name, row.role, row.id, row.hint)


def end_session(database: Database, session_id: str) -> None:
    """End a session for ever; one that is unknown is over already."""
    with database.write() as connection:
        connection.execute(delete(sessions).where(sessions.c.id_hash == _digest(session_id)))


def _is_over(limits: SessionLimits, at_us: int) -> ColumnElement[bool]:
    return or_(sessions.c.created_at_us <= at_us - limits.lifetime_us, sessions.c.seen_at_us <= at_us - limits.idle_us)


def _digest(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode("utf-8", "replace")).digest()
