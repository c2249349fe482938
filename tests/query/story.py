"""Short ways to say what happened, and to store it for real."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

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
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, a Thursday


class Story:
    """A store in a folder, its backend, and one method per kind of event; times in microseconds after `START_US`."""

    def __init__(self, folder: Path, agent: str = "default") -> None:
        self.folder = AttachmentFolder(folder / "attachments")
        self.database = Database.open(folder / "store.db")
        self.agent = agent
        self.backend = EmbeddedBackend(self.database, self.folder, agent=agent)
        self._numbers = itertools.count(1)

    def event_id(self) -> str:
        return f"{next(self._numbers):032x}"

    def store(self, *events: AnyEvent) -> None:
        for answer in ingest(self.database, list(events), agent=self.agent):
            assert answer.status == "stored", answer

    def _tell(self, kind: type, conversation_id: str, at: int, **fields: Any) -> str:
        event = kind(id=self.event_id(), conversation_id=conversation_id, at_us=START_US + at, **fields)
        self.store(event)
        return event.id

    def started(self, conversation_id: str, at: int = 0, **fields: Any) -> str:
        return self._tell(ConversationStarted, conversation_id, at, **fields)

    def ended(self, conversation_id: str, at: int, error: str | None = None) -> str:
        return self._tell(ConversationEnded, conversation_id, at, error=error)

    def human(self, conversation_id: str, content: str, at: int = 0, **fields: Any) -> str:
        return self._tell(Message, conversation_id, at, sender="end_user", content=content, **fields)

    def agent_says(self, conversation_id: str, content: str, at: int = 0, **fields: Any) -> str:
        return self._tell(Message, conversation_id, at, sender="agent", content=content, **fields)

    def action(self, conversation_id: str, name: str, at: int = 0, **fields: Any) -> str:
        return self._tell(Action, conversation_id, at, action_name=name, **fields)

    def button(self, conversation_id: str, event: str, label: str, value: str, at: int = 0, **fields: Any) -> str:
        return self._tell(Button, conversation_id, at, button_event=event, label=label, value=value, **fields)

    def attachments(self, conversation_id: str, *named: tuple[str, str, bytes], at: int = 0) -> str:
        return self._tell(Attachments, conversation_id, at, sender="end_user", attachments=self.refs(*named))

    def refs(self, *named: tuple[str, str, bytes]) -> list[AttachmentRef]:
        written = [(name, media, *self.folder.write(data)) for name, media, data in named]
        return [AttachmentRef(digest, size, name, media) for name, media, digest, size in written]

    def tokens(self, conversation_id: str, prompt: int, completion: int, at: int = 0) -> str:
        return self._tell(TokenUsage, conversation_id, at, prompt_tokens=prompt, completion_tokens=completion)

    def feedback(self, conversation_id: str, sentiment: str, at: int = 0, **fields: Any) -> str:
        return self._tell(Feedback, conversation_id, at, sentiment=sentiment, **fields)

    def ids(self, **filters: Any) -> list[str]:
        """Return the text ids that a query finds on its first hundred rows, in its order."""
        page = self.backend.fetch_conversations(page_size=100, filters=filters)
        assert page["count"] == len(page["results"])
        return [conversation["conversation_id"] for conversation in page["results"]]
