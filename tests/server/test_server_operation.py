"""For those who run the server: limits, health, metrics, the access log, and the description of the API."""

from __future__ import annotations

import json
import logging
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentsight_auto.exceptions import ConfigurationException
from agentsight_auto.server.app import operations
from agentsight_auto.server.docs_page import docs_page
from agentsight_auto.server.openapi import openapi_document
from agentsight_auto.server.settings import ServerSettings, load_server_settings
from agentsight_auto.server.throttle import Throttle

from .support import Served, until

CANARY = "canary-51c9"


def test_too_many_requests_are_told_when_to_come_back(tmp_path: Path) -> None:
    """429 with Retry-After and the documented text, for that key alone."""
    with Served(tmp_path, requests_per_minute=3) as served:
        busy, calm = served.client(), served.client()
        answers = [busy.get("/api/conversations/") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        wait_s = int(answers[-1].headers["retry-after"])
        assert 1 <= wait_s <= 20
        text = f"Request was throttled. Expected available in {wait_s} seconds."
        assert answers[-1].json() == {"detail": text}
        assert calm.get("/api/conversations/").status_code == 200


def test_a_bucket_fills_evenly() -> None:
    """Sixty a minute: one a second after the first sixty; after a minute's rest sixty again, not more."""
    now = 0.0
    throttle = Throttle(60, monotonic=lambda: now)
    assert [throttle.wait_s(1) for _ in range(61)] == [0] * 60 + [1]
    now = 1.0
    assert [throttle.wait_s(1), throttle.wait_s(1)] == [0, 1]
    now = 1000.0
    assert [throttle.wait_s(1) for _ in range(61)] == [0] * 60 + [1]
    assert not any(Throttle(0).wait_s(1) for _ in range(1000))


def test_health_and_readiness_are_told_apart(served: Served) -> None:
    """A server whose store is gone is alive but not ready; requests get 503 and no trace of why."""
    stranger, client = served.stranger(), served.client()
    assert (stranger.get("/healthz").json(), stranger.get("/readyz").json()) == ({"status": "ok"}, {"status": "ready"})
    path = served.settings.db_path
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        name.unlink(missing_ok=True)
    path.mkdir()
    assert stranger.get("/healthz").status_code == 200
    assert stranger.get("/readyz").status_code == 503
    answer = client.get("/api/conversations/")
    assert (answer.status_code, answer.json()) == (503, {"detail": "The store cannot be used at the moment."})
    shutil.rmtree(path)


def test_reading_goes_on_while_writers_wait(served: Served) -> None:
    """However many requests wait for a lock that another holds, a reader is answered; then they all are."""
    client = served.client()
    client.say("c")
    body = {"content": "x", "sender": "agent", "conversation_id": "c"}
    with ThreadPoolExecutor(60) as pool:
        with served.service.database.write():
            waiting = [pool.submit(client.post, "/api/track/", body) for _ in range(60)]
            until(lambda: served.service.writers.borrowed_tokens == served.service.writers.total_tokens)
            assert client.get("/api/conversations/").json()["count"] == 1
            assert not any(future.done() for future in waiting)
        assert {future.result(timeout=30).status_code for future in waiting} == {201}


def test_metrics_count_requests_by_route_and_events(served: Served) -> None:
    """Routes as templates, so that ids make no new series."""
    client = served.client()
    for number in range(3):
        client.say("c", timestamp=f"2026-11-20T08:00:0{number}Z")
        client.get("/api/conversations/1/")
    client.get("/api/nothing/here/")
    text = served.stranger().get("/metrics").text
    assert 'agentsight_http_requests_total{method="GET",route="/api/conversations/{id}/",status="200"} 3.0' in text
    assert 'agentsight_http_requests_total{method="GET",route="unknown",status="404"} 1.0' in text
    assert 'agentsight_events_total{status="stored"} 4.0' in text


@pytest.mark.parametrize(("host", "is_open", "status"), [
    ("127.0.0.1", False, 200), ("::1", False, 200), ("192.0.2.1", False, 403), ("192.0.2.1", True, 200),
    ("", False, 403),
])  # fmt: skip
def test_metrics_are_for_this_machine(tmp_path: Path, host: str, is_open: bool, status: int) -> None:
    """Others get 403 unless a setting opens them."""
    import httpx

    with Served(tmp_path, open_metrics=is_open) as served:

        async def ask() -> int:
            transport = httpx.ASGITransport(served.app, client=(host, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                return (await client.get("/metrics")).status_code

        assert served._portal.call(ask) == status


def test_the_access_log_tells_the_route_and_nothing_said(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """One line of JSON per request with template, status, time and agent: no path, query string, key, body or name."""
    caplog.set_level(logging.DEBUG)
    client = served.client()
    client.say(CANARY, CANARY, metadata={CANARY: CANARY})
    client.get("/api/conversations/", search=CANARY, **{CANARY: CANARY})
    client.get(f"/api/{CANARY}/")
    client.request("POST", "/api/track/", content=f'{{"{CANARY}'.encode())
    client.request("POST", "/api/track/", json={"content": [CANARY], "sender": CANARY})
    client.request("GET", "/api/conversations/", headers={"User-Agent": CANARY, "X-Api-Key": CANARY})
    lines = [record.getMessage() for record in caplog.records if record.name == "agentsight_auto.server.access"]
    told = [json.loads(line) for line in lines]
    assert [(line["method"], line["route"], line["status"]) for line in told] == [
        ("POST", "/api/track/", 201),
        ("GET", "/api/conversations/", 200),
        ("GET", "unknown", 404),
        ("POST", "/api/track/", 400),
        ("POST", "/api/track/", 400),
        ("GET", "/api/conversations/", 200),
    ]
    assert set(told[0]) == {"at", "method", "route", "status", "ms", "request_bytes", "agent"}
    assert told[0]["agent"] == "shop"
    everything = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("agentsight"))
    assert CANARY not in everything
    assert client.key is not None
    assert client.key[4:36] not in everything


# -- the description ---------------------------------------------------------------------------------------------------


def test_the_description_names_every_operation(served: Served) -> None:
    """Each with its own id, its path's parameters, its role, and answers for all it may refuse."""
    document = served.stranger().get("/api/schema/").json()
    assert document == openapi_document(operations())
    assert document["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(operation.method, operation.path) for operation in served.service.operations}
    every = [operation for methods in document["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in every]
    assert len(set(names)) == len(names)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            in_path = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
            assert in_path == re.findall(r"\{(\w+)\}", path)
            needs_no_key = operation.get("security") == []
            assert needs_no_key != ({"401", "429"} <= set(operation["responses"]) or path == "/api/ingest/")


def test_every_reference_of_the_description_leads_somewhere() -> None:
    """No schema is missing."""
    document = openapi_document(operations())
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)):
        assert name in document["components"]["schemas"]


def test_the_page_shows_every_operation_and_loads_nothing(served: Served) -> None:
    """HTML without scripts, other hosts or anything that the policy would have to allow."""
    answer = served.stranger().get("/api/docs/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = answer.text
    for operation in served.service.operations:
        assert f"<code>{operation.path}</code>" in page
    assert not re.search(r"<script|src=|https?://|@import|url\(", page, re.IGNORECASE)


def test_text_on_the_page_is_text() -> None:
    """Markup in a description does not become markup."""
    document = openapi_document(operations())
    evil = "<script>alert(1)</script>"
    document["paths"]["/api/track/"]["post"].update(summary=evil, description=evil)
    document["info"]["title"] = evil
    assert evil not in docs_page(document)


# -- settings ----------------------------------------------------------------------------------------------------------


def test_settings_come_from_arguments_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """AGENTSIGHT_SERVER_<NAME>, read by type; None is not given."""
    monkeypatch.setenv("AGENTSIGHT_SERVER_PORT", "9000")
    monkeypatch.setenv("AGENTSIGHT_SERVER_OPEN_METRICS", "true")
    monkeypatch.setenv("AGENTSIGHT_SERVER_READ_TIMEOUT_S", "1.5")
    read = load_server_settings({"port": None, "host": "::1"})
    assert (read.port, read.open_metrics, read.read_timeout_s, read.host) == (9000, True, 1.5, "::1")
    assert load_server_settings({"port": "9001"}).port == 9001
    assert load_server_settings({}).body_bytes == ServerSettings().body_bytes


@pytest.mark.parametrize(("name", "value"), [
    ("port", "http"), ("port", "70000"), ("port", "-1"), ("body_bytes", "0"), ("json_depth", "1000"),
    ("open_metrics", "x"), ("page_size", "101"), ("read_timeout_s", "0"),
])  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Before anything is opened."""
    monkeypatch.setenv(f"AGENTSIGHT_SERVER_{name.upper()}", value)
    with pytest.raises(ConfigurationException, match=name):
        load_server_settings({})
