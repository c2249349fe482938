"""What the tests of the store share: events in few words, the whole content of a store, and child processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

import agentsight_auto.store
from agentsight_auto._ids import IdSource
from agentsight_auto.events import ConversationStarted, Message
from agentsight_auto.store.database import Database

T0_US = 1_795_000_000_000_000
ids = IdSource()


def new_id(at_us: int = T0_US) -> str:
    """Return an event id that no other event has."""
    return ids.next(at_us)


def said(content: str = "hello", *, at: int = 0, to: str = "c1", sender: str = "end_user", **more: Any) -> Message:
    """Return a message `at` seconds after the beginning of time."""
    at_us = T0_US + at * 1_000_000
    return Message(id=new_id(at_us), conversation_id=to, at_us=at_us, sender=sender, content=content, **more)


def started(*, at: int = 0, to: str = "c1", **fields: Any) -> ConversationStarted:
    """Return what is known of a conversation `at` seconds after the beginning of time."""
    at_us = T0_US + at * 1_000_000
    return ConversationStarted(id=new_id(at_us), conversation_id=to, at_us=at_us, **fields)


def rows(database: Database, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """Ask the store in SQL."""
    with database.read() as connection:
        return [dict(row) for row in connection.execute(text(sql), parameters).mappings()]


def conversation(database: Database, conversation_id: str = "c1") -> dict[str, Any]:
    """Return the row of one conversation, its metadata decoded."""
    (row,) = rows(database, "SELECT * FROM conversations WHERE conversation_id = :id", id=conversation_id)
    row["metadata"] = None if row["metadata"] is None else json.loads(row["metadata"])
    return row


def everything(database: Database, agent: str = "default") -> dict[str, list[dict[str, Any]]]:
    """Return all rows of an agent without database ids, in an order that does not depend on when they were stored."""
    agent_id = database.agent_id(agent)
    joined = "JOIN conversations c ON c.id = t.conversation_pk WHERE t.agent_id = :agent"
    of_message = "JOIN messages m ON m.id = t.message_id"
    queries = {
        "conversations": "SELECT t.* FROM conversations t WHERE t.agent_id = :agent",
        "messages": f"SELECT t.*, c.conversation_id FROM messages t {joined}",
        "token_usages": f"SELECT t.*, c.conversation_id FROM token_usages t {joined}",
        "feedbacks": f"SELECT t.*, c.conversation_id FROM feedbacks t {joined}",
        "metadata_values": f"SELECT t.*, c.conversation_id FROM metadata_values t {joined}",
        **{
            table: f"SELECT t.*, m.event_id AS of_message, c.conversation_id FROM {table} t {of_message} {joined}"
            for table in ("action_logs", "buttons", "attachments")
        },
    }
    hidden = {"id", "agent_id", "conversation_pk", "message_id"}
    return {
        table: sorted(
            (
                {key: value for key, value in row.items() if key not in hidden}
                for row in rows(database, sql, agent=agent_id)
            ),
            key=repr,
        )
        for table, sql in queries.items()
    }


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python process that can import this package."""
    package = Path(agentsight_auto.store.__path__[0]).parents[1]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str], *, timeout_s: float = 30) -> str:
    """Wait for a child and return what it printed; its failure is ours."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return out


def wait_until(condition: Callable[[], Any], *, timeout_s: float = 30) -> Any:
    """Poll a condition until it holds."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)
    return found
