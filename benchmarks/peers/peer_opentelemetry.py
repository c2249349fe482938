"""opentelemetry-sdk with its batch processor and the OTLP exporter over HTTP; a span per call, events for messages."""

from __future__ import annotations

import functools
import inspect
import json
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_provider = TracerProvider()
_tracer = _provider.get_tracer("benchmark")


def start(address: str) -> None:
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{address}/v1/traces")))
    trace.set_tracer_provider(_provider)


def tracked(function: Any) -> Any:
    name = function.__name__
    parameter = next(iter(inspect.signature(function).parameters))

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(argument: Any) -> Any:
            with _tracer.start_as_current_span(name) as span:
                span.set_attribute("tool.parameters", json.dumps({parameter: argument}))
                result = await function(argument)
                span.set_attribute("tool.response", result)
                return result

        return call_async

    @functools.wraps(function)
    def call(argument: Any) -> Any:
        with _tracer.start_as_current_span(name) as span:
            span.set_attribute("tool.parameters", json.dumps({parameter: argument}))
            result = function(argument)
            span.set_attribute("tool.response", result)
            return result

    return call


def conversation(conversation_id: str) -> Any:
    return _tracer.start_as_current_span("conversation", attributes={"conversation.id": conversation_id})


def turn(call: Any, items: list[str]) -> None:
    with _tracer.start_as_current_span(
        "conversation", attributes={"conversation.id": "turn", "customer.id": "customer-1", "source": "web"}
    ) as span:
        span.add_event("end_user", {"content": "Where is my order A-17?"})
        for item in items:
            call(item)
        span.add_event("agent", {"content": "On its way."})
        span.set_attribute("prompt_tokens", 200)
        span.set_attribute("completion_tokens", 20)


def flush() -> None:
    _provider.force_flush(120_000)
