"""This library with recording turned off."""

from __future__ import annotations

from peer_agentsight_auto import conversation, tracked, turn

import agentsight_auto


def start(address: str) -> None:
    del address
    agentsight_auto.configure(disabled=True)


def flush() -> None:
    """Deliver nothing."""


__all__ = ["conversation", "flush", "start", "tracked", "turn"]
