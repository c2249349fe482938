"""A store to import into, and short ways to write files."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from agentsight_auto.events import AnyEvent
from agentsight_auto.interchange.bounding import Limits
from agentsight_auto.interchange.export_format import to_line
from agentsight_auto.interchange.importing import Importer, ImportReport
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest

NOW_US = 1_800_000_000_000_000


class Place:
    """A store with its attachments; the clock moves an hour with each reading, as if every import came later."""

    def __init__(self, folder: Path) -> None:
        self.database = Database.open(folder / "store.db")
        self.attachments = AttachmentFolder(folder / "attachments")
        self.backend = EmbeddedBackend(self.database, self.attachments)
        self.now_us = NOW_US

    def tick(self) -> int:
        self.now_us += 3_600_000_000
        return self.now_us

    def load(self, data: bytes, *, limits: Limits | None = None, id_prefix: str = "") -> ImportReport:
        importer = Importer(
            self.database, self.attachments, limits=limits or Limits(), now_us=self.tick, id_prefix=id_prefix
        )
        return importer.run(io.BytesIO(data))

    def load_lines(self, *lines: Any, **options: Any) -> ImportReport:
        return self.load(b"".join(json.dumps(line).encode() + b"\n" for line in lines), **options)

    def tell(self, *events: AnyEvent) -> None:
        for answer in ingest(self.database, list(events)):
            assert answer.status == "stored", answer

    def export(self, *, with_bytes: bool = False) -> bytes:
        folder = self.attachments if with_bytes else None
        conversations = self.backend.export_conversations({"include_deleted": True})
        return b"".join(msgspec.json.encode(to_line(shape, folder)[0]) + b"\n" for shape in conversations)

    def shape(self, conversation_id: str) -> dict[str, Any]:
        return self.backend.fetch_conversation(conversation_id)

    def close(self) -> None:
        self.database.close()


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """Open a store in a folder, and close it again."""
    folder.mkdir(parents=True, exist_ok=True)
    opened = Place(folder)
    try:
        yield opened
    finally:
        opened.close()
