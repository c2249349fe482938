"""Erase conversations to the last byte: rows, search index, attachments, and what SQLite keeps of deleted rows.

In: a conversation's or a customer's id, or a moment before which everything goes. Out: a receipt.
Loses: what it is asked to. It works in small transactions and goes on where it was interrupted (`resume`).

The first transaction hides everything and leaves tombstones; from then on nothing of it is found, and nothing that is
still on its way is stored. Deleted content is overwritten (``secure_delete``), and the write-ahead log emptied, before
an erasure is finished. Source: https://www.sqlite.org/pragma.html#pragma_secure_delete
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from agentsight_auto._clock import iso_from_us
from agentsight_auto.store import search_index
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.bulk import in_slices, update_rows
from agentsight_auto.store.database import Database
from agentsight_auto.store.schema import agents, attachments, conversations, messages
from agentsight_auto.store.schema_erasure import erasing, erasures
from agentsight_auto.store.tombstones import bury, digest_of

FolderOf = Callable[[int, str], AttachmentFolder]
"""Gives the attachment folder of an agent's id and name."""

_BATCH = 100
"""Conversations removed in one transaction, so that recording never waits long for it."""
_EXPIRED_AT_ONCE = 1000
_SHOWN = 100


class Receipt(msgspec.Struct, frozen=True):
    """What an erasure has removed so far; counts only, no ids. `finished_at_us` is None while something is left."""

    id: int
    subject: str
    requested_at_us: int
    finished_at_us: int | None
    conversations: int
    messages: int
    attachments: int

    def shape(self) -> dict[str, Any]:
        """Return the receipt as JSON-ready values, moments in ISO 8601."""
        return {
            "id": self.id,
            "subject": self.subject,
            "requested_at": iso_from_us(self.requested_at_us),
            "finished_at": None if self.finished_at_us is None else iso_from_us(self.finished_at_us),
            "conversations": self.conversations,
            "messages": self.messages,
            "attachments": self.attachments,
        }


class Requested(msgspec.Struct, frozen=True):
    """The number of an erasure, the conversations it is about, and the SHA-256 of their attachments."""

    number: int
    conversation_ids: list[str]
    digests: list[str]


def request_conversation(database: Database, agent_id: int, conversation_id: str, at_us: int) -> Requested:
    """Hide a conversation for good; one that is not stored is only refused from now on."""
    return _request(database, agent_id, "conversation", conversation_id, [conversation_id], at_us)


def request_customer(database: Database, agent_id: int, customer_id: str, at_us: int) -> Requested:
    """Hide all conversations of a customer for good."""
    return _request(database, agent_id, "customer", customer_id, None, at_us)


def _request(
    database: Database, agent_id: int, subject: str, value: str, ids: list[str] | None, at_us: int
) -> Requested:
    column = conversations.c.conversation_id if subject == "conversation" else conversations.c.customer_id
    own = select(conversations.c.id, conversations.c.conversation_id).where(conversations.c.agent_id == agent_id)
    with database.write() as connection:
        found = list(connection.execute(own.where(column == value)))
        names = [row.conversation_id for row in found] if ids is None else ids
        digests = [digest_of(subject, value), *(digest_of("conversation", name) for name in names)]
        bury(connection, agent_id, dict.fromkeys(digests), at_us)
        pks = [row.id for row in found]
        had = in_slices(connection, select(attachments.c.sha256), attachments.c.conversation_pk, pks)
        files = sorted({row.sha256 for row in had})
        return Requested(_hide(connection, agent_id, subject, pks, at_us), names, files)


def request_expired(database: Database, before_us: int, at_us: int) -> int | None:
    """Hide some of the conversations that ended before this moment; return their erasure, None if there are none."""
    expired = (
        conversations.c.started_at_us < before_us,
        conversations.c.ended_at_us < before_us,
        conversations.c.id.not_in(select(erasing.c.conversation_pk)),
    )
    with database.read() as connection:
        agent_id = connection.execute(select(conversations.c.agent_id).where(*expired).limit(1)).scalar()
    if agent_id is None:
        return None
    own = conversations.c.agent_id == agent_id
    with database.write() as connection:
        pks = connection.execute(select(conversations.c.id).where(own, *expired).limit(_EXPIRED_AT_ONCE)).scalars()
        return _hide(connection, agent_id, "retention", list(pks), at_us)


def _hide(connection: Connection, agent_id: int, subject: str, pks: Sequence[int], at_us: int) -> int:
    """Open an erasure; its conversations can be found neither by id nor by customer from now on."""
    own = {"agent_id": agent_id}
    row = {**own, "subject": subject, "requested_at_us": at_us}
    (number,) = connection.execute(erasures.insert().values(row)).inserted_primary_key or (0,)
    if pks:
        connection.execute(erasing.insert(), [{**own, "conversation_pk": pk, "erasure_id": number} for pk in pks])
        names = (conversations.c.conversation_id, conversations.c.name, conversations.c.customer_id)
        rows = list(in_slices(connection, select(conversations.c.id, *names), conversations.c.id, pks))
        new = {row.id: f"erased-{secrets.token_hex(16)}" for row in rows}
        hidden = ("conversation_id", "name", "customer_id", "is_deleted", "deleted_at_us")
        values = [(new[row.id], None, None, True, at_us, row.id) for row in rows]
        update_rows(connection, conversations, hidden, values)
        found_by = [(row.id, (row[1], row[2], row[3]), (new[row.id], None, None)) for row in rows]
        search_index.change_names(connection, agent_id, found_by)
    return int(number)


def run(database: Database, number: int, folder_of: FolderOf, *, wait_s: float) -> Receipt:
    """Remove what an erasure has hidden, for about `wait_s` seconds; `resume` goes on where it is not finished."""
    deadline = time.monotonic() + wait_s
    while _remove_some(database, number, folder_of):
        if time.monotonic() >= deadline:
            return receipt(database, number)
    _tidy_index(database, number)
    if database.empty_log(max(0.0, deadline - time.monotonic())):
        with database.write() as connection:
            unfinished = erasures.c.finished_at_us.is_(None)
            finished = {"finished_at_us": time.time_ns() // 1000}
            connection.execute(update(erasures).where(erasures.c.id == number, unfinished).values(finished))
    return receipt(database, number)


def resume(database: Database, folder_of: FolderOf, *, wait_s: float) -> list[Receipt]:
    """Go on with every erasure that is not finished, for about `wait_s` seconds in all, and return their receipts."""
    deadline = time.monotonic() + wait_s
    with database.read() as connection:
        query = select(erasures.c.id).where(erasures.c.finished_at_us.is_(None)).order_by(erasures.c.id)
        numbers = list(connection.execute(query).scalars())
    return [run(database, number, folder_of, wait_s=max(0.0, deadline - time.monotonic())) for number in numbers]


def expire(database: Database, retention_days: float, folder_of: FolderOf, *, wait_s: float) -> list[Receipt]:
    """Erase conversations that ended more than `retention_days` ago, for about `wait_s` seconds."""
    deadline = time.monotonic() + wait_s
    receipts = []
    while time.monotonic() < deadline:
        now_us = time.time_ns() // 1000
        number = request_expired(database, now_us - round(retention_days * 86_400_000_000), now_us)
        if number is None:
            break
        receipts.append(run(database, number, folder_of, wait_s=max(0.0, deadline - time.monotonic())))
    return receipts


def receipt(database: Database, number: int) -> Receipt:
    """Return the receipt of an erasure."""
    with database.read() as connection:
        return Receipt(*tuple[Any, ...](connection.execute(_RECEIPTS.where(erasures.c.id == number)).one()))


def receipts(database: Database, agent_id: int) -> list[Receipt]:
    """Return the latest receipts of an agent, newest first, at most 100."""
    query = _RECEIPTS.where(erasures.c.agent_id == agent_id).order_by(erasures.c.id.desc()).limit(_SHOWN)
    with database.read() as connection:
        return [Receipt(*tuple[Any, ...](row)) for row in connection.execute(query)]


_RECEIPTS = select(
    erasures.c.id, erasures.c.subject, erasures.c.requested_at_us, erasures.c.finished_at_us,
    erasures.c.conversation_count, erasures.c.message_count, erasures.c.attachment_count,
)  # fmt: skip


def _remove_some(database: Database, number: int, folder_of: FolderOf) -> bool:
    """Remove a batch of an erasure's conversations with all that hangs on them; False if there are none left."""
    with database.write() as connection:
        batch = select(erasing.c.conversation_pk).where(erasing.c.erasure_id == number).limit(_BATCH)
        pks = list(connection.execute(batch).scalars())
        if not pks:
            return False
        asked = select(erasures.c.agent_id, erasures.c.requested_at_us, agents.c.name).join(agents)
        agent_id, requested_at_us, agent = connection.execute(asked.where(erasures.c.id == number)).one()
        files = _only_here(connection, agent_id, pks)
        # Before the rows go, so that a crash in between leaves rows that say which files to remove.
        removed = remove_files(folder_of(agent_id, agent), files, requested_at_us)
        said = select(func.count()).select_from(messages).where(messages.c.conversation_pk.in_(pks))
        counts = {
            "conversation_count": erasures.c.conversation_count + len(pks),
            "message_count": erasures.c.message_count + connection.execute(said).scalar_one(),
            "attachment_count": erasures.c.attachment_count + removed,
        }
        search_index.forget(connection, pks)
        connection.execute(delete(conversations).where(conversations.c.id.in_(pks)))
        connection.execute(update(erasures).where(erasures.c.id == number).values(counts))
    return True


def _tidy_index(database: Database, number: int) -> None:
    """Rewrite the search index, which has only marked what went; what has expired leaves with its own rewriting."""
    with database.write() as connection:
        row = connection.execute(select(erasures).where(erasures.c.id == number)).one()
        if row.subject != "retention" and row.conversation_count and row.finished_at_us is None:
            search_index.optimize(connection)


def _only_here(connection: Connection, agent_id: int, pks: Sequence[int]) -> list[str]:
    """Return the digests of the attachments that no other conversation of this agent has."""
    own = select(attachments.c.sha256).where(attachments.c.conversation_pk.in_(pks)).distinct()
    digests = list(connection.execute(own).scalars())
    return unreferenced(connection, agent_id, digests, attachments.c.conversation_pk.not_in(pks))


def unreferenced(
    connection: Connection, agent_id: int, digests: Sequence[str], *among: ColumnElement[bool]
) -> list[str]:
    """Return those of the digests that no attachment of this agent has, looking only `among` these rows."""
    query = select(attachments.c.sha256).where(attachments.c.agent_id == agent_id, *among)
    elsewhere = {row.sha256 for row in in_slices(connection, query, attachments.c.sha256, digests)}
    return [digest for digest in digests if digest not in elsewhere]


def remove_files(folder: AttachmentFolder, digests: Sequence[str], requested_at_us: int) -> int:
    """Remove the contents of these digests and return how many there were.

    One that was written again since the erasure was asked for stays: a new conversation has sent it.
    """
    removed = 0
    for digest in digests:
        path = folder.path(digest)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime_ns // 1000 <= requested_at_us:
                path.unlink()
                removed += 1
    return removed
