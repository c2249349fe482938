"""Edits: the documented answers, and no event that takes an edit back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentsight_auto._clock import parse_moment, us_from_datetime
from agentsight_auto.exceptions import NotFoundException
from agentsight_auto.store.database import Database
from agentsight_auto.store.edit import (
    delete_conversation,
    mark_conversation,
    rename_conversation,
    resolve,
    update_conversation,
)
from agentsight_auto.store.ingest import ingest

from .material import conversation, rows, said, started


@pytest.fixture
def pk(database: Database) -> int:
    """A stored conversation with a name, a customer and metadata; its database id."""
    ingest(database, [started(at=5, name="old", customer_id="u", metadata={"plan": "pro", "seen": True})])
    return int(conversation(database)["id"])


def index(database: Database) -> set[tuple[str, str]]:
    """Return the inverted index of metadata."""
    return {(row["path"], row["value_text"]) for row in rows(database, "SELECT * FROM metadata_values")}


def test_resolve_tells_database_ids_from_conversation_ids(database: Database) -> None:
    """An int is the database id, text the conversation id even if it is digits; deleted ones are found."""
    agent_id = database.agent_id()
    ingest(database, [said(to="2"), said(to="other")])
    pks = {row["conversation_id"]: row["id"] for row in rows(database, "SELECT id, conversation_id FROM conversations")}
    delete_conversation(database, agent_id, pks["2"])
    with database.read() as connection:
        assert resolve(connection, agent_id, "2") == pks["2"]
        assert resolve(connection, agent_id, pks["other"]) == pks["other"]


@pytest.mark.parametrize("unknown", ["nobody", "", "\ud800", "' OR 1=1", 0, -1, 99, 2**63, 10**400])
def test_resolve_says_not_found(database: Database, pk: int, unknown: int | str) -> None:
    """Whatever does not exist gives NotFoundException, status 404, also numbers beyond 64 bits."""
    with database.read() as connection, pytest.raises(NotFoundException) as caught:
        resolve(connection, database.agent_id(), unknown)
    assert caught.value.status_code == 404


def test_another_agent_finds_nothing(database: Database, pk: int) -> None:
    """The ids of one agent are unknown to another, for every edit."""
    stranger = database.agent_id("stranger")
    edits: list[Callable[[], object]] = [
        lambda: rename_conversation(database, stranger, pk, "x"),
        lambda: mark_conversation(database, stranger, pk, True),
        lambda: update_conversation(database, stranger, pk, {"device": "x"}),
        lambda: delete_conversation(database, stranger, pk),
    ]
    before = conversation(database)
    for edit in edits:
        with pytest.raises(NotFoundException):
            edit()
    with database.read() as connection, pytest.raises(NotFoundException):
        resolve(connection, stranger, "c1")
    assert conversation(database) == before


def test_rename_and_mark_answer_as_documented(database: Database, pk: int) -> None:
    """Each answers the ids and the field it has set."""
    agent_id = database.agent_id()
    shape = {"id": pk, "conversation_id": "c1"}
    assert rename_conversation(database, agent_id, pk, "new") == {**shape, "name": "new"}
    assert mark_conversation(database, agent_id, pk, True) == {**shape, "is_marked": True}
    assert (conversation(database)["name"], conversation(database)["is_marked"]) == ("new", 1)


def test_update_answers_what_it_changed(database: Database, pk: int) -> None:
    """The answer has the changed fields and their names in the documented order."""
    changes = {"metadata": {"a": {"b": 1}}, "device": "mobile", "is_marked": True}
    answer = update_conversation(database, database.agent_id(), pk, changes)
    updated = ["is_marked", "device", "metadata"]
    assert answer == {"id": pk, "conversation_id": "c1", **changes, "updated_fields": updated}
    found = conversation(database)
    assert (found["is_marked"], found["device"], found["metadata"]) == (1, "mobile", {"a": {"b": 1}})
    assert index(database) == {("a.b", "1")}


def test_no_event_takes_an_edit_back(database: Database, pk: int) -> None:
    """Events captured before or after an edit, arriving later, leave the edited fields as they are."""
    agent_id = database.agent_id()
    update_conversation(database, agent_id, pk, {"customer_id": "edited", "language": "de"})
    rename_conversation(database, agent_id, pk, "edited")
    told = {"customer_id": "event", "language": "en", "name": "event", "device": "mobile"}
    ingest(database, [started(at=1, **told), started(at=10**8, **told)])
    found = conversation(database)
    assert [found[name] for name in ("customer_id", "language", "name", "device")] == [
        "edited", "de", "edited", "mobile"
    ]  # fmt: skip


def test_replaced_metadata_stays_replaced(database: Database, pk: int) -> None:
    """Keys that an edit removed do not come back with events from before; later events add keys, and change none."""
    update_conversation(database, database.agent_id(), pk, {"metadata": {"plan": "edited"}})
    ingest(database, [started(at=1, metadata={"plan": "early", "seen": False, "old": 1})])
    assert conversation(database)["metadata"] == {"plan": "edited"}
    ingest(database, [started(at=10**8, metadata={"plan": "late", "added": 1})])
    assert conversation(database)["metadata"] == {"plan": "edited", "added": 1}
    assert index(database) == {("plan", "edited"), ("added", "1")}


def test_metadata_can_be_cleared(database: Database, pk: int) -> None:
    """An empty document takes all keys away, in the index too."""
    update_conversation(database, database.agent_id(), pk, {"metadata": {}})
    assert conversation(database)["metadata"] == {}
    assert index(database) == set()


def test_deleting_hides_and_remembers_when(database: Database, pk: int) -> None:
    """Deletion is soft, answered with its moment in ISO 8601 UTC; deleting again keeps the first moment."""
    agent_id = database.agent_id()
    first = delete_conversation(database, agent_id, pk)
    assert (first["id"], first["conversation_id"], first["is_deleted"]) == (pk, "c1", True)
    found = conversation(database)
    assert found["is_deleted"] == 1
    assert str(first["deleted_at"]).endswith("Z")
    assert us_from_datetime(parse_moment(first["deleted_at"])) == found["deleted_at_us"]
    assert delete_conversation(database, agent_id, pk) == first
