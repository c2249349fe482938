"""What the server does with a batch: its batch route against a plain Starlette route that only decodes the same body.

Both run under uvicorn in processes of their own, the server as `agentsight-auto serve` on a fresh store; this process
is the load, over keep-alive connections. The cases take turns in every round of one run, so that a busy machine slows
all of them alike; the table shows medians over the rounds. Every body has 100 events of ten conversations, encoded
beforehand.

Run:    python benchmarks/serve.py [--rounds N] [--connections N]
Prints: requests and events per second, and ratios to the plain route; at the end, whether every event was answered as
        it should be and all that was sent is in the store (exit code 1 if not).
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from agentsight_auto._ids import IdSource
from agentsight_auto.events import Action, AnyEvent, ConversationEnded, ConversationStarted, Message, encode_event

EVENTS = 100
REQUESTS = 24
"""Requests of one case in one round, over all connections."""
_SAID = "Where is my order 4711? It was to arrive on Monday, and the tracking page has said the same since then. "


class Case(NamedTuple):
    """One row of the table; `status` is what each event must be answered with."""

    name: str
    is_plain: bool
    status: str
    is_compressed: bool = False


CASES = (
    Case("plain route, decodes only", is_plain=True, status="decoded"),
    Case("batch route, new events", is_plain=False, status="stored"),
    Case("batch route, new events, gzip", is_plain=False, status="stored", is_compressed=True),
    Case("batch route, events it has", is_plain=False, status="duplicate"),
)


def conversation_events(ids: IdSource, conversation_id: str, at_us: int) -> Iterator[AnyEvent]:
    """Yield ten events: a conversation of five messages and three actions, from its beginning to its end."""

    def head(offset: int) -> tuple[str, str, int]:
        return ids.next(at_us + offset), conversation_id, at_us + offset

    yield ConversationStarted(*head(0), customer_id="mia", source="web", metadata={"plan": "gold"})
    for turn in range(3):
        yield Message(*head(10 * turn + 1), "end_user", f"{_SAID}{turn}", {"turn": turn})
        tools = {"function": "find_order", "parameters": {"order_id": "4711"}}
        yield Action(*head(10 * turn + 2), "find_order", at_us, at_us + 1500, 1.5, tools, {"status": "shipped"})
    for turn in range(2):
        yield Message(*head(40 + turn), "agent", f"It was shipped on Friday. {_SAID}")
    yield ConversationEnded(*head(50))


def make_bodies(count: int, ids: IdSource) -> list[bytes]:
    """Return bodies of the batch route, all of new events."""
    bodies = []
    for _ in range(count):
        at_us = time.time_ns() // 1000
        events = [
            encode_event(event)
            for _ in range(EVENTS // 10)
            for event in conversation_events(ids, f"c-{ids.next(at_us)}", at_us)
        ]
        bodies.append(b'{"events":[' + b",".join(events) + b"]}")
    return bodies


class Connection:
    """A keep-alive connection to one server."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Authorization": f"Api-Key {key}", "Content-Type": "application/json"}

    def send(self, body: bytes, *, is_compressed: bool) -> bytes:
        """Return the answer to one batch.

        Raises:
            RuntimeError: it was not answered with 200.
        """
        headers = {**self._headers, "Content-Encoding": "gzip"} if is_compressed else self._headers
        self._connection.request("POST", "/api/events/", body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"answered {answer.status}: {content[:200]!r}")
        return content

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def serve_plain() -> None:
    """Serve the baseline on a free port, which is printed: it reads the body, decodes its events, answers."""
    import socket  # noqa: PLC0415 - the baseline's process alone needs these

    import uvicorn  # noqa: PLC0415
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import Response  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    class Body(msgspec.Struct):
        events: list[AnyEvent]

    decoder, encoder = msgspec.json.Decoder(Body), msgspec.json.Encoder()

    async def decode(request: Request) -> Response:
        body = decoder.decode(await request.body())
        answers = [{"id": event.id, "status": "decoded"} for event in body.events]
        return Response(encoder.encode({"results": answers}), media_type="application/json")

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(json.dumps({"address": f"http://127.0.0.1:{listener.getsockname()[1]}", "api_key": ""}), flush=True)
    app = Starlette(routes=[Route("/api/events/", decode, methods=["POST"])])
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def started(*command: str) -> Iterator[tuple[int, str]]:
    """Run a server for the length of a block; gives its port and its key."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTSIGHT_")}
    process = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield int(told["address"].rpartition(":")[2]), told["api_key"]
    finally:
        process.terminate()
        process.wait(20)


def time_case(
    connections: list[Connection], case: Case, bodies: list[bytes], each_s: list[float]
) -> tuple[float, bool]:
    """Send the bodies over the connections; return the seconds, and whether every event was answered as it should.

    The seconds of each request go to `each_s`.
    """
    shares = [bodies[number :: len(connections)] for number in range(len(connections))]

    def send(connection: Connection, body: bytes) -> bytes:
        started_s = time.perf_counter()
        answer = connection.send(body, is_compressed=case.is_compressed)
        each_s.append(time.perf_counter() - started_s)
        return answer

    def send_share(number: int) -> list[bytes]:
        return [send(connections[number], body) for body in shares[number]]

    with ThreadPoolExecutor(len(connections)) as threads:
        started_s = time.perf_counter()
        answers = [answer for share in threads.map(send_share, range(len(connections))) for answer in share]
        took_s = time.perf_counter() - started_s
    statuses = Counter(result["status"] for answer in answers for result in json.loads(answer)["results"])
    told = statuses.pop(case.status, 0)
    # A beginning or an end of a conversation leaves no row of its own: once more is merged, and "stored", each time.
    again = statuses.pop("stored", 0) if case.status == "duplicate" else 0
    return took_s, not statuses and told + again == EVENTS * len(bodies) and told >= 4 * again


def run(rounds: int, connections: int, folder: Path) -> tuple[dict[str, list[float]], dict[str, list[float]], bool]:
    """Return, by case, the seconds per request of each round, and of each request; and whether all is as it should."""
    ids = IdSource()
    db = folder / "agentsight.db"
    seconds: dict[str, list[float]] = {case.name: [] for case in CASES}
    each: dict[str, list[float]] = {case.name: [] for case in CASES}
    is_right, sent = True, 0
    plain_server = started(__file__, "--plain")
    batch_server = started("-m", "agentsight_auto", "serve", "--port", "0", "--db", str(db), "--json", "--quiet")
    with plain_server as (plain_port, _), batch_server as (batch_port, key):
        plain = [Connection(plain_port, "-") for _ in range(connections)]
        batch = [Connection(batch_port, key) for _ in range(connections)]
        for number in range(rounds + 1):
            known: list[bytes] = []
            for case in CASES:
                bodies = known if case.status == "duplicate" else make_bodies(REQUESTS, ids)
                known = bodies
                sent += EVENTS * len(bodies) if case.status == "stored" else 0
                encoded = [gzip.compress(body, 6) for body in bodies] if case.is_compressed else bodies
                took_s, was_right = time_case(
                    plain if case.is_plain else batch, case, encoded, each[case.name] if number else []
                )
                is_right = is_right and was_right
                if number:  # the first round warms up
                    seconds[case.name].append(took_s / len(bodies))
        for connection in (*plain, *batch):
            connection.close()
    return seconds, each, is_right and stored(db) == sent


def stored(db: Path) -> int:
    """Return how many of the events left a row: of ten, all but the beginning and the end are messages."""
    with closing(sqlite3.connect(db)) as connection:
        conversations, messages = connection.execute(
            "select (select count(*) from conversations), (select count(*) from messages)"
        ).fetchone()
    return 2 * int(conversations) + int(messages)


def main() -> int:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain:
        serve_plain()
        return 0
    body = make_bodies(1, IdSource())[0]
    print(
        f"{EVENTS} events a request, {len(body):,} bytes ({len(gzip.compress(body, 6)):,} in gzip), "
        f"{arguments.connections} connections, medians of {arguments.rounds} rounds of {REQUESTS} requests"
    )
    with tempfile.TemporaryDirectory() as folder:
        seconds, each, is_right = run(arguments.rounds, arguments.connections, Path(folder))
    print(f"{'':<32}{'requests/s':>11}{'events/s':>11}{'ms each':>9}{'p99 ms':>9}{'to plain':>10}")
    baseline = seconds[CASES[0].name]
    for name, values in seconds.items():
        middle = statistics.median(values)
        p99 = sorted(each[name])[int(len(each[name]) * 0.99)] * 1000
        ratio = statistics.median(value / plain for value, plain in zip(values, baseline, strict=True))
        print(f"{name:<32}{1 / middle:>11.1f}{EVENTS / middle:>11,.0f}{middle * 1000:>9.2f}{p99:>9.1f}{ratio:>9.1f}x")
    print(
        "every event answered and stored as it should be" if is_right else "events were NOT answered as they should be"
    )
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
