"""This library, with its defaults: into the embedded store of a temporary home."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from typing import Any

import agentsight_auto
from agentsight_auto import conversation, track_action

tracked = track_action
home = ""


def start(address: str) -> None:
    global home
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


def delivered() -> int:
    with closing(sqlite3.connect(f"{home}/agentsight.db")) as database:
        return int(database.execute("SELECT count(*) FROM action_logs").fetchone()[0])


__all__ = ["conversation", "delivered", "flush", "start", "tracked", "turn"]
