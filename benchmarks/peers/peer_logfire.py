"""logfire with its exporter, towards an address of one's own."""

from __future__ import annotations

from typing import Any

import logfire

tracked = logfire.instrument(extract_args=True, record_return=True)


def start(address: str) -> None:
    logfire.configure(
        token="pylf_v1_local_" + "0" * 43,
        console=False,
        inspect_arguments=False,
        metrics=False,
        advanced=logfire.AdvancedOptions(base_url=address),
    )


def conversation(conversation_id: str) -> Any:
    return logfire.span("conversation", conversation_id=conversation_id)


def turn(call: Any, items: list[str]) -> None:
    with logfire.span("conversation", conversation_id="turn", customer_id="customer-1", source="web") as span:
        logfire.info("end_user", content="Where is my order A-17?")
        for item in items:
            call(item)
        logfire.info("agent", content="On its way.")
        span.set_attribute("tokens", 220)


def flush() -> None:
    logfire.force_flush(120_000)
