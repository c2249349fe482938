"""This library, with its defaults: into the embedded store of a temporary home."""

from __future__ import annotations

import tempfile
from typing import Any

import agentsight_auto
from agentsight_auto import conversation, track_action

tracked = track_action


def start(address: str) -> None:
    del address
    home = tempfile.mkdtemp(prefix="agentsight-benchmark-")
    agentsight_auto.configure(home=home, environment="development", disabled=False)


def turn(call: Any, items: list[str]) -> None:
    with conversation("turn", customer_id="customer-1", source="web") as chat:
        chat.track_human_message("Where is my order A-17?")
        for item in items:
            call(item)
        chat.track_agent_message("On its way.")
        chat.track_token_usage(200, 20)


def flush() -> None:
    report = agentsight_auto.flush(120)
    assert report.captured == report.delivered, report


__all__ = ["conversation", "flush", "start", "tracked", "turn"]
