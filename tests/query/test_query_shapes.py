from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from sqlalchemy import event as sqlalchemy_event

from agentsight_auto.events import ConversationStarted, Message
from agentsight_auto.exceptions import InvalidQueryException, NotFoundException

from .story import SECOND, START_US, Story

CONVERSATION_KEYS = {
    "id", "conversation_id", "name", "customer_id", "customer_ip_address", "device", "source", "language",
    "environment", "is_marked", "is_deleted", "is_used", "started_at", "ended_at", "deleted_at", "metadata",
    "geo_location", "messages", "feedbacks", "token_usage", "cost", "error",
}  # fmt: skip


def test_a_conversation_has_the_documented_fields(story: Story) -> None:
    """Every documented field is there, with documented types, and nothing else but token_usage, cost and error."""
    story.started(
        "c1", name="Refund", customer_id="u1", customer_ip_address="10.0.0.1", device="mobile", source="whatsapp",
        language="de", environment="production", metadata={"plan": "gold", "n": {"deep": [1, None]}},
    )  # fmt: skip
    story.ended("c1", 3 * SECOND, error="ValueError: no")
    conversation = story.backend.fetch_conversation("c1")
    assert set(conversation) == CONVERSATION_KEYS
    assert conversation == {
        "id": conversation["id"], "conversation_id": "c1", "name": "Refund", "customer_id": "u1",
        "customer_ip_address": "10.0.0.1", "device": "mobile", "source": "whatsapp", "language": "de",
        "environment": "production", "is_marked": False, "is_deleted": False, "is_used": True,
        "started_at": "2026-01-01T00:00:00.000000Z", "ended_at": "2026-01-01T00:00:03.000000Z", "deleted_at": None,
        "metadata": {"plan": "gold", "n": {"deep": [1, None]}}, "geo_location": None, "messages": [],
        "feedbacks": [], "token_usage": None, "cost": None, "error": "ValueError: no",
    }  # fmt: skip
    assert isinstance(conversation["id"], int)


def test_a_message_has_the_documented_fields(story: Story) -> None:
    """A message of a person carries empty lists and nulls where nothing was recorded."""
    story.human("c1", "hello", at=5)
    (message,) = story.backend.fetch_conversation("c1")["messages"]
    assert message == {
        "id": message["id"], "timestamp": "2026-01-01T00:00:00.000005Z", "sender": "end_user", "content": "hello",
        "action_name": None, "metadata": {}, "attachments": [], "action_logs": [], "button": None,
    }  # fmt: skip


def test_an_action_is_a_message_of_the_agent_with_one_action_log(story: Story) -> None:
    """The documented message says that the action was performed, its log says how; a nested one names its parent."""
    outer = story.action(
        "c1", "find_order", at=10, started_at_us=START_US, ended_at_us=START_US + 1500, duration_ms=1.5,
        tools_used={"function": "find_order"}, response={"ok": True}, error_msg="boom", metadata={"try": 1},
    )  # fmt: skip
    story.action("c1", "query", at=5, parent_id=outer)
    inner, message = story.backend.fetch_conversation("c1")["messages"]
    assert (message["sender"], message["content"]) == ("agent", "Action find_order performed")
    assert message["action_name"] == "find_order"
    (log,) = message["action_logs"]
    assert log == {
        "id": log["id"], "started_at": "2026-01-01T00:00:00.000000Z", "ended_at": "2026-01-01T00:00:00.001500Z",
        "duration_ms": 1.5, "tools_used": {"function": "find_order"}, "response": {"ok": True},
        "error_message": "boom", "metadata": {"try": 1}, "parent_id": None,
    }  # fmt: skip
    (inner_log,) = inner["action_logs"]
    assert inner_log["parent_id"] == log["id"]
    assert (inner_log["started_at"], inner_log["response"], inner_log["error_message"]) == (None, None, "")


def test_a_button_is_a_message_of_the_end_user(story: Story) -> None:
    """The content is the label, and the button hangs on the message."""
    story.button("c1", "choice", "Yes please", "yes", metadata={"row": 2})
    (message,) = story.backend.fetch_conversation("c1")["messages"]
    assert (message["sender"], message["content"]) == ("end_user", "Yes please")
    assert {key: value for key, value in message["button"].items() if key != "id"} == {
        "button_event": "choice", "label": "Yes please", "value": "yes", "metadata": {"row": 2},
    }  # fmt: skip


def test_messages_come_in_the_order_of_time_and_then_of_event_ids(story: Story) -> None:
    """Arrival does not matter: the later capture comes later, and of one moment the lower event id comes first."""
    later = Message("f" * 32, "c1", START_US + 2, sender="agent", content="third")
    twin = Message("a" * 32, "c1", START_US + 2, sender="agent", content="second")
    first = Message("e" * 32, "c1", START_US + 1, sender="end_user", content="first")
    story.store(later, twin, first)
    messages = story.backend.fetch_conversation("c1")["messages"]
    assert [message["content"] for message in messages] == ["first", "second", "third"]


def test_feedback_and_token_totals_are_part_of_a_conversation(story: Story) -> None:
    """Feedback comes in order of time; token usages are summed and are no messages."""
    story.feedback("c1", "negative", at=2, comment="slow", metadata={"form": 1})
    story.feedback("c1", "positive", at=1, source="platform")
    story.tokens("c1", 10, 5)
    story.tokens("c1", 1, 2)
    conversation = story.backend.fetch_conversation("c1")
    assert conversation["messages"] == []
    assert [{k: v for k, v in feedback.items() if k != "id"} for feedback in conversation["feedbacks"]] == [
        {"sentiment": "positive", "source": "platform", "comment": None, "metadata": {},
         "created_at": "2026-01-01T00:00:00.000001Z"},
        {"sentiment": "negative", "source": "customer", "comment": "slow", "metadata": {"form": 1},
         "created_at": "2026-01-01T00:00:00.000002Z"},
    ]  # fmt: skip
    assert conversation["token_usage"] == {
        "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "embedding_tokens": 0,
    }  # fmt: skip


def test_attachments_come_by_message_and_flat_with_file_urls(story: Story) -> None:
    """Both documented envelopes are served, and the URL leads to the bytes."""
    story.human("c1", "look", at=1, attachments=story.refs(("a b.png", "image/png", b"png"), ("n", "x/y", b"doc")))
    story.attachments("c1", ("s.mp3", "audio/mpeg", b"sound"), at=2)
    story.human("c1", "no attachment", at=3)
    conversation = story.backend.fetch_conversation("c1")
    answer = story.backend.fetch_conversation_attachments("c1")
    assert set(answer) == {
        "conversation_id", "conversation", "total_attachments", "attachment_count", "messages", "attachments",
    }  # fmt: skip
    assert (answer["conversation_id"], answer["conversation"]) == ("c1", conversation["id"])
    assert answer["total_attachments"] == answer["attachment_count"] == 3
    with_files = [message for message in conversation["messages"] if message["attachments"]]
    assert answer["messages"] == [
        {"message_id": m["id"], "sender": "end_user", "timestamp": m["timestamp"], "attachments": m["attachments"]}
        for m in with_files
    ]
    assert answer["attachments"] == [
        {**attachment, "message": message["id"]} for message in with_files for attachment in message["attachments"]
    ]
    kinds = [(a["filename"], a["type"], a["mime_type"], a["size_bytes"]) for a in answer["attachments"]]
    assert kinds == [
        ("a b.png", "image", "image/png", 3), ("n", "document", "x/y", 3), ("s.mp3", "audio", "audio/mpeg", 5),
    ]  # fmt: skip
    url = urlsplit(answer["attachments"][0]["file_url"])
    assert url.scheme == "file"
    assert Path(unquote(url.path)).read_bytes() == b"png"


def test_ids_are_read_as_documented(story: Story) -> None:
    """An int is the database id; text is the text id even if it is digits."""
    story.started("first")
    story.started("1")
    assert story.backend.fetch_conversation(1)["conversation_id"] == "first"
    assert story.backend.fetch_conversation("1")["conversation_id"] == "1"


@pytest.mark.parametrize("conversation_id", ["", "  ", None, True, 1.5, b"c1", ["c1"]])
def test_an_id_that_is_none_is_refused(story: Story, conversation_id: object) -> None:
    """An empty id, or something that cannot be one, is an error of the query."""
    for fetch in (story.backend.fetch_conversation, story.backend.fetch_conversation_attachments):
        with pytest.raises(InvalidQueryException, match="conversation_id"):
            fetch(conversation_id)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "conversation_id", ["nobody", 0, -1, 99, 2**63, pytest.param(10**5000, id="huge"), "\0", "\ud800", "x" * 60_000]
)
def test_an_id_that_nobody_has_is_not_found(story: Story, conversation_id: int | str) -> None:
    """Whatever the id looks like, absent is absent."""
    story.started("c1")
    for fetch in (story.backend.fetch_conversation, story.backend.fetch_conversation_attachments):
        with pytest.raises(NotFoundException):
            fetch(conversation_id)


def test_another_agents_conversation_is_not_found(story: Story, tmp_path: Path) -> None:
    """Row ids and text ids of another agent are absent, in single reads, lists, statistics and exports."""
    other = Story(tmp_path, agent="other")
    other.human("theirs", "secret")
    their_id = other.backend.fetch_conversation("theirs")["id"]
    for conversation_id in ("theirs", their_id):
        with pytest.raises(NotFoundException):
            story.backend.fetch_conversation(conversation_id)
    assert story.ids() == story.ids(metadata_key="x") == story.ids(message_contains="secret") == []
    assert story.backend.stats({})["conversations"] == 0
    assert list(story.backend.export_conversations({})) == []
    other.database.close()


def test_a_page_costs_the_same_number_of_statements_whatever_is_on_it(story: Story) -> None:
    """Messages, actions, buttons, attachments and feedback of a page are loaded together."""

    def statements() -> int:
        seen: list[str] = []

        def note(connection: object, cursor: object, statement: str, *_: object) -> None:
            seen.append(statement)

        with story.database.read() as connection:
            engine = connection.engine
        sqlalchemy_event.listen(engine, "before_cursor_execute", note)
        try:
            story.backend.fetch_conversations(page_size=100, filters={})
        finally:
            sqlalchemy_event.remove(engine, "before_cursor_execute", note)
        return len(seen)

    story.human("c0", "hello")
    statements()  # the first call also looks up the agent
    with_one = statements()
    for number in range(30):
        story.store(ConversationStarted(story.event_id(), f"c{number}", START_US))
        story.human(f"c{number}", "hello", attachments=story.refs(("a", "text/plain", b"x")))
        story.action(f"c{number}", "find")
        story.button(f"c{number}", "e", "l", "v")
        story.feedback(f"c{number}", "neutral")
    assert statements() == with_one <= 8
