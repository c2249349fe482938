"""Record conversations until a file appears, deliver everything, print the report: ``record_until_told.py NAME STOP``.

Conversation n of a program has the messages "<name> <n> 0" to "<name> <n> 7" and an action; every tenth an attachment.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path

from agentsight_auto import conversation, flush, track_action

MESSAGES = 8


@track_action
def look_up(number: int) -> str:
    return f"found {number}"


def main(name: str, stop: Path) -> None:
    deadline = time.monotonic() + 40
    for number in itertools.count():
        if stop.exists() or time.monotonic() > deadline:
            break
        with conversation(f"{name}-{number}", customer_id=name) as chat:
            for turn in range(MESSAGES - 1):
                chat.track_human_message(f"{name} {number} {turn}")
            look_up(number)
            file = {"filename": "file.txt", "mime_type": "text/plain", "data": f"{name} {number}".encode()}
            chat.track_agent_message(
                f"{name} {number} {MESSAGES - 1}",
                attachments=None if number % 10 else [file],
                attachment_mode="form_data",
            )
        time.sleep(0.02)
    while not (report := flush(20)).is_complete and time.monotonic() < deadline + 15:
        pass
    print(
        json.dumps(
            {
                "conversations": number, "captured": report.captured, "delivered": report.delivered,
                "pending": report.pending, "rejected": report.rejected, "lost": report.lost,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
