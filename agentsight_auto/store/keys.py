"""API keys: make one, recognise one, list and revoke them. Only the SHA-256 of a key is stored.

In: an agent's name and a role, or the text of a key. Out: the key itself, once; who it belongs to.
Loses: nothing. A key is 128 random bits and a checksum, so that a mistyped one is told apart without asking the store.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from agentsight_auto.store.database import agent_row_id
from agentsight_auto.store.schema import agents, api_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentsight_auto.store.database import Database

ROLES = ("write", "read")
_FORM = re.compile(r"ags_([a-f0-9]{32})_([a-f0-9]{6})")
_LONGEST_AGENT_NAME = 255


class Agent(msgspec.Struct, frozen=True):
    """Whom a key speaks for: the tenant, its name, and what the key may do (``read`` or ``write``)."""

    id: int
    name: str
    role: str
    key_id: int
    hint: str


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as a list shows it; moments in microseconds (UTC)."""

    id: int
    agent: str
    hint: str
    role: str
    created_at_us: int
    last_used_at_us: int | None
    revoked_at_us: int | None
    expires_at_us: int | None


def list_agents(database: Database) -> list[tuple[int, str]]:
    """Return the id and the name of every agent, oldest first."""
    with database.read() as connection:
        return [
            (row.id, row.name) for row in connection.execute(select(agents.c.id, agents.c.name).order_by(agents.c.id))
        ]


def new_key() -> str:
    """Return a key that nobody has: ``ags_`` + 32 random hex digits + ``_`` + 6 of their checksum."""
    secret = secrets.token_hex(16)
    return f"ags_{secret}_{_checksum(secret)}"


def is_well_formed(key: str) -> bool:
    """Tell whether the text has the form of a key, in any case, and the right checksum."""
    match = _FORM.fullmatch(key.lower())
    return match is not None and hmac.compare_digest(_checksum(match[1]), match[2])


def create_key(database: Database, *, agent: str, role: str, at_us: int, expires_at_us: int | None = None) -> str:
    """Store a new key for the agent of this name, which is made where it is missing, and return the key.

    It is valid until it is revoked, or until `expires_at_us`.

    Raises:
        ValueError: a blank or too long name, or an unknown role.
    """
    if not agent.strip() or len(agent) > _LONGEST_AGENT_NAME:
        raise ValueError(f"the agent's name has {len(agent)} characters; give 1 to {_LONGEST_AGENT_NAME}, not blank")
    if role not in ROLES:
        raise ValueError(f"the role {role!r:.40} is unknown; give {' or '.join(ROLES)}")
    key = new_key()
    with database.write() as connection:
        _insert(connection, key, agent=agent, role=role, at_us=at_us, expires_at_us=expires_at_us)
    return key


def create_first_key(database: Database, *, agent: str, at_us: int) -> str | None:
    """Return a new write key if the store has no key yet, however many processes ask at once; else None."""
    key = new_key()
    with database.write() as connection:
        if connection.execute(select(func.count()).select_from(api_keys)).scalar_one():
            return None
        _insert(connection, key, agent=agent, role="write", at_us=at_us)
    return key


def is_valid(at_us: int) -> ColumnElement[bool]:
    """Return the condition on a stored key: neither revoked nor expired at this moment."""
    return api_keys.c.revoked_at_us.is_(None) & (func.coalesce(api_keys.c.expires_at_us, at_us + 1) > at_us)


def find_agent(database: Database, key: str, *, at_us: int) -> Agent | None:
    """Return whom a key speaks for; None for one that is malformed, unknown, revoked or expired."""
    if not is_well_formed(key):
        return None
    digest = _digest(key)
    query = (
        select(api_keys, agents.c.name)
        .join(agents, agents.c.id == api_keys.c.agent_id)
        .where(api_keys.c.key_hash == digest, is_valid(at_us))
    )
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None or not hmac.compare_digest(row.key_hash, digest):
        return None
    return Agent(row.agent_id, row.name, row.role, row.id, row.hint)


def list_keys(database: Database, *, agent: str | None = None) -> list[StoredKey]:
    """Return all keys, the oldest first, or those of one agent."""
    query = select(api_keys, agents.c.name).join(agents, agents.c.id == api_keys.c.agent_id).order_by(api_keys.c.id)
    if agent is not None:
        query = query.where(agents.c.name == agent)
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [
        StoredKey(
            id=row.id,
            agent=row.name,
            hint=row.hint,
            role=row.role,
            created_at_us=row.created_at_us,
            last_used_at_us=row.last_used_at_us,
            revoked_at_us=row.revoked_at_us,
            expires_at_us=row.expires_at_us,
        )
        for row in rows
    ]


def revoke_key(database: Database, key_id: int, *, at_us: int) -> bool:
    """Revoke a key for ever; False if there is none of this number that is valid."""
    valid = (api_keys.c.id == key_id) & api_keys.c.revoked_at_us.is_(None)
    with database.write() as connection:
        return connection.execute(update(api_keys).where(valid).values(revoked_at_us=at_us)).rowcount > 0


def note_use(database: Database, used_at_us: Mapping[int, int]) -> None:
    """Store when keys, by number, were last used."""
    with database.write() as connection:
        for key_id, at_us in used_at_us.items():
            latest = func.max(func.coalesce(api_keys.c.last_used_at_us, 0), at_us)
            connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at_us=latest))


def agent_names(database: Database) -> list[str]:
    """Return the names of all agents that the store knows, in the order in which they came."""
    with database.read() as connection:
        return list(connection.execute(select(agents.c.name).order_by(agents.c.id)).scalars())


def _insert(
    connection: Connection, key: str, *, agent: str, role: str, at_us: int, expires_at_us: int | None = None
) -> None:
    values = {"key_hash": _digest(key), "hint": key[-6:], "role": role, "created_at_us": at_us}
    values["expires_at_us"] = expires_at_us
    connection.execute(insert(api_keys).values(agent_id=agent_row_id(connection, agent), **values))


def _checksum(secret: str) -> str:
    return hashlib.sha256(f"ags_{secret}".encode()).hexdigest()[-6:]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.lower().encode()).digest()
