"""A phone call: audio arrives on a thread of the telephone library, and belongs to the call's conversation.

`instrument("threads")` lets the threads that are started within the call carry its conversation. Recognition and speech
are stand-ins; each is an action with its duration, so that slow turns show.

Run:    python examples/voice_call.py
Prints: the call as `agentsight-auto show` tells it.
Leaves: .agentsight/ in the working directory.
"""

from __future__ import annotations

import queue
import threading
import time

import agentsight_auto
from agentsight_auto import conversation, current_conversation, track_action
from agentsight_auto.cli.main import main as command_line

agentsight_auto.instrument("threads")

CALL = ["I want to change my flight.", "To Tuesday, please.", "Let me talk to a person."]


@track_action(capture_args=False)
def recognise(audio: bytes) -> str:
    """Turn audio into text."""
    time.sleep(0.02)
    return audio.decode()


@track_action(capture_response=False)
def speak(text: str) -> bytes:
    """Turn text into audio."""
    time.sleep(0.01)
    return text.encode()


@track_action
def change_flight(day: str) -> str:
    """Book another day."""
    return f"booked for {day}"


@track_action
def fallback_to_human(reason: str) -> str:
    """Hand the call over."""
    return f"queue: flights, reason: {reason}"


def reply_to(text: str) -> str:
    """Decide what to say."""
    if "person" in text:
        fallback_to_human("asked for")
        return "I am putting you through."
    if "Tuesday" in text:
        return f"Done: {change_flight('Tuesday')}."
    return "To which day?"


def listen(line: queue.Queue[bytes | None]) -> None:
    """Take the caller's audio as it comes, on a thread of its own, until the line is dead."""
    scope = current_conversation()
    while (audio := line.get()) is not None:
        text = recognise(audio)
        scope.track_human_message(text, metadata={"confidence": 0.93})
        answer = reply_to(text)
        speak(answer)
        scope.track_agent_message(answer)


if __name__ == "__main__":
    with conversation("call-1", customer_id="+41790000000", source="voice", device="phone", language="en"):
        incoming: queue.Queue[bytes | None] = queue.Queue()
        listener = threading.Thread(target=listen, args=(incoming,))
        listener.start()
        for utterance in CALL:
            incoming.put(utterance.encode())
        incoming.put(None)
        listener.join()
    agentsight_auto.flush()
    command_line(["show", "call-1"])
