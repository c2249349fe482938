from __future__ import annotations

import pytest

from agentsight_auto.exceptions import InvalidQueryException

from .story import SECOND, START_US, Story


def test_an_export_carries_the_event_ids(story: Story) -> None:
    """Messages, feedback, token usages and nested actions name their events, so that an import changes nothing."""
    outer = story.action("c1", "outer", 1)
    inner = story.action("c1", "inner", 2, parent_id=outer)
    said = story.human("c1", "hello", 3, attachments=story.refs(("a.txt", "text/plain", b"a")))
    judged = story.feedback("c1", "positive", 4)
    used = story.tokens("c1", 1, 2, 5)
    (conversation,) = story.backend.export_conversations({})
    assert [message["event_id"] for message in conversation["messages"]] == [outer, inner, said]
    logs = [message["action_logs"][0] for message in conversation["messages"][:2]]
    assert [log["parent_event_id"] for log in logs] == [None, outer]
    (attachment,) = conversation["messages"][2]["attachments"]
    assert story.folder.path(attachment["sha256"]).read_bytes() == b"a"
    assert conversation["feedbacks"][0]["event_id"] == judged
    assert conversation["token_usages"] == [
        {"event_id": used, "timestamp": "2026-01-01T00:00:00.000005Z", "prompt_tokens": 1, "completion_tokens": 2,
         "total_tokens": 3, "embedding_tokens": 0, "metadata": {}},
    ]  # fmt: skip
    assert set(conversation) == set(story.backend.fetch_conversation("c1")) | {"token_usages"}


def test_an_export_is_whole_and_the_oldest_comes_first(story: Story) -> None:
    """More conversations than fit into one portion come once each, by start and then by id."""
    for number in range(120):
        story.started(f"c{number}", (number * 7) % 60)
    exported = list(story.backend.export_conversations({}))
    expected = sorted(range(120), key=lambda number: ((number * 7) % 60, number))
    assert [conversation["conversation_id"] for conversation in exported] == [f"c{number}" for number in expected]


def test_an_export_is_not_disturbed_by_what_happens_meanwhile(story: Story) -> None:
    """Whether conversations arrive, start earlier than was known, or are hidden: each old one comes exactly once."""
    for number in range(120):
        story.started(f"c{number}", (number + 10) * SECOND)
    export = story.backend.export_conversations({})
    seen = [next(export)["conversation_id"] for _ in range(10)]
    story.started("early", 0)
    story.started("late", 500 * SECOND)
    story.started("c119", 0)
    story.backend.delete_conversation("c60")
    seen += [conversation["conversation_id"] for conversation in export]
    assert seen == [f"c{number}" for number in range(120)]


def test_an_export_is_filtered_and_hides_what_was_deleted(story: Story) -> None:
    """The filters are those of fetch_conversations; a mistake in them is raised at once."""
    story.started("kept", 1, device="mobile")
    story.started("gone", 0)
    story.backend.delete_conversation("gone")

    def exported(**filters: object) -> list[str]:
        return [conversation["conversation_id"] for conversation in story.backend.export_conversations(filters)]

    assert exported() == exported(device="mobile") == ["kept"]
    assert exported(include_deleted=True) == ["gone", "kept"]
    with pytest.raises(InvalidQueryException):
        story.backend.export_conversations({"is_marked": "maybe"})


def test_known_events_are_those_that_are_stored_as_messages(story: Story) -> None:
    """Each known id leads to its message and conversation; unknown, unreadable and other events are left out."""
    first = story.human("c1", "hello")
    second = story.action("c2", "find")
    usage = story.tokens("c1", 1, 1)
    many = [f"{number:032x}" for number in range(10**6, 10**6 + 1200)]
    known = story.backend.known_event_ids([first, *many, "", "xyz", "ab", usage, second])
    expected = {}
    for event_id, name in ((first, "c1"), (second, "c2")):
        conversation = story.backend.fetch_conversation(name)
        expected[event_id] = {"id": conversation["messages"][0]["id"], "conversation": conversation["id"]}
    assert known == expected
    assert story.backend.known_event_ids([]) == {}


def test_closing_is_not_the_end(story: Story) -> None:
    """After close() the next call opens the store again."""
    story.started("c1", START_US % 7)
    story.backend.close()
    assert story.ids() == ["c1"]
