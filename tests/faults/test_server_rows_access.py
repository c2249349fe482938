"""S1 to S6: who may see what, and what strangers may put into keys, filters, numbers and JSON."""

from __future__ import annotations

import base64
import json
import math
import random
import sqlite3
import statistics
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsight_auto.query.filters import KNOWN_FILTERS
from agentsight_auto.server.auth import KeyRing
from agentsight_auto.store.keys import StoredKey, _checksum, list_keys, new_key, revoke_key
from tests.deliver.support import eventually
from tests.server.support import Client, Served

from .table import Row

CANARY = "canary-51d0"
"""Stands in everything that the owner said; no request ever contains it."""

TEXT_IDS = ("chat-1", "chat-2", "ünïcode ✓", "7")


@pytest.fixture
def served(tmp_path: Path) -> Any:
    with Served(tmp_path, requests_per_minute=0) as running:
        yield running


class Owner:
    """A tenant with one of everything, in several conversations."""

    def __init__(self, served: Served) -> None:
        self.client = served.client("owner")
        self.pks = [self.fill(text_id) for text_id in TEXT_IDS]
        self.before = self.everything()

    def fill(self, text_id: str) -> int:
        client, named = self.client, {"conversation_id": text_id}
        pk = client.open(text_id, name=CANARY, customer_id=CANARY, device=CANARY, metadata={CANARY: CANARY})
        client.say(text_id, CANARY, metadata={CANARY: CANARY})
        content = base64.b64encode(CANARY.encode()).decode()
        for path, body in (
            ("/api/action_logs/", {"action_name": CANARY, "response": CANARY, "error_msg": CANARY}),
            ("/api/buttons/", {"button_event": CANARY, "label": CANARY, "value": CANARY}),
            ("/api/conversation-feedbacks/", {"sentiment": "positive", "comment": CANARY}),
            ("/api/attachments/", {"attachments": [{"filename": f"{CANARY}.txt", "data": content}]}),
        ):
            assert client.post(path, {**body, **named}).status_code < 300, path
        return pk

    def everything(self) -> str:
        documents = [self.client.get(f"/api/conversations/{pk}/").json() for pk in self.pks]
        for document in documents:
            for message in document["messages"]:
                for file in message["attachments"]:
                    del file["file_url"]
        return json.dumps(documents, sort_keys=True)


@pytest.mark.timeout(900)
def test_s01_no_request_shows_or_changes_anything_of_another_tenant(row: Row, served: Served) -> None:
    """Every operation, with foreign ids of every kind in path, query and body: absent, and never a byte of it."""
    owner, other = Owner(served), served.client("other")
    chance = random.Random(4)
    wanted = row.rounds(quick=900, full=12_000)
    operations = [operation for operation in served.service.operations if operation.role is not None]
    ids = [*map(str, owner.pks), *map(str, range(1, 40))]
    values = [*ids, *TEXT_IDS, "true", "1", "agent", "message", "positive", "id", "-started_at", "2026-01-01"]
    leaks, statuses, paths_tried, wrong = 0, Counter[int](), set(), 0
    for number in range(wanted):
        operation = operations[number % len(operations)]
        path, used = operation.path, ""
        for place in ("{id}", "{name}", "{trace_id}"):
            if place in path:
                used = chance.choice(ids)
                path = path.replace(place, used)
        names = [parameter.name for parameter in operation.query] or list(KNOWN_FILTERS)
        query = {name: chance.choice(values) for name in chance.sample(names, min(len(names), chance.randint(0, 3)))}
        body = _foreign_body(chance, owner, values) if operation.reads_body else None
        options: dict[str, Any] = {"params": query}
        if operation.takes_form and chance.random() < 0.5:
            options |= {"data": {k: str(v) for k, v in (body or {}).items() if not isinstance(v, list | dict)},
                        "files": {"attachment_0": ("a.txt", b"x", "text/plain")}}  # fmt: skip
        elif body is not None:
            options["json"] = body
        answer = other.request(operation.method, path, **options)
        statuses[answer.status_code] += 1
        leaks += answer.text.count(CANARY)
        paths_tried.add((operation.method, operation.path))
        if "/conversations/{id}/" in operation.path and used in map(str, owner.pks) and answer.status_code < 300:
            wrong += 1
    row.provoke(f"{wanted} requests by another tenant, {len(paths_tried)} operations, foreign ids in path, query, body")
    row.figure("bytes of the other tenant", asked="0", reached=leaks, holds=leaks == 0)
    row.figure("foreign integer ids that were found", asked="0", reached=wrong, holds=wrong == 0)
    changed = owner.everything() != owner.before
    row.figure("changes to the other tenant", asked="0", reached=int(changed), holds=not changed)
    errors = sum(count for status, count in statuses.items() if status >= 500)
    row.figure("5xx", asked="0", reached=errors, holds=errors == 0)
    assert owner.client.get("/api/conversations/").text.count(CANARY) > 20, "or else this proves nothing"


def _foreign_body(chance: random.Random, owner: Owner, values: list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "content": "x", "sender": "agent", "action_name": "x", "button_event": "x", "label": "x", "value": "x",
        "sentiment": "positive", "name": "x", "is_marked": True, "metadata": {"a": 1}, "comment": "x",
        "attachments": [{"filename": "a", "data": "aGk="}], "events": [], "spans": [],
    }  # fmt: skip
    for name in ("conversation", "conversation_id", "message", "conversation_pk", "id"):
        if chance.random() < 0.5:
            body[name] = chance.choice([*owner.pks, *values])
    if chance.random() < 0.3:
        body["events"] = [
            {"kind": "message", "id": f"{chance.getrandbits(128):032x}", "at_us": 1, "sender": "agent",
             "content": "x", "conversation_id": chance.choice(TEXT_IDS)}
        ]  # fmt: skip
    return body


def test_s02_every_wrong_key_is_refused(row: Row, served: Served) -> None:
    """On every operation: none, malformed, mistyped, unknown, revoked, expired, two headers, a cookie, a read key."""
    key, revoked, reading = served.key(), served.key(), served.key(role="read")
    (number,) = [known.id for known in list_keys(served.service.database) if known.hint == revoked[-6:]]
    revoke_key(served.service.database, number, at_us=1)
    expired = served.key(expires_at_us=time.time_ns() // 1000 - 1)
    wrong: dict[str, list[tuple[str, str]]] = {
        "none": [],
        "empty": [("Authorization", "")],
        "no scheme": [("Authorization", key)],
        "other scheme": [("Authorization", f"Basic {key}")],
        "malformed": [("Authorization", "Api-Key ags_x")],
        "truncated": [("Authorization", f"Api-Key {key[:-1]}")],
        "bad checksum": [("Authorization", f"Api-Key {key[:-1]}{'0' if key[-1] != '0' else '1'}")],
        "unknown": [("Authorization", f"Api-Key {new_key()}")],
        "revoked": [("Authorization", f"Api-Key {revoked}")],
        "expired": [("Authorization", f"Api-Key {expired}")],
        "two headers": [("Authorization", f"Api-Key {key}"), ("Authorization", f"Api-Key {key}")],
        "cookie": [("Cookie", f"session={key}; Authorization={key}")],
        "other header": [("X-Api-Key", key)],
        "very long": [("Authorization", "Api-Key " + "a" * 100_000)],
        "not ascii": [("Authorization", "Api-Key ägs_")],
    }
    asked = refused = 0
    for operation in served.service.operations:
        if operation.role is None:
            continue
        path = operation.path.replace("{id}", "1").replace("{name}", "x").replace("{trace_id}", "x")
        for headers in wrong.values():
            raw = [(name.encode(), value.encode("utf-8")) for name, value in headers]
            asked += 1
            refused += served.send(operation.method, path, headers=raw).status_code in {401, 403}
        if operation.role == "write":
            asked += 1
            answer = Client(served, reading).request(operation.method, path, json={} if operation.body else None)
            refused += answer.status_code == 403
    row.provoke(f"{len(wrong) + 1} kinds of wrong key on every operation, {asked} requests")
    row.figure("401 or 403", asked="100 %", reached=f"{refused}/{asked}", holds=refused == asked)
    client, limit_s = Client(served, key), 1.0 if row.is_full else 5.0
    assert client.get("/api/conversations/").status_code == 200
    (number,) = [known.id for known in list_keys(served.service.database) if known.hint == key[-6:]]
    revoke_key(served.service.database, number, at_us=1)
    began = time.monotonic()
    while client.get("/api/conversations/").status_code == 200 and time.monotonic() - began < 10:
        time.sleep(0.01)
    took_s = time.monotonic() - began
    row.figure("revocation takes effect", asked="<= 1 s", reached=f"{took_s:.2f} s", holds=took_s <= limit_s)
    used = eventually(lambda: any(known.hint == key[-6:] and known.last_used_at_us for known in _keys(served)))
    row.figure("last use is stored", asked="yes", reached=used, holds=used)


def _keys(served: Served) -> list[StoredKey]:
    return list_keys(served.service.database)


@pytest.mark.timeout(300)
def test_s03_the_time_of_a_refusal_tells_nothing_of_a_key(row: Row, served: Served) -> None:
    """A key that shares its first 20 characters with a valid one is refused as fast as one that shares nothing."""
    rounds = row.rounds(quick=800, full=20_000)
    valid, ring = served.key(), KeyRing(served.service.database, lambda: 1)
    kinds: dict[str, list[float]] = {"unknown": [], "right beginning": [], "valid": []}
    for number in range(rounds):
        near = f"{valid[4:20]}{number:016x}"
        keys = {"unknown": new_key(), "right beginning": f"ags_{near}_{_checksum(near)}", "valid": valid}
        order = list(kinds)
        random.shuffle(order)
        for kind in order:
            began = time.perf_counter_ns()
            ring.recognise(keys[kind])
            kinds[kind].append((time.perf_counter_ns() - began) / 1000)
    effect_us = abs(statistics.median(kinds["unknown"]) - statistics.median(kinds["right beginning"]))
    p = _mann_whitney(kinds["unknown"], kinds["right beginning"])
    row.provoke(f"{rounds} look-ups each of an unknown key, one with a right beginning, a valid one, in random order")
    row.figure(
        "effect",
        asked="< 5 us or p > 0.01",
        reached=f"{effect_us:.2f} us, p {p:.2f}",
        holds=effect_us < 5 or p > 0.01 or not row.is_full,
    )
    with closing(sqlite3.connect(served.settings.db_path)) as connection:
        (plain,) = connection.execute(
            "SELECT count(*) FROM api_keys WHERE instr(key_hash, ?)", (valid.encode(),)
        ).fetchone()
    row.figure("keys stored other than as SHA-256", asked="0", reached=plain, holds=plain == 0)


def _mann_whitney(one: list[float], two: list[float]) -> float:
    """Return the two-sided p of the rank-sum test, by the normal approximation; ties are rare in these times."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in two])
    ranks = sum(rank for rank, (_, group) in enumerate(ranked, 1) if group == 0)
    n, m = len(one), len(two)
    u = ranks - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(z) / math.sqrt(2))


HOSTILE = [
    "%", "_", "\\", "'", '"', "100%", "a_b", "a\\b", "%' OR '1'='1", "'; DROP TABLE messages; --", '"*^:NEAR',
    "NEAR(a b)", "a AND", "*", "^a", "a:b", "{a}", "(a+)+$", "(a|a)*b" + "a" * 40, "\x00", "\ud800", "ß", "İ", "..",
    "a.b.c:", ":a", ",", "$.a", "$[0]", "a[0]:1", "a':1", 'a"b:1', "id;--", "-id, (SELECT 1)", "started_at DESC; --",
    "x" * 5_000,
    "%" * 20_000, "_%" * 15_000, "a" * 60_000, "ab" * 30_000,
]  # fmt: skip


@pytest.mark.timeout(600)
def test_s04_filters_match_literally_and_quickly(row: Row, served: Served) -> None:
    """Nothing in a filter is a pattern, a query language or SQL; every value is answered within a second."""
    client = served.client()
    literal = [text for text in HOSTILE if len(text) < 60 and not set(text) & {"\x00", "\ud800"}]
    for number, text in enumerate(literal):
        client.open(f"c{number}", name=f"x{text}y", metadata={"k": text})
        client.say(f"c{number}", f"x{text}y")
    for number in range(row.rounds(quick=60, full=2_000)):
        client.say(f"many-{number}", "nothing of the kind " * 5)
    wrong = [
        (name, text)
        for name in ("name", "message_contains")
        for number, text in enumerate(literal)
        if set(client.listed(**{name: f"x{text}y"})) != {f"c{number}"}
    ]
    wrong += [
        ("metadata", text)
        for number, text in enumerate(literal)
        if ":" not in text and "," not in text and f"c{number}" not in client.listed(metadata=f"k:{text}")
    ]
    row.figure("filters that do not match literally", asked="0", reached=len(wrong), holds=not wrong)
    slowest_s, asked, errors = 0.0, 0, 0
    parts = row.rounds(quick=4, full=1)  # each filter gets another part of the values
    for place, name in enumerate([*KNOWN_FILTERS, "page", "page_size", "cursor", "count", "search"]):
        for text in HOSTILE[place % parts :: parts]:
            began = time.perf_counter()
            asked_for = f"/api/conversations/?{name}={quote(text.encode('utf-8', 'surrogatepass'))}"
            answer = client.request("GET", asked_for)
            slowest_s = max(slowest_s, time.perf_counter() - began)
            asked += 1
            errors += answer.status_code >= 500
    row.provoke(f"{len(HOSTILE)} hostile values in every filter, {asked} requests; regular expressions are not offered")
    row.figure("5xx", asked="0", reached=errors, holds=errors == 0)
    row.figure(
        "slowest", asked="<= 1 s", reached=f"{slowest_s:.2f} s", holds=slowest_s <= (1.0 if row.is_full else 5.0)
    )


NUMBERS = [
    "-1",
    "0",
    "1e3",
    "0x10",
    " 1",
    "1.5",
    "NaN",
    "-0",
    "9" * 5000,
    str(10**18),
    str(2**63),
    str(2**63 - 1),
    "٣",
    "",
]
MOMENTS = [
    "0000-00-00", "99999-01-01", "2026-02-30", "2026-11-21T25:00:00", "1732180000", "1732180000000", "-1", "now", "",
    "2026-11-21T08:30:00+25:00", "2026-11-21T08:30:00-00:00", "2026-03-29T02:30:00", "2026-11-21 08:30:00.123456789",
    "2026-W47-6", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
]  # fmt: skip


def test_s05_numbers_and_dates_at_every_border_are_answered(row: Row, served: Served) -> None:
    """In paths, parameters and bodies: an answer, and never more than a hundred rows."""
    client = served.client()
    for number in range(120):
        client.open(f"c{number}")
    asked, errors, most_rows = 0, 0, 0
    answers: list[httpx.Response] = []
    for text in NUMBERS:
        for name in ("page", "page_size"):
            answers.append(client.get("/api/conversations/", **{name: text}))
        for operation in served.service.operations:
            if "{id}" in operation.path and operation.role is not None and text.strip():
                path = operation.path.replace("{id}", text)
                answers.append(client.request(operation.method, path, json={} if operation.body else None))
    for text in MOMENTS:
        for name in ("started_at_after", "started_at_before"):
            answers.append(client.get("/api/conversations/", **{name: text}))
        body = {"content": "x", "sender": "agent", "conversation_id": "c1", "timestamp": text}
        answers.append(client.post("/api/track/", body))
        action = {"action_name": "a", "conversation_id": "c1", "started_at": text, "ended_at": "2001-01-01"}
        answers.append(client.post("/api/action_logs/", action))
    answers.append(client.get("/api/conversations/", started_at_after="2027-01-01", started_at_before="2026-01-01"))
    for answer in answers:
        asked += 1
        errors += answer.status_code >= 500
        if answer.status_code == 200 and answer.headers["content-type"] == "application/json":
            found = answer.json()
            most_rows = max(most_rows, len(found.get("results", [])) if isinstance(found, dict) else len(found))
    row.provoke(f"{len(NUMBERS)} numbers and {len(MOMENTS)} moments, {asked} requests")
    row.figure("5xx", asked="0", reached=errors, holds=errors == 0)
    row.figure("rows on the largest page", asked="<= 100", reached=most_rows, holds=0 < most_rows <= 100)


def _bodies() -> dict[str, bytes]:
    track = b'{"content":"x","sender":"agent","conversation_id":"c","metadata":'
    return {
        "100,000 levels": b"[" * 100_000,
        "100,000 objects": b'{"a":' * 100_000,
        "300,000 digits": track + b'{"n":' + b"9" * 300_000 + b"}}",
        "NaN": track + b'{"n":NaN}}',
        "Infinity": track + b'{"n":-Infinity}}',
        "1e999": track + b'{"n":1e999}}',
        "2**64": track + b'{"n":18446744073709551616}}',
        "65 levels": track + b'{"a":' * 65 + b"1" + b"}" * 65 + b"}",
        "cut off": track,
        "UTF-8 surrogate": b'{"content":"\xed\xa0\x80"}',
        "not UTF-8": b'{"content":"\xff"}',
        "empty": b"",
        "a list": b"[]",
        "a number": b"5",
    }


def test_s06_no_json_breaks_the_server(row: Row, served: Served) -> None:
    """What is no JSON that can be kept is a 4xx on every writing route; what can be kept comes back as it was."""
    client = served.client()
    refused = asked = 0
    for operation in served.service.operations:
        if operation.body is None:
            continue
        for body in _bodies().values():
            answer = client.request(operation.method, operation.path.replace("{id}", "1"), content=body)
            asked += 1
            refused += 400 <= answer.status_code < 500
    large = {
        "1 MB key": {"k" * 1_000_000: 1},
        "10**5 keys": {f"key {number}": number for number in range(100_000)},
        "10**6 keys": {f"{number}": number for number in range(row.rounds(quick=1, full=1_000_000))},
    }
    dropped = 0
    for document in large.values():
        body = {"content": "x", "sender": "agent", "conversation_id": "c", "metadata": document}
        dropped += client.post("/api/track/", body).status_code >= 500
    row.provoke(
        f"{len(_bodies())} bad bodies on every writing route, {asked} requests; a key of 1 MB, 10^5 and 10^6 keys"
    )
    row.figure("4xx", asked="100 %", reached=f"{refused}/{asked}", holds=refused == asked)
    row.figure("5xx for large documents", asked="0", reached=dropped, holds=dropped == 0)
    examples = row.rounds(quick=40, full=1_000)
    differing: list[str] = []

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(
        st.text(min_size=1, max_size=200).filter(str.strip), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])
    )
    def comes_back(text: str, encoding: str) -> None:
        sent = {"content": text, "sender": "agent", "conversation_id": "c", "metadata": {text: [text]}}
        body = json.dumps(sent).encode(encoding)
        answer = client.request("POST", "/api/track/", content=body)
        clean = text.replace("\0", "\ufffd")
        told = answer.json()
        if (answer.status_code, told.get("content"), told.get("metadata")) != (201, clean, {clean: [clean]}):
            differing.append(text)

    comes_back()
    row.figure("texts that come back changed", asked="0", reached=len(differing), holds=not differing)
