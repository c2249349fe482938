"""Feed one peer with spans over OTLP until the last can be read from its database; `ingest.py` runs it.

Run:    python ingest_peers.py phoenix|mlflow FOLDER SPANS
Prints: spans per second.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

PATIENCE_S = 240.0
_SAID = "Where is my order 4711? It was to arrive on Monday, and the tracking page has said the same since then. " * 2
_BATCH = 100


class Collected(SpanExporter):
    """Keeps finished spans, so that making them is not measured."""

    def __init__(self) -> None:
        """Begin with none."""
        self.spans: list = []

    def export(self, spans):
        """Keep them."""
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def make_spans(number: int) -> list:
    """Return finished spans, in traces of eight: a conversation each, with message and answer."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415

    collected = Collected()
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(collected))
    tracer = provider.get_tracer("benchmark")
    for conversation in range(number // 8):
        with tracer.start_as_current_span("turn", attributes={"session.id": f"chat-{conversation}"}) as span:
            span.set_attribute("input.value", _SAID)
            for place in range(7):
                with tracer.start_as_current_span(f"step {place}", attributes={"output.value": _SAID}):
                    pass
    return collected.spans


def free_port() -> int:
    """Return a port that is free."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(peer: str, folder: Path, port: int) -> tuple[subprocess.Popen, Path, str, dict[str, str]]:
    """Start the peer's server; return it, its database, the table of spans and the headers it wants."""
    bin_folder = Path(sys.executable).parent
    if peer == "phoenix":
        grpc = str(free_port())
        environment = {
            **os.environ,
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_PORT": str(port),
            "PHOENIX_HOST": "127.0.0.1",
        }
        environment.update(PHOENIX_GRPC_PORT=grpc, PHOENIX_TELEMETRY_ENABLED="false")
        command = [str(bin_folder / "phoenix"), "serve"]
        database, table = folder / "phoenix.db", "spans"
        headers: dict[str, str] = {}
    else:
        environment = dict(os.environ)
        database, table = folder / "mlflow.db", "spans"
        command = [
            str(bin_folder / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port),
            "--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(folder / "artifacts"),
        ]  # fmt: skip
        headers = {"x-mlflow-experiment-id": "0"}
    log = (folder / "log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    return process, database, table, headers


def wait_for(port: int, process: subprocess.Popen) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the server has ended")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise RuntimeError("the server does not answer")


def stored(database: Path, table: str) -> int:
    """Return how many spans another process can read."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def feed(spans: list, exporter: OTLPSpanExporter) -> None:
    """Send the spans in batches."""
    for first in range(0, len(spans), _BATCH):
        if exporter.export(spans[first : first + _BATCH]) is not SpanExportResult.SUCCESS:
            raise RuntimeError("a batch was not accepted")


def wait_until_stored(database: Path, table: str, number: int) -> None:
    """Wait until so many spans can be read."""
    deadline = time.monotonic() + PATIENCE_S
    while (there := stored(database, table)) < number:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {there} of {number} spans are stored")
        time.sleep(0.05)


def main() -> None:
    """Feed the peer and print the rate."""
    peer, folder, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    port = free_port()
    process, database, table, headers = start(peer, folder, port)
    try:
        wait_for(port, process)
        spans = make_spans(number)
        begun = time.perf_counter()
        feed(spans, OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces", headers=headers, timeout=60))
        wait_until_stored(database, table, len(spans))
        print(len(spans) / (time.perf_counter() - begun))
    except BaseException:
        sys.stderr.write((folder / "log").read_text()[-1500:])
        raise
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
