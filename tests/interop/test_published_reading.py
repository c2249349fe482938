"""The published client's reader and manager find, edit and fail as documented."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.support import until

from .support import PublishedClient, Tenant

EVERYTHING = ["c-empty", "c-de", "c-en"]
LONG_AGO, FAR_AHEAD = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00+02:00"
FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, EVERYTHING),
    ({"conversation_id": "c-en"}, ["c-en"]),
    ({"conversation_id": "c-"}, []),
    ({"customer_id": "customer-7"}, ["c-en"]),
    ({"customer_id__icontains": "CUSTOMER-7"}, ["c-de", "c-en"]),
    ({"customer_ip_address": "203.0.113.8"}, ["c-de"]),
    ({"device": "mobile"}, ["c-en"]),
    ({"language": "en"}, ["c-en"]),
    ({"name": "order"}, ["c-en"]),
    ({"name": "%"}, ["c-empty"]),
    ({"name": "0%_s"}, ["c-empty"]),
    ({"is_marked": True}, ["c-de"]),
    ({"is_marked": False}, ["c-empty", "c-en"]),
    ({"has_messages": True}, ["c-de", "c-en"]),
    ({"has_messages": False}, ["c-empty"]),
    ({"message_contains": "question about C-D"}, ["c-de"]),
    ({"action_name": "FIND"}, ["c-en"]),
    ({"has_feedback": True}, ["c-de", "c-en"]),
    ({"has_feedback": False}, ["c-empty"]),
    ({"feedback_sentiment": "negative"}, ["c-de"]),
    ({"feedback_source": "customer"}, ["c-de", "c-en"]),
    ({"feedback_source": "platform"}, []),
    ({"metadata": "plan:gold"}, ["c-en"]),
    ({"metadata": "cart.items:3"}, ["c-en"]),
    ({"metadata": "plan:gold,cart.items:3"}, ["c-en"]),
    ({"metadata": "plan:gold,cart.items:4"}, []),
    ({"started_at_after": LONG_AGO, "started_at_before": FAR_AHEAD}, EVERYTHING),
    ({"started_at_after": FAR_AHEAD}, []),
    ({"started_at_before": LONG_AGO}, []),
    ({"include_deleted": True}, EVERYTHING),
    ({"a_filter_that_is_none": "x"}, EVERYTHING),
]


def test_every_filter_finds_what_it_says(published: PublishedClient, tenant: Tenant) -> None:
    """Each documented filter alone, newest first, with the right count; this library's own store agrees."""
    published.run("many")
    found = published.run("filtered", filters=[given for given, _ in FILTERS])
    expected = [[len(ids), ids] for _, ids in FILTERS]
    assert dict(zip(map(str, FILTERS), found, strict=True)) == dict(zip(map(str, FILTERS), expected, strict=True))
    known = [(given, ids) for given, ids in FILTERS if "a_filter_that_is_none" not in given]
    assert [(given, tenant.stored_ids(**given)) for given, _ in known] == known


def test_pages_show_each_conversation_once(published: PublishedClient) -> None:
    """`page` and `page_size` walk through the list; the count is that of all pages."""
    published.run("many")
    pages = published.run("filtered", filters=[{"page": number, "page_size": 2} for number in (1, 2)])
    assert pages == [[3, ["c-empty", "c-de"]], [3, ["c-en"]]]


def test_a_deleted_conversation_is_hidden_unless_asked_for(published: PublishedClient, tenant: Tenant) -> None:
    """The answer of a deletion is the documented one, and lists leave the conversation out."""
    published.run("many")
    number = tenant.stored("c-de")["id"]
    answer = published.run("delete", conversation_id="c-de")
    assert (answer["id"], answer["conversation_id"], answer["is_deleted"]) == (number, "c-de", True)
    stored = tenant.stored("c-de")
    assert (stored["is_deleted"], stored["deleted_at"]) == (True, answer["deleted_at"])
    found = published.run("filtered", filters=[{}, {"include_deleted": True}, {"is_marked": True}])
    assert found == [[2, ["c-empty", "c-en"]], [3, EVERYTHING], [0, []]]
    outcome = published.run("outcomes", conversation_id=number, calls=["fetch_conversation"])
    assert outcome == {"fetch_conversation": None}


def test_edits_answer_and_store_what_the_documentation_says(published: PublishedClient, tenant: Tenant) -> None:
    """Feedback, rename, mark and update work by text id and by number; the last one stays."""
    published.run("track_only", conversation_id="edited")
    told = published.run("manage", conversation_id="edited")
    number = told["number"]
    same = {"id": number, "conversation_id": "edited"}
    assert told["rename"] == {**same, "name": "A new name"}
    assert told["rename by number"] == {**same, "name": "Another name"}
    assert told["mark"] == {**same, "is_marked": True}
    assert told["unmark"] == {**same, "is_marked": False}
    changed = {
        "name": "Final", "is_marked": True, "customer_id": "customer-8", "device": "tablet", "language": "de",
        "metadata": {"only": "this"},
    }  # fmt: skip
    assert {name: told["update"][name] for name in (*same, *changed)} == {**same, **changed}
    assert told["update by number"]["language"] == "fr"
    feedback = told["feedback"]
    assert (feedback["conversation"], feedback["sentiment"], feedback["source"]) == (number, "positive", "customer")
    assert (feedback["comment"], feedback["metadata"]) == ("thanks", {"stars": 5})

    stored = tenant.stored("edited")
    assert {name: stored[name] for name in changed} == {**changed, "language": "fr"}
    assert [(row["sentiment"], row["comment"], row["source"]) for row in stored["feedbacks"]] == [
        ("positive", "thanks", "customer"),
        ("negative", told["feedback by number"]["comment"], "customer"),
    ]
    assert [row["id"] for row in stored["feedbacks"]] == [feedback["id"], told["feedback by number"]["id"]]


EDITS = [
    "submit_feedback", "rename_conversation", "mark_conversation", "update_conversation", "delete_conversation",
]  # fmt: skip
READS = ["fetch_conversation", "fetch_conversation_attachments"]


@pytest.mark.parametrize("conversation_id", ["never heard of", 999_999_999, 2**63])
def test_an_unknown_id_is_not_found_in_every_call(published: PublishedClient, conversation_id: object) -> None:
    """By text or by number, each read and edit raises the package's NotFoundException."""
    told = published.run("outcomes", conversation_id=conversation_id, calls=READS + EDITS)
    assert {name: outcome and outcome[:2] for name, outcome in told.items()} == {
        name: ["NotFoundException", 404] for name in READS + EDITS
    }


def test_another_agents_conversation_is_an_unknown_one(
    published: PublishedClient, server: Any, request: pytest.FixtureRequest
) -> None:
    """A stranger's key gets the same answers for a real number as for one that nobody has."""
    published.run("track_only", conversation_id="mine")
    number = published.run("fetch", conversation_id="mine")["by text"]["id"]
    stranger = published.with_key(Tenant(server, f"{request.node.name}-stranger").key())
    real = stranger.run("outcomes", conversation_id=number, calls=READS + EDITS)
    unknown = stranger.run("outcomes", conversation_id=999_999_999, calls=READS + EDITS)
    assert {name: outcome and outcome[:2] for name, outcome in real.items()} == {
        name: ["NotFoundException", 404] for name in READS + EDITS
    }
    assert real == unknown
    assert stranger.run("filtered", filters=[{}, {"include_deleted": True}]) == [[0, []], [0, []]]


def test_pages_and_dates_that_cannot_be_are_the_documented_errors(published: PublishedClient) -> None:
    """A page past the end is not found; an unreadable date is status 400, with the field's name."""
    told = published.run("outcomes", conversation_id="x", calls=["a page past the end", "an unreadable date"])
    assert told["a page past the end"][:2] == ["NotFoundException", 404]
    assert told["an unreadable date"][:2] == ["ConversationApiException", 400]
    assert "started_at_after" in told["an unreadable date"][2]


def test_a_wrong_key_is_unauthorized(published: PublishedClient, tenant: Tenant) -> None:
    """Reads and edits raise UnauthorizedException; each tracked item fails with 401, and nothing is stored."""
    wrong = published.with_key("ags_" + "0" * 32 + "_" + "0" * 6)
    calls = ["fetch_conversations", *READS, *EDITS]
    told = wrong.run("outcomes", conversation_id="chat", calls=calls)
    assert {name: outcome and outcome[:2] for name, outcome in told.items()} == {
        name: ["UnauthorizedException", 401] for name in calls
    }
    assert wrong.run("outcomes", conversation_id="chat", calls=["initialize_conversation"]) == {
        "initialize_conversation": [
            "ConversationApiException", 401, "API error for conversation (401): Invalid API key.",
        ]
    }  # fmt: skip
    sent = wrong.run("track_only", conversation_id="chat")
    assert sent["summary"]["errors"] == 6
    assert all("401" in item["error"] for item in sent["items"])
    assert tenant.stored_ids() == []


def test_a_read_key_reads_and_may_not_write(published: PublishedClient, tenant: Tenant) -> None:
    """Reads answer; edits raise ForbiddenException; each tracked item fails with 403, and nothing is stored."""
    published.run("track_only", conversation_id="chat")
    reader = published.with_key(tenant.key("read"))
    calls = ["fetch_conversations", *READS]
    assert reader.run("outcomes", conversation_id="chat", calls=calls) == dict.fromkeys(calls)
    told = reader.run("outcomes", conversation_id="chat", calls=EDITS)
    assert {name: outcome and outcome[:2] for name, outcome in told.items()} == {
        name: ["ForbiddenException", 403] for name in EDITS
    }
    sent = reader.run("track_only", conversation_id="other")
    assert sent["summary"]["errors"] == 6
    assert all("403" in item["error"] for item in sent["items"])
    assert tenant.stored_ids() == ["chat"]


def test_a_revoked_key_is_refused_within_a_second(published: PublishedClient, tenant: Tenant) -> None:
    """A key that the command line makes works; after `keys revoke` the running server stops believing it."""
    key = tenant.key_of_command_line("read")
    reader = published.with_key(key)
    assert reader.run("outcomes", conversation_id="x", calls=["fetch_conversations"]) == {"fetch_conversations": None}
    tenant.revoke(key)
    until(lambda: reader.run("outcomes", conversation_id="x", calls=["fetch_conversations"])["fetch_conversations"])
