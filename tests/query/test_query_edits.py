from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto.enums import Sentiment
from agentsight_auto.exceptions import (
    InvalidConversationDataException,
    InvalidQueryException,
    NotFoundException,
)
from agentsight_auto.query.json_documents import read_document

from .story import START_US, Story

FEEDBACK_ID = "f" * 32


def judge(story: Story, *args: Any, event_id: str = FEEDBACK_ID, **fields: Any) -> dict[str, Any]:
    """Submit feedback with a fixed id and time."""
    return story.backend.submit_feedback(*args, **fields, event_id=event_id, at_us=START_US + 7)


def test_feedback_is_stored_and_answered_as_documented(story: Story) -> None:
    """The answer is the documented body; the conversation shows the feedback, for its text id and its row id alike."""
    story.started("c1")
    row_id = story.backend.fetch_conversation("c1")["id"]
    answer = judge(story, "c1", Sentiment.POSITIVE, "thanks", {"stars": 5})
    assert answer == {
        "id": answer["id"], "conversation": row_id, "sentiment": "positive", "source": "customer",
        "comment": "thanks", "metadata": {"stars": 5}, "created_at": "2026-01-01T00:00:00.000007Z",
    }  # fmt: skip
    judge(story, row_id, "negative", event_id="e" * 32)
    assert [f["sentiment"] for f in story.backend.fetch_conversation("c1")["feedbacks"]] == ["positive", "negative"]


def test_the_same_feedback_twice_is_stored_once(story: Story) -> None:
    """A repeated event id is answered with what is stored."""
    story.started("c1")
    assert judge(story, "c1", "neutral", "once") == judge(story, "c1", "neutral", "once")
    assert len(story.backend.fetch_conversation("c1")["feedbacks"]) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("c1", "happy"), InvalidQueryException),
        (("c1", None), InvalidQueryException),
        (("", "positive"), InvalidQueryException),
        (("c1", "positive", "x" * 5001), InvalidConversationDataException),
        (("c1", "positive", 1.5), InvalidQueryException),
        (("c1", "positive", None, ["x"]), InvalidQueryException),
        (("c1", "positive", None, {"x": math.nan}), InvalidQueryException),
        (("nobody", "positive"), NotFoundException),
        ((99, "positive"), NotFoundException),
    ],
)
def test_feedback_that_cannot_be_stored_is_refused(
    story: Story, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    """Each mistake has its documented exception, and nothing is stored."""
    story.started("c1")
    with pytest.raises(error):
        judge(story, *arguments)
    assert story.ids() == ["c1"]
    assert story.backend.fetch_conversation("c1")["feedbacks"] == []


def test_a_comment_of_5000_characters_is_stored(story: Story) -> None:
    """The documented limit itself is allowed; NUL and lone surrogates in it become U+FFFD."""
    story.started("c1")
    answer = judge(story, "c1", "positive", "ä" * 4998 + "\0\ud800")
    assert answer["comment"] == "ä" * 4998 + "\ufffd\ufffd"


def test_edits_answer_as_documented_and_are_read_back(story: Story) -> None:
    """Rename, mark, update and delete answer with the ids and what changed."""
    story.started("c1", metadata={"old": 1})
    row_id = story.backend.fetch_conversation("c1")["id"]
    ids = {"id": row_id, "conversation_id": "c1"}
    assert story.backend.rename_conversation("c1", "  New name ") == {**ids, "name": "New name"}
    assert story.backend.mark_conversation(row_id, True) == {**ids, "is_marked": True}
    changes = {"name": "N", "is_marked": False, "customer_id": "u", "device": "tablet", "language": "fr"}
    document = {"new": [1, 2.5, None, "x\0"]}
    stored = {**changes, "metadata": {"new": [1, 2.5, None, "x\ufffd"]}}
    answer = story.backend.update_conversation("c1", **changes, metadata=document)
    assert answer == {**ids, **stored, "updated_fields": answer["updated_fields"]}
    assert set(answer["updated_fields"]) == set(stored)
    conversation = story.backend.fetch_conversation("c1")
    assert {field: conversation[field] for field in stored} == stored
    assert story.ids(metadata="old:1") == []
    deleted = story.backend.delete_conversation("c1")
    conversation = story.backend.fetch_conversation(row_id)
    assert deleted == {**ids, "is_deleted": True, "deleted_at": conversation["deleted_at"]}
    assert conversation["deleted_at"] is not None
    assert story.backend.delete_conversation("c1") == deleted


@pytest.mark.parametrize(
    ("call", "arguments", "error"),
    [
        ("rename_conversation", ("c1", "   "), InvalidConversationDataException),
        ("rename_conversation", ("c1", "x" * 256), InvalidConversationDataException),
        ("rename_conversation", ("c1", None), InvalidQueryException),
        ("rename_conversation", ("", "name"), InvalidQueryException),
        ("rename_conversation", ("nobody", "name"), NotFoundException),
        ("mark_conversation", ("c1", "maybe"), InvalidQueryException),
        ("mark_conversation", ("c1", None), InvalidQueryException),
        ("mark_conversation", (2**70, True), NotFoundException),
        ("delete_conversation", (" ",), InvalidQueryException),
        ("delete_conversation", ("nobody",), NotFoundException),
    ],
)
def test_an_edit_that_cannot_be_made_is_refused(
    story: Story, call: str, arguments: tuple[Any, ...], error: type[Exception]
) -> None:
    """Each mistake has its documented exception, and the conversation stays as it was."""
    story.started("c1", name="before")
    before = story.backend.fetch_conversation("c1")
    with pytest.raises(error):
        getattr(story.backend, call)(*arguments)
    assert story.backend.fetch_conversation("c1") == before


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, InvalidQueryException),
        ({"name": None, "metadata": None}, InvalidQueryException),
        ({"name": ""}, InvalidConversationDataException),
        ({"device": "x" * 256}, InvalidConversationDataException),
        ({"metadata": "plan:gold"}, InvalidQueryException),
        ({"metadata": {"a": {1, 2}}}, InvalidQueryException),
        ({"metadata": {1: "a"}}, InvalidQueryException),
        ({"is_marked": "maybe"}, InvalidQueryException),
        ({"name": "fine", "language": 1.5}, InvalidQueryException),
    ],
)
def test_an_update_that_cannot_be_made_changes_nothing(
    story: Story, fields: dict[str, Any], error: type[Exception]
) -> None:
    """Nothing to update, or one field that cannot be stored, leaves every field as it was."""
    story.started("c1", name="before", metadata={"plan": "gold"})
    before = story.backend.fetch_conversation("c1")
    with pytest.raises(error):
        story.backend.update_conversation("c1", **fields)
    assert story.backend.fetch_conversation("c1") == before


def test_empty_metadata_replaces_the_document(story: Story) -> None:
    """An empty dict is something to update."""
    story.started("c1", metadata={"plan": "gold"})
    story.backend.update_conversation("c1", metadata={})
    assert story.backend.fetch_conversation("c1")["metadata"] == {}
    assert story.ids(metadata_key="plan") == []


safe_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | safe_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(safe_text, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(safe_text, json_values, max_size=4))
def test_what_is_json_stays_as_it_is(document: dict[str, Any]) -> None:
    """A document of JSON types without NUL comes out equal."""
    assert read_document("metadata", document) == document


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        {1},
        b"x",
        pytest.param(object(), id="object"),
        2**63,
        -(2**70),
        pytest.param(10**5000, id="huge"),
        {None: 1},
        1j,
    ],
    ids=repr,
)
def test_what_is_not_json_is_refused_with_its_place(value: object) -> None:
    """The message says where in the document the value is, and what would be accepted."""
    with pytest.raises(InvalidQueryException, match=r"^metadata\.a\[1\]: .*cannot be stored\. .*[Gg]ive") as caught:
        read_document("metadata", {"a": [0, value]})
    assert caught.value.status_code == 400


def test_a_document_that_contains_itself_is_refused() -> None:
    """A cycle is an error, not an endless loop."""
    document: dict[str, Any] = {}
    document["self"] = document
    with pytest.raises(InvalidQueryException, match="levels"):
        read_document("metadata", document)
