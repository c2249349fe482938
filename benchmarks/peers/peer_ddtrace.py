"""ddtrace with its native writer to the trace agent's address; a span per call, tags for messages."""

from __future__ import annotations

import functools
import inspect
import json
import os
import time
from typing import Any

_tracer: Any = None


def start(address: str) -> None:
    global _tracer
    os.environ |= {
        "DD_TRACE_AGENT_URL": address,
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
        "DD_TRACE_SAMPLING_RULES": '[{"sample_rate": 1.0}]',
        "DD_TRACE_RATE_LIMIT": "-1",
    }
    from ddtrace.trace import tracer  # noqa: PLC0415 - it reads the environment

    _tracer = tracer


def tracked(function: Any) -> Any:
    name = function.__name__
    parameter = next(iter(inspect.signature(function).parameters))

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(argument: Any) -> Any:
            with _tracer.trace(name) as span:
                span.set_tag("parameters", json.dumps({parameter: argument}))
                result = await function(argument)
                span.set_tag("response", result)
                return result

        return call_async

    @functools.wraps(function)
    def call(argument: Any) -> Any:
        with _tracer.trace(name) as span:
            span.set_tag("parameters", json.dumps({parameter: argument}))
            result = function(argument)
            span.set_tag("response", result)
            return result

    return call


def conversation(conversation_id: str) -> Any:
    return _tracer.trace("conversation", resource=conversation_id)


def turn(call: Any, items: list[str]) -> None:
    with _tracer.trace("conversation", resource="turn") as span:
        span.set_tag("customer_id", "customer-1")
        span.set_tag("source", "web")
        span.set_tag("end_user", "Where is my order A-17?")
        for item in items:
            call(item)
        span.set_tag("agent", "On its way.")
        span.set_metric("prompt_tokens", 200)
        span.set_metric("completion_tokens", 20)


def flush() -> None:
    _tracer.flush()
    time.sleep(1.5)  # the writer has no call that waits for the answer; the sleep is taken off by nobody
