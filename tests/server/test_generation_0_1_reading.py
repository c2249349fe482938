"""Spans, traces, token usage, actions and single messages, as the newer clients read and edit them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .spans_0_1 import T0_US, TRACE, TURN, at, block, listed, llm, said, send, span, texts, tool, turn, whole
from .support import BASE, Client, Served

SPANS, USAGE, ACTIONS = "/api/spans/", "/api/token-usage/", "/api/actions/"
ASKED, REPLIED = said("end_user", "where is it?", 1), said("agent", "on its way", 9)


@pytest.fixture
def filled(client: Client) -> Client:
    """A client whose agent has two conversations of the newer kind."""
    return fill(client)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The same, for tests that only read."""
    with Served(tmp_path_factory.mktemp("kept")) as served:
        client = fill(served.client())
        client.post(ACTIONS, {"name": "pay", "display_name": "Pay", "description": "moves money"})
        client.post(ACTIONS, {"name": "cancel_order"})
        yield client


def fill(client: Client) -> Client:
    send(
        client,
        block(turn(ASKED, REPLIED), llm("1" * 16, 100, 20), tool("2" * 16), to="c1", environment="staging"),
        block(
            turn(ASKED, span_id="b" * 16, ms=86_400_000, reason="deadline", trace_id="e" * 32),
            llm("1" * 16, 5, 1, "small", ms=86_400_001, attributes={"agentsight.turn.id": "b" * 16}),
            to="c2",
        ),
    )
    return client


def ids(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["conversation_id"], row["span_id"][:1]) for row in rows]


def test_spans_are_listed_newest_first_without_payload(filled: Client) -> None:
    """With everything that the documented row has."""
    rows = listed(filled, SPANS, payload="false")
    assert ids(rows) == [("c2", "1"), ("c2", "b"), ("c1", "2"), ("c1", "1"), ("c1", "a")]
    assert set(rows[0]) == {
        "id", "conversation", "conversation_id", "trace_id", "span_id", "parent_span_id", "kind", "name", "started_at",
        "ended_at", "duration_ms", "status", "attributes", "events",
    }  # fmt: skip
    assert rows[4]["started_at"] == at(0)
    assert rows[3]["attributes"]["gen_ai.usage.input_tokens"] == 100


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"kind": "tool"}, ["2"]),
        ({"name": "turn", "conversation_id": "c1"}, ["a"]),
        ({"name": "tur"}, []),
        ({"span_id": TURN}, ["a"]),
        ({"parent_span_id": TURN, "conversation_id": "c1"}, ["2", "1"]),
        ({"trace_id": "e" * 32}, ["b"]),
        ({"environment": "staging"}, ["2", "1", "a"]),
        ({"status": "error"}, []),
        ({"started_at_after": at(86_400_001)}, ["1"]),
        ({"started_at_before": at(0)}, ["a"]),
        ({"ordering": "started_at", "conversation_id": "c2"}, ["b", "1"]),
        ({"ordering": "-duration_ms", "conversation_id": "c1", "kind": "tool"}, ["2"]),
        ({"conversation": "999999"}, []),
        ({"conversation_id": "c9"}, []),
    ],
)
def test_every_filter_of_spans_filters(kept: Client, filters: dict[str, str], found: list[str]) -> None:
    """Exact, typed and inclusive."""
    assert [row["span_id"][:1] for row in listed(kept, SPANS, **filters)] == found


def test_a_list_has_the_envelope_of_seven_keys(filled: Client) -> None:
    """Pages by number with working links; page 0 and beyond the end are 404; the size is clamped."""
    first = filled.get(SPANS, page_size=2, kind="llm").json()
    assert set(first) == {"count", "page_size", "total_pages", "current_page", "next", "previous", "results"}
    pages = [filled.get(SPANS, page_size=2).json()]
    while pages[-1]["next"]:
        assert pages[-1]["next"].startswith(BASE + SPANS)
        pages.append(filled.get(pages[-1]["next"].removeprefix(BASE)).json())
    assert [(page["current_page"], page["total_pages"], len(page["results"])) for page in pages] == [
        (1, 3, 2), (2, 3, 2), (3, 3, 1),
    ]  # fmt: skip
    assert filled.get(pages[2]["previous"].removeprefix(BASE)).json() == pages[1]
    for page in (0, -1, 4, 10**18, 10**30):
        assert filled.get(SPANS, page_size=2, page=page).status_code == 404
    assert filled.get(SPANS).json()["page_size"] == 15
    assert [filled.get(SPANS, page_size=size).json()["page_size"] for size in (-1, 0, 5000)] == [1, 1, 100]


@pytest.mark.parametrize("path", [SPANS, USAGE, "/api/feedbacks/", ACTIONS])
def test_the_first_page_is_always_there(client: Client, path: str) -> None:
    """An agent without anything gets an empty one, whatever else it asks for that is unknown."""
    envelope = client.get(path, invented="1").json()
    assert (envelope["count"], envelope["total_pages"], envelope["results"]) == (0, 1, [])
    assert client.get(path, page=2).status_code == 404


@pytest.mark.parametrize(
    ("path", "filters", "field"),
    [
        (SPANS, {"ordering": "payload"}, "ordering"),
        (SPANS, {"started_at_after": "0000-00-00"}, "started_at_after"),
        (SPANS, {"conversation": "x"}, "conversation"),
        (SPANS, {"page": "x"}, "page"),
        (USAGE, {"cost_source": "guess"}, "cost_source"),
        (USAGE, {"incomplete": "maybe"}, "incomplete"),
        (USAGE, {"environment": "not a slug"}, "environment"),
        ("/api/token-usage/summary/", {"group_by": "user"}, "group_by"),
        ("/api/token-usage/summary/", {"currency": "yen"}, "currency"),
        ("/api/feedbacks/", {"kind": "odd"}, "kind"),
    ],
)
def test_a_filter_that_cannot_be_read_is_named(kept: Client, path: str, filters: dict[str, str], field: str) -> None:
    """400 with the parameter as the key."""
    answer = kept.get(path, **filters)
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_the_choices_of_a_summary_are_told(client: Client) -> None:
    """In the documented words."""
    answer = client.get("/api/token-usage/summary/", group_by="user")
    assert answer.json() == {"group_by": "Must be one of: model, conversation, day."}


def test_one_span_can_be_read_as_it_was_sent(client: Client) -> None:
    """With payload the span is what the client sent, with what this server does not know."""
    sent = {**tool("2" * 16), "otel": {"resource": {"service.name": "x"}, "links": []}, "later": [1]}
    send(client, block(sent))
    (row,) = listed(client, SPANS)
    assert client.get(f"{SPANS}{row['id']}/").json() == row
    assert client.get(f"{SPANS}{row['id']}/", payload="true").json() == {**row, "payload": sent}


def test_a_trace_is_a_tree(filled: Client) -> None:
    """Spans hang below their parents, in their order; one whose parent is not there is a root."""
    send(filled, block(tool("5" * 16, parent_span_id="2" * 16, ms=4), tool("6" * 16, parent_span_id="9" * 16, ms=5)))
    trace = filled.get(f"/api/traces/{TRACE}/").json()
    assert (trace["trace_id"], trace["span_count"], trace["truncated"]) == (TRACE, 6, False)

    def names(nodes: list[dict[str, Any]]) -> list[Any]:
        return [(node["conversation_id"], node["span_id"][0], names(node["children"])) for node in nodes]

    inner = [("c1", "1", []), ("c1", "2", [("c1", "5", [])])]
    assert names(trace["roots"]) == [("c1", "a", inner), ("c1", "6", []), ("c2", "1", [])]
    assert filled.get("/api/traces/unknown/").status_code == 404


def test_hostile_traces_are_answered(client: Client) -> None:
    """Circles and chains of any depth: each span is shown once, and the JSON is no deeper than clients read."""
    circle = [span("task", "1" * 16, parent_span_id="2" * 16), span("task", "2" * 16, parent_span_id="1" * 16)]
    own = [span("task", "3" * 16, parent_span_id="3" * 16)]
    chain = [span("task", f"{n:016x}", parent_span_id=f"{n - 1:016x}", ms=-n) for n in range(1, 600)]
    send(client, block(*circle, *own, *chain))
    trace = client.get(f"/api/traces/{TRACE}/").json()
    waiting, seen, deepest = [(root, 1) for root in trace["roots"]], [], 0
    while waiting:
        node, depth = waiting.pop()
        seen.append(node["span_id"])
        deepest = max(deepest, depth)
        waiting += [(child, depth + 1) for child in node["children"]]
    assert len(seen) == len(set(seen)) == trace["span_count"] == 602
    assert 50 < deepest <= 100


def test_a_trace_that_is_too_large_says_so(client: Client) -> None:
    """The oldest 5,000 spans are shown."""
    send(client, block(*(span("odd", f"{n:016x}", ms=n) for n in range(5001))))
    trace = client.get(f"/api/traces/{TRACE}/").json()
    assert (trace["span_count"], trace["truncated"], len(trace["roots"])) == (5000, True, 5000)
    assert trace["roots"][-1]["started_at"] == at(4999)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["small", "gpt-5"]),
        ({"ordering": "total_tokens"}, ["small", "gpt-5"]),
        ({"ordering": "-total_tokens"}, ["gpt-5", "small"]),
        ({"model": "small"}, ["small"]),
        ({"turn_id": TURN}, ["gpt-5"]),
        ({"incomplete": "true"}, ["small"]),
        ({"incomplete": "false"}, ["gpt-5"]),
        ({"cost_source": "unpriced", "conversation_id": "c1"}, ["gpt-5"]),
        ({"cost_source": "backend"}, []),
        ({"environment": "staging"}, ["gpt-5"]),
        ({"started_at_after": at(1000)}, ["small"]),
        ({"started_at_before": at(1)}, ["gpt-5"]),
    ],
)
def test_every_filter_of_token_usage_filters(kept: Client, filters: dict[str, str], found: list[str]) -> None:
    """Rows of turns and models, newest first."""
    assert [row["model"] for row in listed(kept, USAGE, **filters)] == found


def test_a_row_of_token_usage_has_all_documented_keys(filled: Client) -> None:
    """Costs are unpriced decimal text; the reason of an incomplete turn is told."""
    row = listed(filled, USAGE, model="small")[0]
    assert set(row) == {
        "id", "conversation", "conversation_id", "environment", "turn_id", "model", "prompt_tokens",
        "completion_tokens", "embedding_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
        "audio_input_tokens", "audio_output_tokens", "total_tokens", "cost_usd", "cost_usd_reported", "cost_source",
        "calls", "unreported_calls", "incomplete", "incomplete_reason", "started_at", "ended_at",
    }  # fmt: skip
    assert (row["cost_usd"], row["cost_source"], row["incomplete_reason"]) == ("0.00000000", "unpriced", "deadline")


def test_what_a_call_cost_is_told_and_no_price_is_no_zero(client: Client) -> None:
    """Rows, sums and the conversation: priced calls are reported, the others unpriced, and no sum mixes them up."""

    def use(number: int, **told: Any) -> None:
        counters = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "delta": True}
        fields = {"action_name": "token_usage", "conversation_id": "c", "timestamp": at(number)}
        assert client.post("/api/action_logs/", {**fields, "metadata": {**counters, **told}}).status_code == 201

    use(1, model="gpt-4o-mini", cost_usd=0.00042, cache_read_tokens=40)
    use(2, model="gpt-4o-mini")
    use(3, model="ours", cost_usd="cheap")
    rows = listed(client, USAGE, ordering="started_at")
    told = [(row["model"], row["cost_usd"], row["cost_source"], row["cache_read_tokens"]) for row in rows]
    assert told == [
        ("gpt-4o-mini", "0.00042000", "reported", 40),
        ("gpt-4o-mini", "0.00000000", "unpriced", 0),
        ("ours", "0.00000000", "unpriced", 0),
    ]
    assert [row["model"] for row in listed(client, USAGE, cost_source="unpriced", model="ours")] == ["ours"]
    assert [row["cost_usd"] for row in listed(client, USAGE, cost_source="reported")] == ["0.00042000"]
    assert listed(client, USAGE, ordering="-cost_usd")[0]["cost_source"] == "reported"
    sums = client.get("/api/token-usage/summary/").json()["results"]
    assert [(row["group"], row["calls"], row["unpriced_calls"], row["cost_usd"]) for row in sums] == [
        ("gpt-4o-mini", 2, 1, 0.00042),
        ("ours", 1, 1, 0.0),
    ]
    whole = client.get(f"/api/conversations/{rows[0]['conversation']}/").json()
    assert (whole["cost"]["cost_usd"], whole["cost"]["priced_calls"], whole["cost"]["unpriced_calls"]) == (
        0.00042,
        1,
        2,
    )
    usage = whole["token_usage"]
    assert (usage["cost_usd"], usage["cost_sources"]) == ("0.00042000", ["reported", "unpriced"])
    assert [(model["model"], model["cost_source"], model["cost_usd"]) for model in usage["models"]] == [
        ("gpt-4o-mini", "reported", "0.00042000"),
        ("gpt-4o-mini", "unpriced", "0.00000000"),
        ("ours", "unpriced", "0.00000000"),
    ]


def test_token_usage_is_summed_by_model_conversation_and_day(filled: Client) -> None:
    """With the filters of the list; usage that older clients report is in the sums, under an unknown model."""
    told = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    fields = {"action_name": "token_usage", "conversation_id": "c1", "timestamp": at(5), "metadata": told}
    assert filled.post("/api/action_logs/", fields).status_code == 201

    def sums(**filters: str) -> list[tuple[Any, ...]]:
        summary = filled.get("/api/token-usage/summary/", **filters).json()
        assert summary["currency"] == "usd"
        return [(row["group"], row["calls"], row["rows"], row["total_tokens"]) for row in summary["results"]]

    assert sums() == [("gpt-5", 1, 1, 120), ("unknown", 1, 1, 7), ("small", 1, 1, 6)]
    assert sums(group_by="conversation") == [("c1", 2, 2, 127), ("c2", 1, 1, 6)]
    day = at(0)[:10]
    (first, second) = sums(group_by="day")
    assert (first[0], first[3], second[3], second[0] > first[0]) == (day, 127, 6, True)
    assert sums(group_by="model", conversation_id="c2") == [("small", 1, 1, 6)]
    assert sums(group_by="model", incomplete="true") == [("small", 1, 1, 6)]


def test_what_is_deleted_is_hidden_from_lists_and_sums(filled: Client) -> None:
    """Spans, usage and logs of a deleted conversation are in no list."""
    action = listed(filled, ACTIONS)[0]["id"]
    filled.delete(f"/api/conversations/{whole(filled)['id']}/")
    assert {row["conversation_id"] for row in listed(filled, SPANS)} == {"c2"}
    assert [row["model"] for row in listed(filled, USAGE)] == ["small"]
    assert len(filled.get("/api/token-usage/summary/").json()["results"]) == 1
    assert filled.get(f"{ACTIONS}{action}/logs/").json() == []


def test_the_first_use_of_a_name_makes_the_action(client: Client) -> None:
    """On every way in: spans, the older route, events in batches."""
    event = {"kind": "action", "id": "0" * 31 + "1", "conversation_id": "c1", "at_us": T0_US, "action_name": "batched"}
    send(client, block(tool("1" * 16, "spanned"), tool("2" * 16, "spanned")))
    client.post("/api/action_logs/", {"action_name": "logged", "conversation_id": "c1"})
    assert client.post("/api/events/", {"events": [event]}).json()["results"][0]["status"] == "stored"
    assert [row["name"] for row in listed(client, ACTIONS)] == ["batched", "logged", "spanned"]


def test_a_declared_action_is_adopted(client: Client) -> None:
    """Its display name and description stay when it is performed; its logs are a bare list, newest first."""
    told = {"name": " find_order ", "display_name": "Find an order", "description": "Asks the shop."}
    answer = client.post(ACTIONS, told)
    assert answer.status_code == 201
    action = answer.json()
    assert action == {**action, "name": "find_order", "display_name": "Find an order", "description": "Asks the shop."}
    send(client, block(tool("1" * 16, ms=1), tool("2" * 16, ms=5), tool("3" * 16, "other", ms=6)))
    assert client.get(f"{ACTIONS}{action['id']}/").json() == action
    logs = client.get(f"{ACTIONS}{action['id']}/logs/").json()
    assert [(log["started_at"], log["action"]) for log in logs] == [(at(5), action["id"]), (at(1), action["id"])]
    assert set(logs[0]) >= {"id", "message", "tools_used", "response", "error_message", "metadata", "duration_ms"}
    assert client.post(ACTIONS, {"name": "x"}).json()["display_name"] == "x"


def test_a_name_belongs_to_one_action(client: Client) -> None:
    """Declaring or renaming to a name that is taken is refused in the documented words."""
    refusal = {"name": ['An action named "one" already exists for this agent.']}
    first, second = (client.post(ACTIONS, {"name": name}).json()["id"] for name in ("one", "two"))
    assert (client.post(ACTIONS, {"name": "one"}).status_code, client.post(ACTIONS, {"name": "one"}).json()) == (
        400,
        refusal,
    )
    assert client.patch(f"{ACTIONS}{second}/", {"name": "one"}).json() == refusal
    assert client.patch(f"{ACTIONS}{first}/", {"name": "one", "description": "d"}).json()["description"] == "d"
    for body in ({"name": " "}, {"name": "n" * 256}, {}, {"name": "n", "description": "d" * 5001}):
        assert client.post(ACTIONS, body).status_code == 400, body


def test_a_renamed_action_keeps_what_it_did(client: Client) -> None:
    """What was performed goes along; the old name is free, and its next use makes another action."""
    send(client, block(tool("1" * 16)))
    (action,) = listed(client, ACTIONS)
    assert client.patch(f"{ACTIONS}{action['id']}/", {"name": "look_up"}).json()["name"] == "look_up"
    assert texts(client) == ["Action look_up performed"]
    assert len(client.get(f"{ACTIONS}{action['id']}/logs/").json()) == 1
    send(client, block(tool("2" * 16)))
    assert [row["name"] for row in listed(client, ACTIONS)] == ["find_order", "look_up"]
    assert len(client.get(f"{ACTIONS}{action['id']}/logs/").json()) == 1


def test_an_action_cannot_be_deleted(client: Client) -> None:
    """405, as its history hangs on it."""
    number = client.post(ACTIONS, {"name": "one"}).json()["id"]
    answer = client.delete(f"{ACTIONS}{number}/")
    assert (answer.status_code, answer.json()) == (405, {"detail": 'Method "DELETE" not allowed.'})


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"name": "find_order"}, ["find_order"]),
        ({"name": "find"}, []),
        ({"name__icontains": "ORDER"}, ["cancel_order", "find_order"]),
        ({"name__icontains": "_"}, ["cancel_order", "find_order"]),
        ({"display_name": "Pay"}, ["pay"]),
        ({"search": "money"}, ["pay"]),
        ({"ordering": "-name"}, ["pay", "find_order", "cancel_order"]),
    ],
)
def test_every_filter_of_actions_filters(kept: Client, filters: dict[str, str], found: list[str]) -> None:
    """By name, part of a name, display name and search."""
    assert [row["name"] for row in listed(kept, ACTIONS, **filters)] == found


def test_the_metadata_of_a_message_can_be_replaced(client: Client) -> None:
    """The whole document, and nothing else of the message."""
    number = client.say("c1", "hello", metadata={"a": 1})
    path = f"/api/track/{number}/"
    before = client.get(path).json()
    assert (before["content"], before["metadata"], before["feedback"]) == ("hello", {"a": 1}, None)
    changed = client.patch(path, {"metadata": {"b": {"c": None}}, "content": "forged"}).json()
    assert changed == {**before, "metadata": {"b": {"c": None}}}
    assert client.get(path).json() == changed
    for body in ({}, {"metadata": None}, {"metadata": "x"}, {"metadata": [1]}):
        assert client.patch(path, body).status_code == 400, body
    assert client.get(path).json() == changed


def test_there_are_no_tickets_and_no_imports(client: Client) -> None:
    """Their routes are 404."""
    for path in ("tickets/", "tickets/1/", "tickets/1/comments/", "imports/schema/", "imports/limits/"):
        assert client.get(f"/api/{path}").status_code == 404


def test_no_other_agent_sees_or_changes_any_of_it(served: Served, filled: Client) -> None:
    """Rows of another agent are absent from every list, by every id."""
    filled.say("c1", "hello")
    before = whole(filled), listed(filled, ACTIONS)
    other = served.client("other")
    for path in (SPANS, USAGE, ACTIONS, "/api/feedbacks/"):
        assert listed(other, path) == []
    assert other.get("/api/token-usage/summary/").json()["results"] == []
    assert other.get(f"/api/traces/{TRACE}/").status_code == 404
    message, action = whole(filled)["messages"][0]["id"], listed(filled, ACTIONS)[0]["id"]
    tried = [
        other.get(f"{SPANS}{listed(filled, SPANS)[0]['id']}/"),
        other.get(f"/api/track/{message}/"),
        other.patch(f"/api/track/{message}/", {"metadata": {"x": 1}}),
        other.get(f"{ACTIONS}{action}/"),
        other.get(f"{ACTIONS}{action}/logs/"),
        other.patch(f"{ACTIONS}{action}/", {"name": "stolen"}),
    ]
    assert [answer.status_code for answer in tried] == [404] * len(tried)
    assert (whole(filled), listed(filled, ACTIONS)) == before
    send(other, block(turn(said("end_user", "mine", 1)), to="c1"))
    assert (texts(other), "mine" in texts(filled)) == (["mine"], False)
