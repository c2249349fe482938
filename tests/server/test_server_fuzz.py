"""Any bytes to the routes that take them: an answer of less than 500, and the server goes on."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .support import Client

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = ["message", "action", "button", "attachments", "token_usage", "feedback", "conversation"]
EVENT_FIELDS = st.fixed_dictionaries(
    {"kind": st.sampled_from(KINDS)},
    optional={
        name: st.one_of(JSON, st.just("0" * 32), st.just("agent"), st.integers(0, 2**62))
        for name in (
            "id", "conversation_id", "at_us", "sender", "content", "metadata", "attachments", "action_name",
            "tools_used", "duration_ms", "started_at_us", "sentiment", "prompt_tokens", "customer_id", "label", "value",
            "button_event",
        )
    },
)  # fmt: skip
SPAN_FIELDS = st.dictionaries(
    st.sampled_from(
        ["span_id", "trace_id", "name", "kind", "started_at", "ended_at", "attributes", "events", "status"]
    ),
    JSON,
)
HEADER = 'Content-Disposition: form-data; name="'


def test_any_event_is_answered(client: Client) -> None:
    """Fields of any type in events of any kind: each gets an answer of its own."""

    @QUICK
    @given(st.lists(EVENT_FIELDS | JSON, max_size=5))
    def ask(events: list[Any]) -> None:
        answer = client.request("POST", "/api/events/", content=json.dumps({"events": events}).encode())
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["results"]) == len(events)

    ask()


def test_any_body_of_spans_is_answered(client: Client) -> None:
    """Conversations and spans of any shape are stored or refused."""

    @QUICK
    @given(JSON | st.fixed_dictionaries({"conversations": st.lists(
        st.fixed_dictionaries({"conversation_id": JSON, "spans": st.lists(SPAN_FIELDS | JSON, max_size=3)}), max_size=3
    )}))  # fmt: skip
    def ask(document: Any) -> None:
        answer = client.request("POST", "/api/ingest/", content=json.dumps(document).encode())
        assert answer.status_code < 500, answer.text

    ask()


# Starlette leaves the files of a form that python-multipart cannot read to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_any_form_is_answered(client: Client) -> None:
    """Parts with any names, headers and contents, and bytes that are no form at all."""

    @QUICK
    @given(
        st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=40), st.binary(max_size=40)), max_size=4),
        st.binary(),
    )
    def ask(parts: list[tuple[str, bytes, bytes]], rest: bytes) -> None:
        body = b"".join(
            b"--x\r\n"
            + f'{HEADER}{name}"; filename="{name}"\r\n'.encode("utf-8", "replace")
            + extra
            + b"\r\n\r\n"
            + data
            + b"\r\n"
            for name, extra, data in parts
        )
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        for content in (body + b"--x--\r\n", body + rest):
            answer = client.request("POST", "/api/attachments/", content=content, headers=headers)
            assert answer.status_code < 500, answer.text

    ask()


def test_any_metadata_path_is_answered(client: Client) -> None:
    """Keys, paths and values of any text in the metadata filters, and any two filters together."""
    client.open("c", metadata={"a": {"b": [1, {"c": None}]}, "x.y": "z"})
    text = st.text(max_size=30) | st.sampled_from(
        ["a.b:1", "a..b:", ":", "a:1,b", "a.b.c.d.e:f", "x.y:z", "a:null", "a:1e400"]
    )

    @QUICK
    @given(text, text)
    def ask(one: str, two: str) -> None:
        given_ = f"metadata={quote(one, errors='replace')}&metadata_key={quote(two, errors='replace')}&metadata_value=1"
        assert client.request("GET", f"/api/conversations/?{given_}").status_code < 500
        assert (
            client.request("GET", f"/api/conversations/?metadata__{quote(two, errors='replace')}=1").status_code < 500
        )

    ask()
