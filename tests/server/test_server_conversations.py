"""``/api/conversations/``: what the older and the newer clients send and read."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from agentsight_auto.query.filters import KNOWN_FILTERS

from .support import BASE, Client

LIST = "/api/conversations/"
TEN_KEYS: dict[str, Any] = {
    "timestamp": "2026-11-20T08:00:00.000000+00:00",
    "conversation_id": "cid",
    "customer_id": None,
    "customer_ip_address": None,
    "device": None,
    "source": None,
    "language": None,
    "name": None,
    "environment": "development",
    "metadata": None,
    "is_used": False,
}


def test_the_same_conversation_is_made_once(client: Client) -> None:
    """The first request answers 201, later ones 200 with the same id."""
    first = client.post(LIST, TEN_KEYS)
    second = client.post(LIST, TEN_KEYS)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert first.json()["started_at"] == "2026-11-20T08:00:00.000000Z"


def test_known_fields_are_neither_overridden_nor_emptied(client: Client) -> None:
    """Both payload sizes fill what is unknown and leave the rest."""
    known = {**TEN_KEYS, "customer_id": "u1", "device": "mobile", "metadata": {"a": 1}, "is_used": True}
    client.post(LIST, known)
    client.post(LIST, {**TEN_KEYS, "customer_id": "u2", "name": "N", "metadata": {"a": 2, "b": 3}})
    client.post(LIST, TEN_KEYS)
    client.post(LIST, {"conversation_id": "cid"})
    row = client.post(LIST, {"conversation_id": "cid", "environment": "production"}).json()
    assert (row["customer_id"], row["device"], row["name"]) == ("u1", "mobile", "N")
    assert row["metadata"] == {"a": 1, "b": 3}
    assert row["environment"] == "development"
    assert row["is_used"] is True


def test_a_visit_becomes_used_and_never_unused(client: Client) -> None:
    """is_used false is a visit; true makes it used; false afterwards changes nothing."""
    assert client.post(LIST, TEN_KEYS).json()["is_used"] is False
    assert client.post(LIST, {**TEN_KEYS, "is_used": True}).json()["is_used"] is True
    assert client.post(LIST, TEN_KEYS).json()["is_used"] is True


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (None, "production"),
        ("prod", "production"),
        (" DEV ", "development"),
        ("Staging-2", "staging-2"),
        ("", "production"),
    ],
)
def test_environments_are_read_leniently(client: Client, sent: str | None, stored: str) -> None:
    """Short names, any case, spaces; without one it is production."""
    assert client.post(LIST, {"conversation_id": "e", "environment": sent}).json()["environment"] == stored


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("conversation_id", ""),
        ("conversation_id", "x" * 256),
        ("conversation_id", None),
        ("conversation_id", []),
        ("timestamp", "yesterday"),
        ("timestamp", "0000-00-00"),
        ("timestamp", "1969-12-31T23:59:59Z"),
        ("timestamp", 5),
        ("environment", "no such!"),
        ("metadata", [1]),
        ("metadata", "x"),
        ("device", 5),
        ("name", "x" * 256),
        ("is_used", "maybe"),
    ],
)
def test_a_bad_field_is_named(client: Client, field: str, value: object) -> None:
    """400 with the field's name and a list of messages; nothing is stored."""
    answer = client.post(LIST, {**TEN_KEYS, field: value})
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert isinstance(answer.json()[field], list)
    assert client.listed() == []


def test_a_missing_id_is_named(client: Client) -> None:
    """The one required field."""
    assert client.post(LIST, {}).json() == {"conversation_id": ["This field is required."]}


# -- the list ------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(client: Client) -> Client:
    """Three conversations an hour apart, the last one deleted."""
    for hour, (name, fields) in enumerate(
        {
            "one": {"customer_id": "Ada", "language": "en", "device": "mobile", "source": "web", "name": "Refund 100%"},
            "two": {
                "customer_id": "Bob",
                "language": "de",
                "environment": "development",
                "metadata": {"plan": {"n": 2}},
            },
            "gone": {"customer_id": "ada-2", "customer_ip_address": "203.0.113.7"},
        }.items()
    ):
        client.open(name, timestamp=f"2026-11-20T0{hour}:00:00Z", **fields)
    client.say("one", "where is my ORDER?", timestamp="2026-11-20T00:10:00Z")
    client.post("/api/action_logs/", {"action_name": "find_order", "conversation_id": "two"})
    client.post("/api/conversation-feedbacks/", {"sentiment": "negative", "conversation_id": "one"})
    client.patch(f"{LIST}2/rename/", {"name": "Second"})
    client.post(f"{LIST}2/mark/", {"is_marked": True})
    client.delete(f"{LIST}3/delete/")
    return client


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["two", "one"]),
        ({"include_deleted": "true"}, ["gone", "two", "one"]),
        ({"conversation_id": "one"}, ["one"]),
        ({"customer_id": "Ada"}, ["one"]),
        ({"customer_id": "ada"}, []),
        ({"customer_id__icontains": "ADA", "include_deleted": "1"}, ["gone", "one"]),
        ({"customer_ip_address": "203.0.113.7", "include_deleted": "yes"}, ["gone"]),
        ({"device": "mobile"}, ["one"]),
        ({"source": "web"}, ["one"]),
        ({"language": "de"}, ["two"]),
        ({"name": "refund"}, ["one"]),
        ({"name": "100%"}, ["one"]),
        ({"name": "%"}, ["one"]),
        ({"name": "_"}, []),
        ({"env": "prod"}, ["one"]),
        ({"environment": "development"}, ["two"]),
        ({"is_marked": "true"}, ["two"]),
        ({"is_marked": "false"}, ["one"]),
        ({"has_messages": "true"}, ["two", "one"]),
        ({"has_messages": "false"}, []),
        ({"has_action": "true"}, ["two"]),
        ({"has_feedback": "false"}, ["two"]),
        ({"feedback_sentiment": "negative"}, ["one"]),
        ({"feedback_source": "platform"}, []),
        ({"message_contains": "order"}, ["two", "one"]),
        ({"action_name": "FIND"}, ["two"]),
        ({"metadata": "plan.n:2"}, ["two"]),
        ({"metadata_key": "plan", "metadata_value": "2"}, []),
        ({"metadata_key": "plan.n", "metadata_value": "2"}, ["two"]),
        ({"search": "bob"}, ["two"]),
        ({"started_at_after": "2026-11-20T01:00:00Z"}, ["two"]),
        ({"started_at_before": "2026-11-20T00:59:59+00:00"}, ["one"]),
        ({"ordering": "started_at"}, ["one", "two"]),
        ({"ordering": "-customer_id"}, ["two", "one"]),
        ({"ordering": "id", "include_deleted": "true"}, ["one", "two", "gone"]),
        ({"status": "open"}, ["two"]),
        ({"status": "abandoned"}, ["one"]),
        ({"insight": "repeated"}, []),
        ({"country": "GB"}, []),
        ({"first_response_over_ms": "0"}, []),
        ({"response_over_ms": "0"}, []),
        ({"nonsense": "x", "nonsense__gt": "'; DROP TABLE"}, ["two", "one"]),
        ({"include_tickets": "no"}, ["two", "one"]),
        ({"include_tickets": "true"}, []),
    ],
)
def test_filters_find_what_they_say(three: Client, filters: dict[str, str], found: list[str]) -> None:
    """Each documented filter and ordering, and unknown parameters that are ignored."""
    assert three.listed(**filters) == found


def test_every_filter_is_tried() -> None:
    """The table above leaves no filter of the query layer out."""
    tried = {name for mark in test_filters_find_what_they_say.pytestmark for case in mark.args[1] for name in case[0]}
    assert set(KNOWN_FILTERS) <= tried | {"metadata_value"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("is_marked", "perhaps"),
        ("started_at_after", "soon"),
        ("feedback_sentiment", "angry"),
        ("ordering", "password"),
        ("page", "x"),
        ("page_size", "many"),
        ("cursor", "abc"),
        ("full", "half"),
        ("metadata", "novalue"),
        ("environment", "staging"),
        ("include_tickets", ""),
        ("include_tickets", "maybe"),
    ],
)
def test_an_unreadable_parameter_is_named(three: Client, name: str, value: str) -> None:
    """400 with the parameter's name."""
    answer = three.get(LIST, **{name: value})
    assert answer.status_code == 400
    assert list(answer.json()) == [name]


def test_an_unknown_environment_is_refused_as_documented(three: Client) -> None:
    """The documented text; an environment that this agent has is found."""
    text = "Select a valid choice. staging is not one of the available choices."
    assert three.get(LIST, env="staging").json() == {"environment": [text]}
    three.open("s", environment="staging")
    assert three.listed(env="staging") == ["s"]


def test_pages_have_both_envelopes_keys_and_lead_on(client: Client) -> None:
    """Seven keys; next and previous are this server's own addresses and keep filters, size and form."""
    for number in range(7):
        client.open(f"c{number}", timestamp=f"2026-11-20T0{number}:00:00Z", language="en")
    first = client.get(LIST, page_size=3, language="en", full="false").json()
    assert list(first) == ["count", "page_size", "total_pages", "current_page", "next", "previous", "results"]
    assert (first["count"], first["page_size"], first["total_pages"], first["current_page"]) == (7, 3, 3, 1)
    assert first["previous"] is None
    seen, url = [row["conversation_id"] for row in first["results"]], first["next"]
    while url is not None:
        assert url.startswith(f"{BASE}{LIST}?")
        page = client.get(f"{LIST}?{urlsplit(url).query}").json()
        assert all("messages" not in row for row in page["results"])
        seen += [row["conversation_id"] for row in page["results"]]
        url = page["next"]
    assert seen == [f"c{number}" for number in reversed(range(7))]
    assert page["current_page"] == 3
    back = client.get(f"{LIST}?{urlsplit(page['previous']).query}").json()
    assert [row["conversation_id"] for row in back["results"]] == ["c3", "c2", "c1"]


def test_page_sizes_are_clamped_and_pages_beyond_the_end_absent(client: Client) -> None:
    """Ten by default, at most 100, at least one; page 0, a negative one or one past the end is 404."""
    for number in range(12):
        client.open(f"c{number}")
    assert len(client.get(LIST).json()["results"]) == 10
    assert client.get(LIST, page_size=10**9).json()["page_size"] == 100
    assert client.get(LIST, page_size=-1).json()["page_size"] == 1
    assert len(client.get(LIST, page_size=0).json()["results"]) == 1
    for page in (0, -1, 3, 10**18, 10**40, "9" * 5000):
        assert client.get(LIST, page=page).status_code == 404, page
    assert client.get(LIST, conversation_id="none", page=1).json()["results"] == []


def test_counting_may_be_left_out(client: Client) -> None:
    """count=false answers null for both numbers, and next keeps it."""
    for number in range(3):
        client.open(f"c{number}")
    page = client.get(LIST, count="false", page_size=2).json()
    assert (page["count"], page["total_pages"]) == (None, None)
    assert "count=false" in page["next"]


def test_lists_are_full_unless_told_otherwise(three: Client) -> None:
    """The oldest clients read the messages of a list's rows; the newer ones ask for lean rows."""
    (full,) = three.get(LIST, conversation_id="one").json()["results"]
    (lean,) = three.get(LIST, conversation_id="one", full="false").json()["results"]
    assert full["messages"][0]["content"] == "where is my ORDER?"
    assert "messages" not in lean
    expected = {
        "id", "agent", "conversation_id", "name", "customer_id", "customer_ip_address", "device", "language",
        "environment", "environment_id", "metadata", "started_at", "ended_at", "message_count", "feedback_count",
        "is_marked", "is_used", "is_deleted", "deleted_at", "geo_location",
    }  # fmt: skip
    assert expected <= set(lean)
    assert (lean["message_count"], lean["feedback_count"]) == (1, 1)


# -- one conversation ------------------------------------------------------------------------------------------------


def test_a_conversation_comes_back_with_everything(three: Client) -> None:
    """Messages with ids of their conversation, action logs, feedback and empty tickets; a deleted one too."""
    one, two = three.get(f"{LIST}1/").json(), three.get(f"{LIST}2/").json()
    (message,) = one["messages"]
    assert (message["conversation"], message["sender"], message["feedback"]) == (1, "end_user", None)
    (feedback,) = one["feedbacks"]
    assert (feedback["kind"], feedback["sentiment"], feedback["conversation"]) == ("conversation", "negative", 1)
    (action,) = two["messages"]
    assert action["content"] == "Action find_order performed"
    assert action["action_logs"][0]["message"] == action["id"]
    assert one["tickets"] == []
    gone = three.get(f"{LIST}3/")
    assert gone.status_code == 200
    assert gone.json()["is_deleted"] is True


@pytest.mark.parametrize("number", ["0", "99", "-1", "x", "1.0", "٣", str(2**63), "9" * 5000, "1e3", "%00"])
def test_what_is_no_id_of_a_conversation_is_absent(three: Client, number: str) -> None:
    """404 for ids that nobody has, of any size and form, in every route that has one in its path."""
    for method, rest in [("GET", ""), ("GET", "attachments/"), ("DELETE", ""), ("DELETE", "delete/")]:
        assert three.request(method, f"{LIST}{number}/{rest}").status_code == 404
    for method, rest in [("PATCH", "rename/"), ("POST", "mark/"), ("PATCH", "update/")]:
        body = {"name": "x", "is_marked": True}
        assert three.request(method, f"{LIST}{number}/{rest}", json=body).status_code == 404


def test_lookup_turns_a_text_id_into_the_integer(three: Client) -> None:
    """Also that of a deleted one; digits are text here."""
    look = f"{LIST}lookup/"
    assert three.get(look, conversation_id="two").json() == {"id": 2, "conversation_id": "two"}
    assert three.get(look, conversation_id="gone").json()["id"] == 3
    assert three.get(look, conversation_id="1").status_code == 404
    assert three.get(look).json() == {"conversation_id": ["This field is required."]}


def test_a_rename_sets_the_trimmed_name(three: Client) -> None:
    """1 to 255 characters; nothing, spaces or no text is the documented 400."""
    answer = three.patch(f"{LIST}1/rename/", {"name": "  New "})
    assert answer.json() == {"id": 1, "conversation_id": "one", "name": "New"}
    for body in ({}, {"name": None}, {"name": "  "}):
        refused = three.patch(f"{LIST}1/rename/", body)
        assert (refused.status_code, refused.json()) == (400, {"detail": "Field 'name' cannot be empty."})
    for name in (5, "x" * 256):
        assert list(three.patch(f"{LIST}1/rename/", {"name": name}).json()) == ["name"]


def test_a_mark_is_set_and_cleared(three: Client) -> None:
    """A missing field is the documented 400, an unreadable one is named."""
    assert three.post(f"{LIST}1/mark/", {"is_marked": True}).json()["is_marked"] is True
    assert three.post(f"{LIST}1/mark/", {"is_marked": "false"}).json()["is_marked"] is False
    assert three.post(f"{LIST}1/mark/", {}).json() == {"detail": "Missing field 'is_marked'."}
    assert list(three.post(f"{LIST}1/mark/", {"is_marked": "x"}).json()) == ["is_marked"]


def test_an_update_overwrites_and_says_what(three: Client) -> None:
    """Metadata is replaced as a whole; nothing to update is 400."""
    answer = three.patch(f"{LIST}2/update/", {"metadata": {"new": True}, "language": "fr", "unknown": 1}).json()
    assert answer == {
        "id": 2, "conversation_id": "two", "language": "fr", "metadata": {"new": True},
        "updated_fields": ["language", "metadata"],
    }  # fmt: skip
    assert three.get(f"{LIST}2/").json()["metadata"] == {"new": True}
    assert three.listed(metadata="plan.n:2") == []
    for body in ({}, {"metadata": 5}, {"language": ["x"]}, {"device": "x" * 256}, {"name": ""}):
        assert three.patch(f"{LIST}2/update/", body).status_code == 400, body


@pytest.mark.parametrize("form", ["delete/", ""])
def test_both_forms_of_delete_hide(three: Client, form: str) -> None:
    """The answer says so, and a second time keeps the moment."""
    first, second = (three.delete(f"{LIST}1/{form}").json() for _ in range(2))
    assert first == second
    assert set(first) == {"id", "conversation_id", "is_deleted", "deleted_at"}
    assert three.listed() == ["two"]


def test_metadata_can_be_discovered(three: Client) -> None:
    """Keys as dotted paths, values as text, keys of messages; none of deleted conversations."""
    three.say("one", metadata={"a": {"b": 1}, "c": [1]})
    three.open("gone", metadata={"hidden": 1})
    assert three.get(f"{LIST}metadata-keys/").json() == {"keys": ["plan.n"]}
    assert three.get(f"{LIST}metadata-values/", key="plan.n").json() == {"key": "plan.n", "values": ["2"]}
    assert three.get(f"{LIST}metadata-values/", key="hidden").json()["values"] == []
    assert three.get(f"{LIST}metadata-values/").status_code == 400
    assert three.get(f"{LIST}message-metadata-keys/").json() == {"keys": ["a.b", "c"]}
