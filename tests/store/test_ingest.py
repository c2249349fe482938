"""Ingest: what each event becomes, what counts, and that a bad event harms only itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from agentsight_auto.events import (
    Action,
    AnyEvent,
    AttachmentRef,
    Attachments,
    Button,
    ConversationEnded,
    Feedback,
    Message,
    TokenUsage,
    decode_event,
    encode_event,
)
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest

from .material import T0_US, conversation, everything, new_id, rows, said, started

DIGEST = "ab" * 32


def statuses(database: Database, *events: AnyEvent) -> list[str]:
    """Store the events and return the statuses of the answers."""
    return [answer.status for answer in ingest(database, events)]


def one(database: Database, table: str) -> dict[str, object]:
    """Return the only row of a table."""
    (row,) = rows(database, f"SELECT * FROM {table}")
    return row


# -- idempotence ------------------------------------------------------------------------------------------------------


def test_storing_again_changes_nothing(database: Database) -> None:
    """Every kind of event sent twice, in one batch or two, leaves the rows and counts of once."""
    place = {"conversation_id": "c1", "at_us": T0_US}
    events: list[AnyEvent] = [
        started(customer_id="u", metadata={"plan": "pro"}),
        said(attachments=[AttachmentRef(DIGEST, 3, "a.txt", "text/plain")]),
        Action(id=new_id(), action_name="look", tools_used={"f": 1}, **place),
        Button(id=new_id(), button_event="press", label="Yes", value="y", **place),
        Attachments(id=new_id(), sender="agent", attachments=[AttachmentRef(DIGEST, 3, "b", "image/png")], **place),
        TokenUsage(id=new_id(), prompt_tokens=1, **place),
        Feedback(id=new_id(), sentiment="positive", **place),
        ConversationEnded(id=new_id(), error="ValueError: x", **place),
    ]
    ingest(database, events)
    once = everything(database)
    assert [len(once[table]) for table in sorted(once)] == [1, 2, 1, 1, 1, 4, 1, 1]
    again = ["stored", *["duplicate"] * 6, "stored"]
    assert statuses(database, *events) == again
    assert statuses(database, *events, *events) == again * 2
    assert everything(database) == once


def test_a_repeat_in_the_same_batch_is_a_duplicate(database: Database) -> None:
    """The first of two equal ids is stored, the second answered as duplicate and not counted."""
    event = said()
    assert statuses(database, event, event) == ["stored", "duplicate"]
    assert conversation(database)["message_count"] == 1


def test_agents_do_not_share_ids(database: Database) -> None:
    """The same event and conversation id under another agent is another event of another conversation."""
    event = said()
    assert [ingest(database, [event], agent=name)[0].status for name in ("a", "b")] == ["stored", "stored"]
    assert everything(database, "a") == everything(database, "b")
    assert len(rows(database, "SELECT id FROM conversations")) == 2


def test_no_events_are_no_transaction(database: Database) -> None:
    """An empty batch gives an empty answer."""
    assert ingest(database, []) == []


def test_more_events_than_sql_takes_parameters(database: Database) -> None:
    """A batch of 2,500 events in as many conversations goes in at once, and is known afterwards."""
    events = [said(to=f"c{n}") for n in range(2500)]
    assert set(statuses(database, *events)) == {"stored"}
    assert set(statuses(database, *events)) == {"duplicate"}


# -- what an event becomes --------------------------------------------------------------------------------------------


def test_a_message_keeps_sender_content_and_metadata(database: Database) -> None:
    """A message is one row with its text, sender, time, id and metadata."""
    event = said("grüß dich 👋", sender="agent", metadata={"latency_ms": 12.5})
    ingest(database, [event])
    row = one(database, "messages")
    assert (row["kind"], row["sender"], row["content"], row["at_us"]) == ("message", "agent", event.content, T0_US)
    assert row["event_id"] == bytes.fromhex(event.id)
    assert row["action_name"] is None
    assert json.loads(str(row["metadata"])) == {"latency_ms": 12.5}


def test_an_action_is_a_message_with_a_log(database: Database) -> None:
    """An action appears as the agent's message "Action <name> performed" with one log that has the details."""
    parent = new_id()
    event = Action(
        id=new_id(), conversation_id="c1", at_us=T0_US, action_name="find_order", started_at_us=T0_US - 1500,
        ended_at_us=T0_US, duration_ms=1.5, tools_used={"function": "find_order"}, response=["a", None],
        error_msg="KeyError: 'x'", metadata={"k": 1}, parent_id=parent,
    )  # fmt: skip
    ingest(database, [event])
    message, log = one(database, "messages"), one(database, "action_logs")
    assert (message["kind"], message["sender"], message["action_name"]) == ("action", "agent", "find_order")
    assert message["content"] == "Action find_order performed"
    assert log["message_id"] == message["id"]
    assert (log["event_id"], log["parent_event_id"]) == (bytes.fromhex(event.id), bytes.fromhex(parent))
    assert (log["started_at_us"], log["ended_at_us"], log["duration_ms"]) == (T0_US - 1500, T0_US, 1.5)
    assert [log[name] for name in ("tools_used", "response", "error_message", "metadata")] == [
        '{"function":"find_order"}', '["a",null]', "KeyError: 'x'", '{"k":1}'
    ]  # fmt: skip


def test_a_button_is_a_message_of_the_customer(database: Database) -> None:
    """A button appears as a message of end_user with its label, and a row with event, label and value."""
    ingest(database, [Button(new_id(), "c1", T0_US, button_event="choose", label="Yes", value="y")])
    message, button = one(database, "messages"), one(database, "buttons")
    assert (message["kind"], message["sender"], message["content"]) == ("button", "end_user", "Yes")
    assert [button[name] for name in ("message_id", "button_event", "label", "value")] == [
        message["id"], "choose", "Yes", "y"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mime_type", "expected"),
    [
        ("image/png", "image"),
        ("AUDIO/mpeg", "audio"),
        ("video/mp4", "video"),
        ("text/plain; charset=utf-8", "text"),
        ("application/pdf", "document"),
        ("", "document"),
    ],
)
def test_the_type_of_an_attachment_follows_its_mime_type(database: Database, mime_type: str, expected: str) -> None:
    """Image, text, audio and video by the first half of the MIME type, document for everything else."""
    ref = AttachmentRef(DIGEST, 7, "n", mime_type)
    ingest(database, [Attachments(new_id(), "c1", T0_US, sender="agent", attachments=[ref])])
    message, row = one(database, "messages"), one(database, "attachments")
    assert (message["kind"], message["content"], message["sender"]) == ("attachments", "", "agent")
    assert [row[name] for name in ("message_id", "type", "filename", "mime_type", "size_bytes", "sha256")] == [
        message["id"], expected, "n", mime_type, 7, DIGEST
    ]  # fmt: skip


def test_token_usage_is_no_message(database: Database) -> None:
    """Token usage goes to its own table; a total left at 0 is prompt and completion together."""
    ingest(database, [TokenUsage(new_id(), "c1", T0_US, prompt_tokens=10, completion_tokens=5, embedding_tokens=2)])
    usage = one(database, "token_usages")
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "embedding_tokens")
    assert [usage[name] for name in names] == [10, 5, 15, 2]
    assert rows(database, "SELECT * FROM messages") == []
    found = conversation(database)
    assert (found["message_count"], found["action_count"], found["is_used"]) == (0, 0, True)


def test_feedback_keeps_who_judged_and_when(database: Database) -> None:
    """Feedback is a row with sentiment, source, comment and its capture time."""
    ingest(database, [Feedback(new_id(), "c1", T0_US, sentiment="negative", comment="slow", source="platform")])
    row = one(database, "feedbacks")
    assert [row[name] for name in ("sentiment", "source", "comment", "created_at_us")] == [
        "negative", "platform", "slow", T0_US
    ]  # fmt: skip


def test_counts_are_of_what_was_said_and_done(database: Database) -> None:
    """message_count counts messages of customer and agent only, action_count actions."""
    ingest(
        database,
        [
            said(),
            said(sender="agent"),
            said(sender="system"),
            Action(new_id(), "c1", T0_US, action_name="a"),
            Button(new_id(), "c1", T0_US, button_event="b", label="l", value="v"),
        ],
    )
    ingest(database, [said()])
    assert (conversation(database)["message_count"], conversation(database)["action_count"]) == (3, 1)


# -- what a conversation is -------------------------------------------------------------------------------------------


def test_a_message_makes_its_conversation(database: Database) -> None:
    """An unknown conversation comes into being with the first event of any kind, in environment development."""
    ingest(database, [said(at=5)])
    found = conversation(database)
    at_us = T0_US + 5_000_000
    assert (found["started_at_us"], found["ended_at_us"], found["environment"]) == (at_us, at_us, "development")
    assert [found[name] for name in ("is_used", "is_marked", "is_deleted", "customer_id")] == [1, 0, 0, None]


def test_get_or_create_fills_but_does_not_change(database: Database) -> None:
    """A later start fills what is null and adds metadata keys; it changes neither fields nor keys that are known."""
    ingest(database, [started(customer_id="first", metadata={"plan": "pro"})])
    ingest(database, [started(at=1, customer_id="second", device="mobile", metadata={"plan": "free", "x": 1})])
    found = conversation(database)
    assert (found["customer_id"], found["device"]) == ("first", "mobile")
    assert found["metadata"] == {"plan": "pro", "x": 1}


def test_the_earliest_capture_time_wins(database: Database) -> None:
    """An event that was captured earlier but arrives later sets its fields, and only its own."""
    ingest(database, [started(at=9, customer_id="late", device="tablet", metadata={"plan": "free", "late": True})])
    ingest(database, [started(at=3, customer_id="early", metadata={"plan": "pro"})])
    ingest(database, [started(at=6, customer_id="middle", device="mobile")])
    found = conversation(database)
    assert (found["customer_id"], found["device"]) == ("early", "mobile")
    assert found["metadata"] == {"plan": "pro", "late": True}
    assert list(found["metadata"]) == ["plan", "late"]


def test_at_equal_times_the_first_stored_stays(database: Database) -> None:
    """Two starts of the same microsecond: the one that was stored first is kept."""
    ingest(database, [started(customer_id="first")])
    ingest(database, [started(customer_id="second")])
    assert conversation(database)["customer_id"] == "first"


def test_an_environment_that_was_never_told_gives_way(database: Database) -> None:
    """The default development is no knowledge: the first environment told replaces it, whenever it arrives."""
    ingest(database, [said(at=1)])
    ingest(database, [started(at=5, environment="production")])
    assert conversation(database)["environment"] == "production"


@pytest.mark.parametrize(
    ("told", "stored"),
    [("prod", "production"), (" DEV ", "development"), ("Production", "production"), ("staging-2", "staging-2")],
)
def test_environments_have_one_spelling(database: Database, told: str, stored: str) -> None:
    """Short and differently cased spellings of the two documented environments are stored as these."""
    ingest(database, [started(environment=told)])
    assert conversation(database)["environment"] == stored


def test_a_visit_is_not_use(database: Database) -> None:
    """A start with is_used=False leaves the flag as it is; whatever else arrives sets it, for good."""
    visit = started(is_used=False)
    ingest(database, [visit])
    assert conversation(database)["is_used"] == 0
    ingest(database, [started(at=1)])
    ingest(database, [visit, started(at=2, is_used=False)])
    assert conversation(database)["is_used"] == 1


def test_an_empty_block_is_a_conversation(database: Database) -> None:
    """Start and end alone store the conversation with the length of the block."""
    ingest(database, [started(), ConversationEnded(new_id(), "c1", T0_US + 7)])
    found = conversation(database)
    assert (found["started_at_us"], found["ended_at_us"], found["error"]) == (T0_US, T0_US + 7, None)


def test_the_last_exception_is_the_outcome(database: Database) -> None:
    """Of several errors the latest is kept, in whatever order they arrive; a block that ends well takes none away."""
    for at, error in ((5, "late"), (1, "early"), (9, None)):
        ingest(database, [ConversationEnded(new_id(), "c1", T0_US + at, error=error)])
    assert (conversation(database)["error"], conversation(database)["ended_at_us"]) == ("late", T0_US + 9)


def test_a_deleted_conversation_stays_deleted(database: Database) -> None:
    """Tracking into a soft-deleted conversation stores the events and leaves it deleted."""
    ingest(database, [said()])
    with database.write() as connection:
        connection.execute(text("UPDATE conversations SET is_deleted = 1, deleted_at_us = 5"))
    assert statuses(database, said(at=1), started(at=2, name="n")) == ["stored", "stored"]
    found = conversation(database)
    assert (found["is_deleted"], found["deleted_at_us"], found["message_count"]) == (1, 5, 2)


def test_metadata_is_found_by_path_and_text(database: Database) -> None:
    """Nested values are indexed under dotted paths in their exact text, and the index follows the document."""
    ingest(database, [started(at=5, metadata={"a": {"b": 1, "c": {"d": "x"}}, "t": True, "n": None, "f": 2.0})])
    ingest(database, [started(at=1, metadata={"t": False, "l": ["x", 1]})])
    found = rows(database, "SELECT path, value_text FROM metadata_values ORDER BY path, value_text")
    assert [tuple(row.values()) for row in found] == [
        ("a.b", "1"), ("a.c.d", "x"), ("f", "2"), ("f", "2.0"), ("l", '["x",1]'), ("n", "null"), ("t", "false")
    ]  # fmt: skip


def test_hostile_metadata_comes_back_as_it_was(database: Database) -> None:
    """NUL, emoji, dots and quotes in keys, the largest integers and deep nesting survive."""
    deep: dict[str, object] = {"end": "x"}
    for _ in range(60):
        deep = {"d": deep}
    document = {"a.b": "\x00", "👍": 2**64 - 1, "min": -(2**63), "'\"%_\\": {"": ""}, "deep": deep, "empty": {}}
    ingest(database, [started(metadata=document), said("\x00👍", metadata=document)])
    assert conversation(database)["metadata"] == document
    message = one(database, "messages")
    assert (message["content"], json.loads(str(message["metadata"]))) == ("\x00👍", document)
    found = rows(database, "SELECT value_text FROM metadata_values WHERE path = :path", path="👍")
    assert found == [{"value_text": str(2**64 - 1)}]


# -- one bad event harms only itself ----------------------------------------------------------------------------------

BAD: dict[str, AnyEvent] = {
    "id too short": Message("abc", "c1", T0_US, sender="agent", content="x"),
    "id with blanks": Message("ab " * 10 + "ab", "c1", T0_US, sender="agent", content="x"),
    "id not hex": Message("g" * 32, "c1", T0_US, sender="agent", content="x"),
    "no conversation": said(to=""),
    "conversation too long": said(to="x" * 256),
    "conversation with a surrogate": said(to="\ud800"),
    "time before 1970": Message(new_id(), "c1", -1, sender="agent", content="x"),
    "time beyond 64 bits": Message(new_id(), "c1", 2**63, sender="agent", content="x"),
    "time past the calendar": Message(new_id(), "c1", 2**62, sender="agent", content="x"),
    "sender": said(sender="nobody"),
    "surrogate": said("\ud800"),
    "content not text": said(5),  # type: ignore[arg-type]
    "metadata not JSON": said(metadata={"x": object()}),
    "tokens beyond 64 bits": TokenUsage(new_id(), "c1", T0_US, prompt_tokens=2**63),
    "tokens below zero": TokenUsage(new_id(), "c1", T0_US, total_tokens=-1),
    "size beyond 64 bits": said(attachments=[AttachmentRef(DIGEST, 2**63, "a", "text/plain")]),
    "digest": said(attachments=[AttachmentRef("../../etc/passwd", 1, "a", "text/plain")]),
    "action time": Action(new_id(), "c1", T0_US, action_name="a", started_at_us=2**70),
    "duration": Action(new_id(), "c1", T0_US, action_name="a", duration_ms=float("inf")),
    "huge duration": Action(new_id(), "c1", T0_US, action_name="a", duration_ms=10**400),
    "parent": Action(new_id(), "c1", T0_US, action_name="a", parent_id="x"),
    "response not JSON": Action(new_id(), "c1", T0_US, action_name="a", response={1, 2, object()}),
    "button of the wrong type": Button(new_id(), "c1", T0_US, button_event=object(), label="l", value="v"),  # type: ignore[arg-type]
    "sentiment": Feedback(new_id(), "c1", T0_US, sentiment="great"),
    "feedback source": Feedback(new_id(), "c1", T0_US, sentiment="positive", source="me"),
    "field of the wrong type": started(customer_id=["x"]),
    "metadata of the wrong type": started(metadata=["x"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_harms_only_itself(database: Database, name: str) -> None:
    """It is rejected with a reason, its neighbours are stored, and no trace of it is left."""
    good = [said("before"), started(metadata={"k": 1}), said("after")]
    answers = ingest(database, [*good[:2], BAD[name], good[2]])
    assert [answer.status for answer in answers] == ["stored", "stored", "rejected", "stored"]
    assert answers[2].reason
    assert answers[2].event_id == BAD[name].id
    reference = [answer.status for answer in ingest(database, good, agent="reference")]
    assert reference == ["stored"] * 3
    assert everything(database) == everything(database, "reference")


def test_a_bad_event_among_many_harms_only_itself(database: Database) -> None:
    """Rows that go into the store together are told apart when one of them cannot be stored."""
    bad = Button(new_id(), "c1", T0_US, button_event="e", label=object(), value="v")  # type: ignore[arg-type]
    good = [said(f"message {number}", at=number) for number in range(50)]
    answers = ingest(database, [*good[:25], bad, *good[25:]])
    assert [answer.status for answer in answers] == ["stored"] * 25 + ["rejected"] + ["stored"] * 25
    assert "binding parameter" in (answers[25].reason or "")
    assert [answer.status for answer in ingest(database, good)] == ["duplicate"] * 50
    ingest(database, good, agent="reference")
    assert everything(database) == everything(database, "reference")


def test_a_batch_of_bad_events_alone_is_answered(database: Database) -> None:
    """When nothing can be stored, every event is answered and nothing is stored."""
    answers = ingest(database, list(BAD.values()))
    assert {answer.status for answer in answers} == {"rejected"}
    assert rows(database, "SELECT * FROM conversations") == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(document=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=4))
def test_any_json_metadata_comes_back(shared: Database, document: dict[str, object]) -> None:
    """Whatever metadata an outbox line can carry is stored as it is, and every top-level key is in the index."""
    conversation_id = new_id()
    line = encode_event(started(to=conversation_id, metadata=document))
    assert [answer.status for answer in ingest(shared, [decode_event(line)])] == ["stored"]
    found = conversation(shared, conversation_id)
    assert (found["metadata"] or {}) == document
    indexed = rows(shared, "SELECT path FROM metadata_values WHERE conversation_pk = :pk", pk=found["id"])
    paths = {row["path"] for row in indexed}
    assert all(any(path == key or path.startswith(f"{key}.") for path in paths) for key in document)
