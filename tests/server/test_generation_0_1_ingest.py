"""``POST /api/ingest/`` and ``GET /api/me/``: what the newer clients' spans become."""

from __future__ import annotations

import gzip
import itertools
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsight_auto.server.errors import ApiError
from agentsight_auto.server.projection.blocks import read_block
from agentsight_auto.server.projection.documents import read_document

from .spans_0_1 import T0_US, TURN, at, block, body, listed, llm, said, send, span, texts, tool, turn, whole
from .support import Client, Served

INGEST = "/api/ingest/"
ASKED, REPLIED = said("end_user", "where is it?", 1), said("agent", "on its way", 9)
FAMILY = [turn(ASKED, REPLIED), llm("1" * 16, 100, 20), llm("2" * 16, 50, 5), tool("3" * 16, arguments={"id": "A1"})]


def test_a_key_learns_who_it_is_and_what_the_server_can(served: Served) -> None:
    """The agent, the role, its environments and both capabilities."""
    client, reader = served.client(), served.client(role="read")
    client.open("c1", environment="staging")
    me = client.get("/api/me/").json()
    assert (me["agent_name"], me["role"]) == ("shop", "write")
    assert me["agent_id"] == client.get("/api/conversations/").json()["results"][0]["agent"]
    assert me["capabilities"] == ["gzip-ingest", "events-batch"]
    slugs = [(environment["slug"], environment["is_production"]) for environment in me["environments"]]
    assert slugs == [("production", True), ("development", False), ("staging", False)]
    assert reader.get("/api/me/").json()["role"] == "read"
    assert [row["slug"] for row in served.client("other").get("/api/me/").json()["environments"]] == [
        "production", "development",
    ]  # fmt: skip


def test_a_turn_becomes_messages_in_their_order(client: Client) -> None:
    """Sender, text, time and metadata; the agent's last one says how long the turn took."""
    events = [said("end_user", "hello", 1, '{"a": 1}'), said("agent", "one", 2), said("agent", "two", 2)]
    send(client, block(turn(*events, lasts=12.5), to="c1"))
    messages = whole(client)["messages"]
    assert [(m["sender"], m["content"], m["timestamp"]) for m in messages] == [
        ("end_user", "hello", at(1)), ("agent", "one", at(2)), ("agent", "two", at(2)),
    ]  # fmt: skip
    assert [m["metadata"] for m in messages] == [{"a": 1}, {}, {"latency_ms": 12.5}]


def test_many_messages_of_one_moment_keep_their_order(client: Client) -> None:
    """The order of a turn's events is the order of the messages, also where the times are the same."""
    contents = [f"m{number}" for number in range(300)]
    send(client, block(turn(*(said("agent", content, 1) for content in contents))))
    assert texts(client) == contents


def test_an_incomplete_turn_is_archived_and_not_shown(client: Client) -> None:
    """No transcript, but the span is there, and the conversation was used."""
    send(client, block(turn(ASKED, REPLIED, reason="abandoned")))
    conversation = whole(client)
    assert (conversation["messages"], conversation["is_used"], conversation["message_count"]) == ([], True, 0)
    (archived,) = listed(client, "/api/spans/")
    assert [event["attributes"]["agentsight.message.content"] for event in archived["events"]] == [
        "where is it?", "on its way",
    ]  # fmt: skip


def test_a_tool_becomes_an_action_with_a_name(client: Client) -> None:
    """Arguments are read, response, error and duration kept, and tools inside tools know their parent."""
    outer = tool("1" * 16, "find_order", {"order_id": "A1"})
    inner = tool("2" * 16, "ask_shop", parent_span_id="1" * 16, ms=3, attributes={"agentsight.tool.error": "closed"})
    send(client, block(turn(ASKED, REPLIED), outer, inner, {**tool("4" * 16, "sum_up", ms=4), "kind": "task"}))
    actions = [message for message in whole(client)["messages"] if message["action_name"]]
    assert [action["content"] for action in actions] == [
        "Action find_order performed", "Action ask_shop performed", "Action sum_up performed",
    ]  # fmt: skip
    logs = [action["action_logs"][0] for action in actions]
    assert logs[0]["tools_used"] == {"order_id": "A1"}
    assert (logs[0]["response"], logs[0]["duration_ms"], logs[0]["error_message"]) == ("found", 3, "")
    assert logs[1]["error_message"] == "closed"
    assert [log["parent_id"] for log in logs] == [None, logs[0]["id"], None]
    named = {row["name"]: row["id"] for row in listed(client, "/api/actions/")}
    assert [log["action"] for log in logs] == [named["find_order"], named["ask_shop"], named["sum_up"]]


def test_model_calls_are_counted_by_turn_and_model(client: Client) -> None:
    """One row per turn and model: sums of the billed tokens, calls, and those that reported none."""
    silent = {"agentsight.llm.usage_reported": False}
    cached = {"agentsight.llm.cache_read_tokens": 7, "agentsight.llm.reasoning_tokens": 3}
    spans = [llm("1" * 16, 100, 20), llm("2" * 16, 10, 2, attributes=cached), llm("3" * 16, 0, 0, attributes=silent)]
    send(client, block(turn(ASKED, REPLIED), *spans, llm("4" * 16, 5, 1, "other-model")))
    rows = {row["model"]: row for row in listed(client, "/api/token-usage/")}
    first = rows["gpt-5"]
    assert (first["prompt_tokens"], first["completion_tokens"], first["cache_read_tokens"]) == (110, 22, 7)
    assert (first["total_tokens"], first["reasoning_tokens"]) == (139, 3)
    assert (first["calls"], first["unreported_calls"], first["incomplete"]) == (3, 1, False)
    assert (first["turn_id"], first["started_at"], first["ended_at"]) == (TURN, at(1), at(11))
    assert (rows["other-model"]["calls"], rows["other-model"]["total_tokens"]) == (1, 6)
    usage = whole(client)["token_usage"]
    assert usage["totals"]["total_tokens"] == 145
    assert [(model["model"], model["total_tokens"]) for model in usage["models"]] == [
        ("gpt-5", 139),
        ("other-model", 6),
    ]


def everything(client: Client) -> Any:
    """Return what a conversation has become, without the ids of rows."""
    conversation = whole(client)
    messages = [
        {
            **{name: message[name] for name in ("sender", "content", "timestamp", "metadata", "action_name")},
            "logs": [(log["tools_used"], log["response"], log["duration_ms"]) for log in message["action_logs"]],
        }
        for message in conversation["messages"]
    ]
    usage = [
        {name: value for name, value in row.items() if name not in {"id", "conversation"}}
        for row in listed(client, "/api/token-usage/", ordering="started_at")
    ]
    fields = ("started_at", "ended_at", "is_used", "message_count", "metadata", "name")
    spans = [row["span_id"] for row in listed(client, "/api/spans/", ordering="started_at")]
    return {name: conversation[name] for name in fields}, messages, usage, sorted(spans)


@pytest.mark.parametrize("reason", [None, "error"])
def test_the_order_of_arrival_changes_nothing(served: Served, reason: str | None) -> None:
    """A family of spans in one request, or one by one in any order, each twice, becomes the same."""
    family = [turn(ASKED, REPLIED, reason=reason), *FAMILY[1:]]
    together = served.client("together")
    send(together, block(*family, name="N"))
    expected = everything(together)
    assert expected[2][0]["incomplete_reason"] == reason
    for number, order in enumerate(itertools.permutations(family)):
        client = served.client(f"agent {number}")
        for one in order:
            (first,) = send(client, block(one, name="N"))
            (again,) = send(client, block(one, name="N"))
            assert (first["new_spans"], again["new_spans"], again["known_spans"]) == (1, 0, 1)
        assert everything(client) == expected


def test_a_body_that_is_sent_again_takes_nothing_back(client: Client) -> None:
    """Not the name that was given meanwhile, either."""
    send(client, block(*FAMILY, name="old", metadata={"plan": "free"}))
    number = whole(client)["id"]
    client.patch(f"/api/conversations/{number}/update/", {"name": "new", "metadata": {"plan": "paid"}})
    before = everything(client)
    assert send(client, block(*FAMILY, name="old", metadata={"plan": "free"}))[0]["known_spans"] == len(FAMILY)
    assert everything(client) == before
    assert whole(client)["name"] == "new"


def test_a_span_that_is_twice_in_one_body_is_one(client: Client) -> None:
    """In one block or in two of the same conversation: the first counts."""
    other = turn(said("end_user", "other", 1))
    first, second = send(client, block(turn(ASKED), other, llm("1" * 16, 5, 1), llm("1" * 16, 5, 1)), block(other))
    assert (first["new_spans"], first["known_spans"], second["known_spans"]) == (2, 2, 1)
    assert texts(client) == ["where is it?"]
    assert [row["calls"] for row in listed(client, "/api/token-usage/")] == [1]


def test_fields_of_a_block_overwrite_and_absent_ones_do_not(client: Client) -> None:
    """Metadata replaces the whole document, an empty one clears it; older clients' events do not take it back."""
    fields = {"customer_id": "u1", "customer_ip_address": "203.0.113.7", "device": "mobile", "source": "web",
              "language": "en", "name": "N", "environment": "development",
              "metadata": {"a": 1, "b": {"c": 2}}}  # fmt: skip
    client.open("c1", customer_id="u0", name="first", metadata={"z": 1})
    send(client, block(span("conversation", "1" * 16), **fields))
    assert {name: whole(client)[name] for name in fields} == fields
    send(client, block(span("conversation", "2" * 16), device="desktop", metadata={"d": 4}))
    assert {name: whole(client)[name] for name in fields} == {**fields, "device": "desktop", "metadata": {"d": 4}}
    assert client.listed(metadata="d:4") == ["c1"]
    assert client.listed(metadata="a:1") == []
    send(client, block(span("conversation", "3" * 16), metadata={}))
    client.open("c1", device="tablet", timestamp=at(-60_000))
    assert (whole(client)["metadata"], whole(client)["device"]) == ({}, "desktop")


def test_a_visit_is_not_a_use(client: Client) -> None:
    """The kind `conversation` leaves is_used as it is; any other kind sets it, for good."""
    send(client, block(span("conversation", "1" * 16)))
    assert (whole(client)["is_used"], whole(client)["environment"]) == (False, "production")
    send(client, block(span("button", "2" * 16)))
    send(client, block(span("conversation", "3" * 16)))
    assert whole(client)["is_used"] is True


@pytest.mark.parametrize("kind", ["button", "attachment", "unknown", "guardrail", None])
def test_other_kinds_are_archived_and_nothing_else(client: Client, kind: str | None) -> None:
    """Also those that nobody knows yet."""
    send(client, block({**span("x", "1" * 16), "kind": kind, "invented": {"later": 1}}))
    assert whole(client)["messages"] == []
    (row,) = listed(client, "/api/spans/")
    assert row["kind"] == (kind or "unknown")
    payload = client.get(f"/api/spans/{row['id']}/", payload="true").json()["payload"]
    assert payload["invented"] == {"later": 1}


def test_a_bad_block_harms_only_itself(client: Client) -> None:
    """The answer is 200 and says what became of each block."""
    bad = [
        ("environment", block(to="bad", environment="not a slug!")),
        ("customer_ip_address", block(to="bad", customer_ip_address="localhost")),
        ("name", block(to="bad", name="n" * 256)),
        ("metadata", {"conversation_id": "bad", "metadata": "text"}),
        ("conversation_id", block(to="")),
        ("conversation_id", block(to="x" * 256)),
        ("non_field_errors", {**block(to="bad"), "invented": 1}),
        ("spans", {"conversation_id": "bad", "spans": [3]}),
    ]
    told = send(client, block(turn(ASKED)), *(one for _, one in bad))
    assert [entry["status"] for entry in told] == ["stored"] + ["refused"] * len(bad)
    for entry, (field, _) in zip(told[1:], bad, strict=True):
        assert field in entry["errors"], entry
    assert client.listed() == ["c1"]


def test_a_bad_span_harms_only_itself(client: Client) -> None:
    """It is named with its place and its errors."""
    bad = [{"trace_id": "x"}, {**span("turn", "2" * 16), "started_at": "yesterday"}, span("turn", "3" * 65)]
    (told,) = send(client, block(bad[0], turn(ASKED), *bad[1:]))
    assert (told["new_spans"], [entry["index"] for entry in told["refused_spans"]]) == (1, [0, 2, 3])
    assert [list(entry["errors"]) for entry in told["refused_spans"]] == [["span_id"], ["started_at"], ["span_id"]]
    assert texts(client) == ["where is it?"]


def test_a_body_without_a_good_block_is_refused_in_the_documented_form(client: Client) -> None:
    """400 with at most twenty blocks listed; nothing was written."""
    answer = client.post(INGEST, body(*(block(to=f"b{n}", environment="?") for n in range(25))))
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("25 of 25 conversation blocks failed validation. Nothing was written")
    assert answer.json()["conversations"][0] == {
        "index": 0, "conversation_id": "b0", "errors": {"environment": ["Unknown environment: '?'."]},
    }  # fmt: skip
    assert (len(answer.json()["conversations"]), answer.json()["truncated"]) == (20, True)
    assert client.listed() == []


@pytest.mark.parametrize("wrong", [b"", b"{}", b'{"conversations": 3}', b"[]", b"nonsense", b'{"conversations": null}'])
def test_a_body_that_is_none_is_refused(client: Client, wrong: bytes) -> None:
    """400 in a documented form."""
    answer = client.request("POST", INGEST, content=wrong)
    assert (answer.status_code, isinstance(answer.json(), dict)) == (400, True)


def test_a_bad_key_is_403_on_this_route(served: Served) -> None:
    """Absent, unknown or of the wrong role: the clients know no 401 here."""
    for client in (served.stranger(), Client(served, "ags_" + "0" * 32 + "_" + "0" * 6), served.client(role="read")):
        assert client.post(INGEST, body(block(turn(ASKED)))).status_code == 403


def test_gzip_is_accepted_and_large_bodies_are(client: Client) -> None:
    """A compressed request of 512 spans with long texts, 30 MiB in all, is stored."""
    spans = [turn(said("agent", "x" * 60_000, 1), span_id=f"{n:016x}") for n in range(512)]
    raw = json.dumps(body(block(*spans))).encode()
    assert len(raw) > 30_000_000
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = client.request("POST", INGEST, content=gzip.compress(raw, 1), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["conversations"][0]["new_spans"] == 512
    bomb = gzip.compress(b" " * (65 * 1024 * 1024), 9)
    assert client.request("POST", INGEST, content=bomb, headers=headers).status_code == 413


def test_hostile_text_is_stored(client: Client) -> None:
    """NUL, lone surrogates and bare NaN and Infinity inside attributes reach the transcript in a storable form."""
    arguments = r'{"speed": NaN, "far": -Infinity, "big": 1e999, "huge": 123456789012345678901, "nul": "\u0000"}'
    spans = [turn(said("end_user", "a\x00b\ud800c", 1, '{"x": NaN}')), tool("1" * 16, arguments=arguments)]
    raw = json.dumps(body(block(*spans, name="n\ud800"))).encode()
    assert client.request("POST", INGEST, content=raw).status_code == 200
    first, second = whole(client)["messages"]
    assert (first["content"], first["metadata"]) == ("a\ufffdb\ufffdc", {"x": "NaN"})
    assert second["action_logs"][0]["tools_used"] == {
        "speed": "NaN", "far": "-Infinity", "big": "1e999", "huge": "123456789012345678901", "nul": "\ufffd",
    }  # fmt: skip


def test_arguments_that_are_no_json_stay_text(client: Client) -> None:
    """A truncated document is kept as it is."""
    send(client, block(turn(ASKED), tool("1" * 16, arguments='{"a": "xxx...[truncated]')))
    assert whole(client)["messages"][1]["action_logs"][0]["tools_used"] == '{"a": "xxx...[truncated]'


def test_a_block_that_is_nested_too_deeply_harms_only_itself(client: Client) -> None:
    """The others of the request are stored."""
    deep: Any = []
    for _ in range(80):
        deep = [deep]
    told = send(client, block(turn(ASKED)), block(span("llm", "1" * 16, attributes={"deep": deep}), to="c2"))
    assert [entry["status"] for entry in told] == ["stored", "refused"]


def test_tokens_beyond_what_can_be_counted_stay_at_the_limit(client: Client) -> None:
    """However many calls of absurd size arrive, the sum is a number and no error."""
    for number in range(3):
        send(client, block(*(llm(f"{number}{n:015x}", 2**53, 2**53) for n in range(4))))
    (row,) = listed(client, "/api/token-usage/")
    assert (row["prompt_tokens"], row["total_tokens"], row["calls"]) == (2**53, 2**53, 12)
    assert client.get("/api/token-usage/summary/").json()["results"][0]["total_tokens"] == 2**53


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
names = st.sampled_from([
    "agentsight.turn.complete", "agentsight.turn.id", "agentsight.tool.name", "agentsight.tool.arguments",
    "agentsight.tool.error", "gen_ai.request.model", "gen_ai.usage.input_tokens", "agentsight.llm.usage_reported",
    "agentsight.message.sender", "agentsight.message.content", "agentsight.message.metadata",
])  # fmt: skip
kinds = st.sampled_from(["turn", "tool", "task", "llm", "conversation", "button", "odd"])
attributes = st.dictionaries(names, json_values, max_size=6)
events = st.lists(st.fixed_dictionaries({"name": st.just("agentsight.message"), "attributes": attributes}), max_size=3)


@given(
    kind=kinds, attributes=attributes, events=events, odd=st.dictionaries(st.text(max_size=9), json_values, max_size=3)
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_a_span_says_it_is_read_or_refused(kind: str, attributes: Any, events: Any, odd: Any) -> None:
    """Reading a block never fails in any other way, and gives the same each time."""
    document = block({**odd, **span(kind, "1" * 16, attributes=attributes, events=events)})
    with suppress(ApiError):
        assert read_block(document, T0_US) == read_block(document, T0_US)


@given(st.text(max_size=60) | json_values.map(json.dumps))
def test_whatever_an_attribute_says_it_can_be_stored(text: str) -> None:
    """The document that is read of it is JSON without NUL and lone surrogates."""
    written = json.dumps(read_document(text), allow_nan=False)
    assert "\\u0000" not in written.replace("\\\\", "")


@given(json_values)
def test_a_document_that_is_json_is_read_as_it_is(document: Any) -> None:
    """Objects, lists, numbers and text come back equal, but for what cannot be stored."""
    if "\x00" not in repr(document) and "\\x00" not in repr(document) and "\\ud" not in repr(document):
        assert read_document(json.dumps(document)) == document
