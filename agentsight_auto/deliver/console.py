"""A destination that prints events, for debugging.

In: batches of events. Out: one line per event on a stream. Loses: nothing; the same event printed twice is two lines.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from agentsight_auto._clock import iso_from_us
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.events import Answer, AnyEvent, encode_event


class ConsoleDestination:
    """Print one line per event: time, conversation and the event's JSON. `stream` defaults to standard error."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def deliver(self, batch: Sequence[AnyEvent]) -> list[Answer]:
        """Print the events.

        Raises:
            DeliveryError: the stream is closed or cannot be written.
        """
        stream = self._stream or sys.stderr
        encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            for event in batch:
                line = f"{iso_from_us(event.at_us)} {event.conversation_id} {encode_event(event).decode()}"
                printable = line.replace("\x1b", "\\x1b").replace("\r", "\\r").replace("\n", "\\n")
                stream.write(printable.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            stream.flush()
        except (OSError, ValueError) as error:
            raise DeliveryError(f"the console cannot be written: {error}") from error
        return [Answer(event.id, "stored") for event in batch]

    def close(self) -> None:
        """Leave the stream open: it belongs to the program."""
