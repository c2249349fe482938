"""Small documented helpers."""

from __future__ import annotations

import os


def generate_conversation_id() -> str:
    """Return a new conversation id: ``conv_`` and 12 hex digits from the system's random source."""
    return f"conv_{os.urandom(6).hex()}"
