"""A decorated generator belongs to the conversation it was made in, whoever drains it.

An answer is streamed: the generator is made inside the first conversation, and a web server, say, drains it later,
while another conversation is current. What the generator does is still recorded in the first one.

Run:    python examples/streaming_generator.py
Prints: the actions of both conversations: the stream and the tool it calls are in "stream-a", and "stream-b" has none.
Leaves: the conversations "stream-a" and "stream-b" in .agentsight/ of the working directory. Running it again
        continues them.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentsight_auto import agentsight_api, conversation, track_action


@track_action
def look_up(word: str) -> str:
    return word.upper()


@track_action
def stream_answer(question: str) -> Iterator[str]:
    yield "You asked about"
    for word in question.split():
        yield " " + look_up(word)


if __name__ == "__main__":
    with conversation("stream-a", source="web") as first:
        first.track_human_message("tents ropes")
        stream = stream_answer("tents ropes")

    with conversation("stream-b", source="web") as second:
        second.track_human_message("And who am I?")
        text = "".join(stream)  # drained here, recorded there
        first.track_agent_message(text)

    for chat_id in ("stream-a", "stream-b"):
        messages = agentsight_api.fetch_conversation(chat_id)["messages"]
        names = [message["action_name"] for message in messages if message["action_name"]]
        print(chat_id, names[-3:] or "no actions")
    print(text)
