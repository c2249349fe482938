from __future__ import annotations

import inspect
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsight_auto._http.client import HttpClient
from agentsight_auto.enums import Sentiment
from agentsight_auto.exceptions import (
    ConversationApiException,
    ConversationNetworkException,
    ForbiddenException,
    InvalidConversationDataException,
    InvalidQueryException,
    NotFoundException,
    UnauthorizedException,
)
from agentsight_auto.query.backend import Backend
from agentsight_auto.query.filter_values import READERS
from agentsight_auto.query.filters import KNOWN_FILTERS
from agentsight_auto.query.remote import RemoteBackend
from tests.faultserver import KEY, Asked, Fault, FaultServer, fault_server

from .story import Story


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that answers as the test says."""
    with fault_server() as running:
        yield running


@pytest.fixture
def backend(server: FaultServer) -> Iterator[RemoteBackend]:
    """A backend over that server."""
    made = RemoteBackend(HttpClient(server.url, KEY))
    yield made
    made.close()


def answer(body: Any, status: int = 200) -> Fault:
    return Fault("status", status, body=json.dumps(body).encode())


def answer_by_path(server: FaultServer, answers: Mapping[str, Fault]) -> None:
    server.behave(lambda asked: answers.get(f"{asked.method} {asked.path}", answer({"detail": "Not found."}, 404)))


PAGE = {"count": 1, "page_size": 10, "total_pages": 1, "next": None, "previous": None, "results": [{"id": 7}]}
LOOKUP = {"GET /api/conversations/lookup/": answer({"id": 7, "conversation_id": "chat-1"})}


def page(backend: Backend, **arguments: Any) -> dict[str, Any]:
    given_ = {"page": 1, "page_size": 10, "cursor": None, "count": True, "filters": {}}
    return backend.fetch_conversations(**{**given_, **arguments})


def test_the_backend_has_the_methods_and_parameters_of_the_seam() -> None:
    """What the clients call exists with the same parameters as the seam says."""
    for name in [name for name in dir(Backend) if not name.startswith("_")]:
        if name != "update_conversation":  # hands its fields on by name
            expected = inspect.signature(getattr(Backend, name)).parameters
            assert list(inspect.signature(getattr(RemoteBackend, name)).parameters) == list(expected), name


def test_every_filter_of_the_embedded_store_is_checked_for_remote_ones() -> None:
    """The readers that need no database cover exactly the known filters."""
    assert set(READERS) == set(KNOWN_FILTERS)


def test_a_page_has_the_documented_envelope(server: FaultServer, backend: RemoteBackend) -> None:
    """The four documented keys, whatever else the server adds."""
    server.behave(answer(PAGE))
    assert page(backend) == {"count": 1, "next": None, "previous": None, "results": [{"id": 7}]}
    assert page(backend, count=False)["count"] is None


def test_filters_travel_as_documented(server: FaultServer, backend: RemoteBackend) -> None:
    """Flags are words, moments have an offset, None is left out, and what is not known goes along."""
    server.behave(answer(PAGE))
    filters = {
        "is_marked": True,
        "name": None,
        "customer_id": 17,
        "metadata": "plan:gold,a.b:1",
        "feedback_sentiment": Sentiment.POSITIVE,
        "started_at_after": datetime(2026, 1, 1, tzinfo=timezone.utc),
        "shoe_size": 42.5,
        "is_tall": False,
    }
    page(backend, page=2, page_size=1000, filters=filters)
    assert {name: values[0] for name, values in server.asked[0].query.items()} == {
        "is_marked": "true",
        "customer_id": "17",
        "metadata": "plan:gold,a.b:1",
        "feedback_sentiment": "positive",
        "started_at_after": "2026-01-01T00:00:00.000000Z",
        "shoe_size": "42.5",
        "is_tall": "false",
        "page": "2",
        "page_size": "100",
        "full": "true",
    }


def test_a_moment_without_an_offset_is_local_time(
    server: FaultServer, backend: RemoteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's time zone counts, not the server's."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        server.behave(answer(PAGE))
        page(backend, filters={"started_at_after": "2026-01-01T12:00:00", "started_at_before": datetime(2026, 1, 2)})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert server.asked[0].query["started_at_after"] == ["2026-01-01T06:30:00.000000Z"]
    assert server.asked[0].query["started_at_before"] == ["2026-01-01T18:30:00.000000Z"]


def test_a_cursor_or_the_url_of_a_page_leads_on(server: FaultServer, backend: RemoteBackend) -> None:
    """Our own cursors are sent back; of a URL without one the page number is."""
    server.behave(answer(PAGE))
    page(backend, cursor="abc")
    page(backend, cursor="https://api.agentsight.io/api/conversations/?page=3&page_size=10")
    first, second = (asked.query for asked in server.asked)
    assert (first["cursor"], first["page"]) == (["abc"], ["1"])
    assert ("cursor" in second, second["page"]) == (False, ["3"])


def test_a_text_id_is_looked_up(server: FaultServer, backend: RemoteBackend) -> None:
    """Reads and edits by text id ask for the integer id first; an int is taken as it is."""
    detail = {"id": 7, "conversation_id": "chat-1", "messages": []}
    answer_by_path(server, {**LOOKUP, "GET /api/conversations/7/": answer(detail)})
    assert backend.fetch_conversation("chat-1") == backend.fetch_conversation(7) == detail
    assert server.paths() == [
        "GET /api/conversations/lookup/",
        "GET /api/conversations/7/",
        "GET /api/conversations/7/",
    ]
    assert server.asked[0].query == {"conversation_id": ["chat-1"]}


@pytest.mark.parametrize("status", [403, 404, 405])
def test_where_lookup_does_not_answer_the_list_does(server: FaultServer, backend: RemoteBackend, status: int) -> None:
    """Older servers refuse the lookup or do not have it: the documented list with the text id is asked."""
    row = {"id": 7, "conversation_id": "chat-1", "messages": []}
    answer_by_path(
        server,
        {
            "GET /api/conversations/lookup/": answer({"detail": "no"}, status),
            "GET /api/conversations/": answer({**PAGE, "results": [row]}),
            "GET /api/conversations/7/attachments/": answer({"messages": []}),
        },
    )
    assert backend.fetch_conversation("chat-1") == row
    assert backend.fetch_conversation_attachments("chat-1") == {"messages": []}
    assert server.asked[1].query["include_deleted"] == ["true"]
    with pytest.raises(NotFoundException, match="'other'"):
        backend.fetch_conversation("other")


EDITS: dict[str, tuple[Callable[[RemoteBackend], Any], str, Any]] = {
    "rename": (
        lambda backend: backend.rename_conversation("chat-1", "  New name "),
        "PATCH /api/conversations/7/rename/",
        {"name": "New name"},
    ),
    "mark": (
        lambda backend: backend.mark_conversation("chat-1", True),
        "POST /api/conversations/7/mark/",
        {"is_marked": True},
    ),
    "update": (
        lambda backend: backend.update_conversation("chat-1", **dict.fromkeys(UPDATE_FIELDS), language="en"),
        "PATCH /api/conversations/7/update/",
        {"language": "en"},
    ),
    "delete": (lambda backend: backend.delete_conversation("chat-1"), "DELETE /api/conversations/7/delete/", None),
}
UPDATE_FIELDS = ("name", "is_marked", "customer_id", "device", "metadata")


@pytest.mark.parametrize("edit", EDITS)
def test_edits_take_their_documented_routes(server: FaultServer, backend: RemoteBackend, edit: str) -> None:
    """Method, path and body are the documented ones, and the answer comes back."""
    call, path, body = EDITS[edit]
    answer_by_path(server, {**LOOKUP, path: answer({"id": 7, "conversation_id": "chat-1", "done": True})})
    assert call(backend).items() >= {"id": 7, "done": True}.items()
    assert server.paths()[-1] == path
    assert (server.asked[-1].json() if server.asked[-1].body else None) == body


@pytest.mark.parametrize(("conversation_id", "place"), [("chat-1", "conversation_id"), (7, "conversation")])
def test_feedback_names_its_conversation_either_way(
    server: FaultServer, backend: RemoteBackend, conversation_id: int | str, place: str
) -> None:
    """A text id and an integer id have a field of their own; no lookup is needed."""
    server.behave(answer({"id": 1, "sentiment": "negative"}, 201))
    backend.submit_feedback(conversation_id, Sentiment.NEGATIVE, "Late.", {"n": 1}, event_id="0" * 32, at_us=1)
    assert server.asked[0].json() == {
        "sentiment": "negative", place: conversation_id, "comment": "Late.", "metadata": {"n": 1},
    }  # fmt: skip


STATUSES = {
    400: InvalidQueryException,
    401: UnauthorizedException,
    403: ForbiddenException,
    404: NotFoundException,
    405: ConversationApiException,
    409: ConversationApiException,
    429: ConversationApiException,
    500: ConversationApiException,
    503: ConversationApiException,
}


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_becomes_its_documented_exception(server: FaultServer, backend: RemoteBackend, status: int) -> None:
    """Type, status, body and the server's own words, with what to do."""
    server.behave(Fault("status", status, {"Retry-After": "7"}, body=b'{"detail":"Something is odd."}'))
    with pytest.raises(STATUSES[status], match=r"Something is odd\..*/api/conversations/9/") as raised:
        backend.fetch_conversation(9)
    assert type(raised.value) is STATUSES[status]
    assert raised.value.status_code == status
    assert raised.value.response_data == {"detail": "Something is odd."}
    hints = {401: "AGENTSIGHT_API_KEY", 403: "role", 429: "in 7 s", 503: "later"}
    assert hints.get(status, "") in str(raised.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"name":["Too long.","Odd."],"x":"bad"}', "name: Too long., Odd.; x: bad"),
        (b'{"error":"no file","details":{"a":1}}', "no file"),
        (b'["one","two"]', "one, two"),
        (b"<html>Bad Gateway</html>", "502"),
        (b"", "502"),
        (b'{"detail":{"nested":["deep",3,null]}}', "nested: deep, 3, "),
    ],
)
def test_every_documented_error_body_is_told(
    server: FaultServer, backend: RemoteBackend, body: bytes, words: str
) -> None:
    """Field maps, lists, text and nothing at all: the message says what there is."""
    server.behave(Fault("status", 502, body=body))
    with pytest.raises(ConversationApiException) as raised:
        backend.fetch_conversation(9)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "kind", ["hang", "trickle", "reset", "half", "bad_json", "html", "empty", "redirect", "refuse"]
)
def test_no_usable_answer_is_a_network_error(server: FaultServer, kind: str) -> None:
    """Whatever goes wrong on the way is one documented exception, in time, that names the address."""
    backend = RemoteBackend(HttpClient(server.url, KEY, deadline_s=0.5))
    if kind == "redirect":
        server.behave(Fault("status", 302, {"Location": "http://elsewhere.example/"}))
    elif kind == "refuse":
        server.refuse()
    else:
        server.behave(Fault(kind))
    started = time.monotonic()
    with pytest.raises(ConversationNetworkException, match=server.url):
        page(backend)
    assert time.monotonic() - started < 5
    backend.close()


def test_a_read_that_is_cut_is_asked_again_once_and_an_edit_is_not(server: FaultServer, backend: RemoteBackend) -> None:
    """A connection that ends early costs a read nothing; an edit may have been made, and says so."""
    server.behave(lambda asked: answer(PAGE) if len(server.asked) > 1 else Fault("reset"))
    assert page(backend)["count"] == 1
    server.behave(Fault("reset"))
    with pytest.raises(ConversationNetworkException, match="not known"):
        backend.mark_conversation(7, True)
    assert server.paths()[2:] == ["POST /api/conversations/7/mark/"]


@pytest.mark.parametrize("body", [[], "text", {"count": 1}, {"results": "none"}])
def test_an_answer_of_another_shape_is_a_network_error(server: FaultServer, backend: RemoteBackend, body: Any) -> None:
    """JSON that is not the documented page is not taken for one."""
    server.behave(answer(body))
    with pytest.raises(ConversationNetworkException):
        page(backend)


def test_export_walks_all_pages_oldest_first(server: FaultServer, backend: RemoteBackend) -> None:
    """By cursor where there are cursors, by page number where there are none."""
    urls = iter(["https://x/?page=2&page_size=100", "https://x/?page=3&cursor=c3", None])
    rows = iter([[{"id": 1}, {"id": 2}], [{"id": 3}], [{"id": 4}]])
    server.behave(lambda asked: answer({**PAGE, "results": next(rows), "next": next(urls)}))
    assert [row["id"] for row in backend.export_conversations({"device": "mobile"})] == [1, 2, 3, 4]
    asked = [{name: values[0] for name, values in asked.query.items()} for asked in server.asked]
    assert {(query["ordering"], query["device"]) for query in asked} == {("started_at", "mobile")}
    assert [(query["page"], query.get("cursor")) for query in asked] == [("1", None), ("2", None), ("3", "c3")]


def test_metrics_are_refused_with_the_way_to_get_them(backend: RemoteBackend) -> None:
    """The documented API has no route for them."""
    with pytest.raises(ConversationApiException, match="agentsight-auto stats") as raised:
        backend.stats({})
    assert raised.value.status_code == 501


BAD_VALUES: dict[str, tuple[str, dict[str, Any]]] = {
    "page text": ("fetch_conversations", {"page": "two"}),
    "page 0": ("fetch_conversations", {"page": 0}),
    "page far": ("fetch_conversations", {"page": 10**30}),
    "page_size": ("fetch_conversations", {"page_size": 1.5}),
    "flag": ("fetch_conversations", {"filters": {"is_marked": "maybe"}}),
    "moment": ("fetch_conversations", {"filters": {"started_at_after": "yesterday"}}),
    "sentiment filter": ("fetch_conversations", {"filters": {"feedback_sentiment": "great"}}),
    "source filter": ("fetch_conversations", {"filters": {"feedback_source": "press"}}),
    "metadata": ("fetch_conversations", {"filters": {"metadata": "nocolon"}}),
    "metadata value": ("fetch_conversations", {"filters": {"metadata_value": "gold"}}),
    "environment": ("fetch_conversations", {"filters": {"environment": "no such/thing"}}),
    "ordering": ("fetch_conversations", {"filters": {"ordering": "shoe_size"}}),
    "text": ("fetch_conversations", {"filters": {"name": ["a"]}}),
    "empty id": ("fetch_conversation", {"conversation_id": " "}),
    "bool id": ("fetch_conversation_attachments", {"conversation_id": True}),
    "blank name": ("rename_conversation", {"conversation_id": 1, "name": "  "}),
    "long name": ("rename_conversation", {"conversation_id": 1, "name": "x" * 256}),
    "mark": ("mark_conversation", {"conversation_id": 1, "is_marked": "perhaps"}),
    "nothing": ("update_conversation", {"conversation_id": 1, **dict.fromkeys((*UPDATE_FIELDS, "language"))}),
    "document": (
        "update_conversation",
        {"conversation_id": 1, **dict.fromkeys((*UPDATE_FIELDS, "language")), "metadata": {"a": float("nan")}},
    ),
    "sentiment": ("submit_feedback", {"conversation_id": 1, "sentiment": "great"}),
    "comment": ("submit_feedback", {"conversation_id": 1, "sentiment": "positive", "comment": "x" * 5001}),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_bad_arguments_are_refused_as_the_embedded_store_does(
    server: FaultServer, backend: RemoteBackend, story: Story, case: str
) -> None:
    """Same exception, same words, and nothing is sent."""
    method, arguments = BAD_VALUES[case]
    if method == "fetch_conversations":
        arguments = {"page": 1, "page_size": 10, "cursor": None, "count": True, "filters": {}, **arguments}
    if method == "submit_feedback":
        arguments = {**arguments, "event_id": "0" * 32, "at_us": 1}
    raised = []
    for asked in (story.backend, backend):
        with pytest.raises((InvalidQueryException, InvalidConversationDataException, NotFoundException)) as caught:
            getattr(asked, method)(**arguments)
        raised.append((type(caught.value), str(caught.value), getattr(caught.value, "response_data", None)))
    assert raised[0] == raised[1]
    assert server.asked == []


def test_ids_no_row_can_have_are_not_found(server: FaultServer, backend: RemoteBackend) -> None:
    """An integer beyond 64 bits or below zero is absent, as on the embedded store."""
    for conversation_id in (-1, 2**63, 10**50):
        with pytest.raises(NotFoundException):
            backend.fetch_conversation(conversation_id)
    assert server.asked == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=60), st.text(max_size=60))
def test_any_text_survives_the_way_to_the_server(
    server: FaultServer, backend: RemoteBackend, text_id: str, name: str
) -> None:
    """Ids and filters reach the server as they are; what no store can keep is U+FFFD there."""

    def check(asked: Asked) -> Fault:
        seen.update({key: values[0] for key, values in asked.query.items()})
        return answer({**PAGE, "results": []})

    seen: dict[str, str] = {}
    server.behave(check)
    page(backend, filters={"conversation_id": text_id, "name": name})
    replaced = str.maketrans(dict.fromkeys([0, *range(0xD800, 0xE000)], "\ufffd"))
    assert seen["conversation_id"] == text_id.translate(replaced)
    assert seen.get("name", "") == name.translate(replaced)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([200, 201, 204, 400, 404, 418, 500]))
def test_no_answer_whatsoever_raises_anything_else(
    server: FaultServer, backend: RemoteBackend, body: bytes, status: int
) -> None:
    """Any bytes with any status lead to a result or to a documented exception."""
    server.behave(Fault("status", status, body=b"" if status == 204 else body))
    with suppress(ConversationApiException, ConversationNetworkException):
        assert isinstance(backend.fetch_conversation(1), dict)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_asks_over_connections_of_its_own(server: FaultServer, backend: RemoteBackend) -> None:
    """Parent and child share no connection."""
    server.behave(answer(PAGE))
    page(backend)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if page(backend)["count"] == 1 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert page(backend)["count"] == 1
    assert [asked.connection for asked in server.asked] == [1, 2, 1]
