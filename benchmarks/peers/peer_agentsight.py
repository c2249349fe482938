"""The released agentsight 0.1.4, over its ingest route."""

from __future__ import annotations

from typing import Any

import agentsight

tracked = agentsight.tool
conversation = agentsight.conversation


def start(address: str) -> None:
    assert agentsight.init(api_key="ags_" + "0" * 32 + "_000000", endpoint=address)


def turn(call: Any, items: list[str]) -> None:
    with agentsight.conversation("turn", customer_id="customer-1", source="web"), agentsight.turn():
        agentsight.user_message("Where is my order A-17?")
        for item in items:
            call(item)
        agentsight.agent_message("On its way.")


def flush() -> None:
    agentsight.flush()
