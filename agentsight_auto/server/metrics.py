"""Prometheus metrics of one server, in a registry of its own.

In: what the access log saw of each request; the answers to events. Out: the text that Prometheus reads.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from agentsight_auto._version import __version__
from agentsight_auto.server.access_log import Seen

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Counters of requests and events; agents are not labels, as they are for the server's owner alone to know."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "agentsight_http_requests", "Requests by method, route and status.", ("method", "route", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "agentsight_http_request_seconds", "Time to the end of the response.", ("route",), buckets=_BUCKETS_S,
            registry=self._registry,
        )  # fmt: skip
        self._received = Counter(
            "agentsight_http_received_bytes", "Bytes of request bodies as sent.", registry=self._registry
        )
        self._events = Counter(
            "agentsight_events", "Events by what became of them.", ("status",), registry=self._registry
        )
        info = Gauge("agentsight_build_info", "The version that runs.", ("version",), registry=self._registry)
        info.labels(__version__).set(1)

    def observe(self, seen: Seen) -> None:
        """Count one request."""
        self._requests.labels(seen.method, seen.route, str(seen.status)).inc()
        self._seconds.labels(seen.route).observe(seen.seconds)
        self._received.inc(seen.request_bytes)

    def count_events(self, statuses: Iterable[str]) -> None:
        """Count answered events: ``stored``, ``duplicate`` or ``rejected``."""
        for status in statuses:
            self._events.labels(status).inc()

    def event_counts(self) -> dict[str, int]:
        """Return how many events were answered since the server started, by what became of them."""
        samples = (sample for family in self._events.collect() for sample in family.samples)
        return {sample.labels["status"]: int(sample.value) for sample in samples if sample.name.endswith("_total")}

    def text(self) -> bytes:
        """Return all metrics."""
        return generate_latest(self._registry)
