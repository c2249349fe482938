"""sentry-sdk with tracing of everything: a transaction per conversation, a span per call, data for messages."""

from __future__ import annotations

import functools
import inspect
import json
from typing import Any

import sentry_sdk


def start(address: str) -> None:
    sentry_sdk.init(
        dsn=address.replace("://", "://key@") + "/1",
        traces_sample_rate=1.0,
        max_breadcrumbs=0,
        auto_session_tracking=False,
    )


def tracked(function: Any) -> Any:
    name = function.__name__
    parameter = next(iter(inspect.signature(function).parameters))

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(argument: Any) -> Any:
            with sentry_sdk.start_span(op="tool", name=name) as span:
                span.set_data("parameters", json.dumps({parameter: argument}))
                result = await function(argument)
                span.set_data("response", result)
                return result

        return call_async

    @functools.wraps(function)
    def call(argument: Any) -> Any:
        with sentry_sdk.start_span(op="tool", name=name) as span:
            span.set_data("parameters", json.dumps({parameter: argument}))
            result = function(argument)
            span.set_data("response", result)
            return result

    return call


def conversation(conversation_id: str) -> Any:
    return sentry_sdk.start_transaction(op="conversation", name=conversation_id)


def turn(call: Any, items: list[str]) -> None:
    with sentry_sdk.start_transaction(op="conversation", name="turn") as span:
        span.set_data("customer_id", "customer-1")
        span.set_data("source", "web")
        span.set_data("end_user", "Where is my order A-17?")
        for item in items:
            call(item)
        span.set_data("agent", "On its way.")
        span.set_data("prompt_tokens", 200)
        span.set_data("completion_tokens", 20)


def flush() -> None:
    sentry_sdk.flush(120)
