"""The archive of spans in the store: upgrade, erasure, several processes, and what an import has brought before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from agentsight_auto.events import Message, TokenUsage
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest
from agentsight_auto.store.migrations import MIGRATIONS, migrate
from agentsight_auto.store.model_usages import ModelCall
from agentsight_auto.store.schema import conversations
from agentsight_auto.store.spans import Span, Told, archive

from .material import T0_US, child, finished, new_id, rows, said


def span(span_id: str, kind: str = "llm", **more: Any) -> Span:
    """Return a span of no content."""
    fields: dict[str, Any] = {
        "trace_id": "t", "parent_span_id": None, "name": kind, "started_at_us": T0_US, "ended_at_us": T0_US + 1000,
        "duration_ms": 1.0, "status": "ok", "attributes": {}, "events": [], "rest": {"span_id": span_id},
    }  # fmt: skip
    return Span(span_id=span_id, kind=kind, **{**fields, **more})


def call(span_id: str, prompt: int, turn_id: str = "turn") -> Span:
    """Return a model call's span."""
    counted = ModelCall(span_id, turn_id, "gpt-5", T0_US, T0_US + 1000, {"prompt_tokens": prompt})
    return span(span_id, call=counted)


def told(*spans: Span, **more: Any) -> Told:
    return Told("c1", T0_US, "production", spans=spans, is_used=True, **more)


def test_an_upgrade_names_the_actions_that_were_performed(tmp_path: Path) -> None:
    """A file of before the spans gets one action per agent and name, and keeps all it had."""
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, MIGRATIONS[:2])
        connection.executescript("""
            INSERT INTO agents (id, name) VALUES (1, 'default'), (2, 'other');
            INSERT INTO conversations (id, agent_id, conversation_id, started_at_us, ended_at_us)
                VALUES (1, 1, 'c1', 0, 0), (2, 2, 'c1', 0, 0);
            INSERT INTO messages (agent_id, conversation_pk, event_id, kind, sender, content, action_name, at_us)
                VALUES (1, 1, x'01', 'action', 'agent', '', 'find', 0), (1, 1, x'02', 'action', 'agent', '', 'find', 0),
                       (1, 1, x'03', 'message', 'agent', 'hi', NULL, 0),
                       (2, 2, x'04', 'action', 'agent', '', 'find', 0);
        """)
    database = Database.open(path)
    found = rows(database, "SELECT agent_id, name, display_name, description FROM actions ORDER BY agent_id")
    assert [tuple(row.values()) for row in found] == [(1, "find", "find", ""), (2, "find", "find", "")]
    assert len(rows(database, "SELECT * FROM messages")) == 4
    database.close()


def test_erasing_a_conversation_erases_its_spans(database: Database) -> None:
    """Spans, usage of models and what hangs on messages go with the row."""
    archive(database, told(call("1", 5), span("2", facts=[said("hello")])), agent="default")
    with database.write() as connection:
        connection.execute(delete(conversations))
    for table in ("spans", "model_usages", "token_usages", "messages", "further_feedbacks"):
        assert rows(database, f"SELECT * FROM {table}") == [], table


def test_usage_that_an_import_has_brought_is_not_counted_again(database: Database, tmp_path: Path) -> None:
    """The row of a turn and model that is there already keeps its sums, and its usage gets a model."""
    other = Database.open(tmp_path / "other.db")
    archive(other, told(call("1", 5)), agent="default")
    (usage,) = rows(other, "SELECT event_id FROM token_usages")
    other.close()
    ingest(database, [TokenUsage(usage["event_id"].hex(), "c1", T0_US, 5, 0, 5)])
    assert archive(database, told(call("1", 5)), agent="default").new == 1
    counted = rows(
        database, "SELECT prompt_tokens, model, calls FROM token_usages t JOIN model_usages m ON token_usage_id = t.id"
    )
    assert counted == [{"prompt_tokens": 5, "model": "gpt-5", "calls": 1}]


def test_the_same_span_id_in_two_conversations_is_two_spans(database: Database) -> None:
    """Span ids are those of a conversation, as a client may repeat them elsewhere."""
    for conversation_id in ("c1", "c2", "c1"):
        archive(database, Told(conversation_id, T0_US, "production", spans=[call("1", 5)]), agent="default")
    assert len(rows(database, "SELECT * FROM spans")) == 2
    assert [row["prompt_tokens"] for row in rows(database, "SELECT * FROM token_usages")] == [5, 5]


def test_a_failure_stores_nothing_of_the_conversation(database: Database) -> None:
    """The archive, its messages and the new fields are one transaction."""
    fact = Message(new_id(), "c1", T0_US, "agent", "hello")
    unstorable = span("2", attributes={"x": set})
    with pytest.raises(TypeError):
        archive(database, told(span("1", facts=[fact]), unstorable, fields={"name": "N"}), agent="default")
    for table in ("spans", "messages", "conversations"):
        assert rows(database, f"SELECT * FROM {table}") == [], table


def test_processes_that_send_the_same_at_once_count_it_once(tmp_path: Path) -> None:
    """Four processes archive the same hundred calls in portions: each is counted by exactly one."""
    code = """
import sys
from pathlib import Path
from agentsight_auto.store.database import Database
from agentsight_auto.store.spans import archive
from tests.store.test_spans import call, told
database = Database.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(sum(archive(database, told(*(call(str(n), 1) for n in range(at, at + 10))), agent="default").new
          for at in range(0, 100, 10)))
database.close()
"""
    root = Path(__file__).parents[2]
    processes = [child(f"import sys; sys.path.insert(0, {str(root)!r})\n{code}", tmp_path / "s.db") for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert sum(int(finished(process)) for process in processes) == 100
    database = Database.open(tmp_path / "s.db")
    (usage,) = rows(
        database, "SELECT prompt_tokens, calls FROM token_usages t JOIN model_usages m ON token_usage_id = t.id"
    )
    assert usage == {"prompt_tokens": 100, "calls": 100}
    database.close()
