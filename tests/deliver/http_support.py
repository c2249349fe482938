"""Events and destinations for the tests of delivery over HTTP."""

from __future__ import annotations

from pathlib import Path

from agentsight_auto.deliver.http import HttpDestination
from agentsight_auto.events import (
    Action,
    AnyEvent,
    AttachmentRef,
    Attachments,
    Button,
    ConversationEnded,
    ConversationStarted,
    Feedback,
    Message,
    TokenUsage,
)
from agentsight_auto.store.attachments import AttachmentFolder
from tests.faultserver import KEY, FaultServer

from .support import clock, ids


def stamp(conversation_id: str = "chat-1") -> tuple[str, str, int]:
    """Return id, conversation and time of a new event."""
    at_us = clock.now_us()
    return ids.next(at_us), conversation_id, at_us


def message(content: str = "hello", conversation_id: str = "chat-1", **fields: object) -> Message:
    return Message(*stamp(conversation_id), "end_user", content, **fields)  # type: ignore[arg-type]


def messages(count: int, content: str = "hello") -> list[AnyEvent]:
    return [message(f"{content} {number}") for number in range(count)]


def one_of_each(refs: list[AttachmentRef]) -> list[AnyEvent]:
    """Return one event of every kind, in the order a conversation has them."""
    return [
        ConversationStarted(*stamp(), customer_id="mia", environment="production", metadata={"plan": "gold"}),
        message("Where is it?", metadata={"n": 1}, attachments=refs[:1]),
        Action(
            *stamp(),
            "find_order",
            started_at_us=1_700_000_000_000_000,
            ended_at_us=1_700_000_001_000_000,
            duration_ms=1000.6,
            tools_used={"function": "find_order"},
            response={"status": "sent"},
            error_msg="late",
            metadata={"a": 1},
        ),
        Button(*stamp(), "pressed", "Yes", "yes"),
        Attachments(*stamp(), "agent", refs, {"kind": "invoice"}),
        TokenUsage(*stamp(), 10, 5, 15, 2),
        Feedback(*stamp(), "positive", comment="thanks"),
        ConversationEnded(*stamp()),
    ]


def store(folder: AttachmentFolder, *contents: bytes) -> list[AttachmentRef]:
    """Keep attachments and return what refers to them."""
    refs = []
    for number, content in enumerate(contents):
        sha256, size_bytes = folder.write(content)
        refs.append(AttachmentRef(sha256, size_bytes, f"file-{number}.txt", "text/plain"))
    return refs


def destination_to(server: FaultServer, folder: Path, **options: float) -> HttpDestination:
    """Return a destination that delivers to the server."""
    return HttpDestination(server.url, KEY, AttachmentFolder(folder), **options)  # type: ignore[arg-type]
