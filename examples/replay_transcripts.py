"""Replay recorded agent conversations (OpenAI chat format, one JSON object a line) through the public API.

Each line is ``{"id": ..., "messages": [...], "reward": ...}``. User and assistant texts become messages; every tool
call becomes a call of a function under `@track_action` that returns the recorded result. Then the store is read back
and compared with the file, conversation by conversation, in order.

Run:    python examples/replay_transcripts.py FILE [--home DIR] [--prefix TEXT]
Prints: how many conversations, messages and actions the file holds and the store holds; exit code 1 if they differ.
Leaves: the conversations in .agentsight/ of the working directory, or in DIR. A replay is new events: where the store
        holds these ids already nothing is replayed; give the ids a --prefix to replay the file once more.
        (`agentsight-auto import FILE` is the command that may be repeated: it changes nothing the second time.)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from agentsight_auto import agentsight_api, configure, conversation, flush, track_action
from agentsight_auto.exceptions import AgentSightException, NotFoundException

HAND_OVER = "transfer_to_human_agents"
Turn = tuple[Any, ...]
"""``(sender, text)`` of a message, ``("action", name, arguments, result)`` of a tool call."""


class RecordedTools:
    """Stands in for the tools of the recorded agent: one decorated function for each name, made when it is needed."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}
        self._result: Any = None

    def call(self, name: str, arguments: dict[str, Any], result: Any) -> None:
        """Call the tool of this name, which is going to return `result`."""
        self._result = result
        if name not in self._functions:
            self._functions[name] = track_action(name)(self._function(name))
        self._functions[name](**arguments)

    def _function(self, name: str) -> Callable[..., Any]:
        def tool(**arguments: Any) -> Any:
            return self._result

        tool.__name__ = name
        return tool


def read_lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def turns_of(line: dict[str, Any]) -> Iterator[Turn]:
    """Yield what happened in a conversation, a tool call together with its result."""
    for position, message in enumerate(line["messages"]):
        if message["role"] == "user":
            yield "end_user", message["content"]
        elif message["role"] == "assistant":
            if message["content"]:
                yield "agent", message["content"]
            # Ids of calls repeat within a conversation, so a result is looked for right behind its call.
            behind = takewhile(lambda later: later["role"] == "tool", line["messages"][position + 1 :])
            results = {answer["tool_call_id"]: answer["content"] for answer in behind}
            for call in message.get("tool_calls") or ():
                function = call["function"]
                yield "action", function["name"], json.loads(function["arguments"]), results.get(call["id"])


def replay(line: dict[str, Any], conversation_id: str, tools: RecordedTools) -> None:
    with conversation(conversation_id, metadata={"reward": line["reward"]}, environment="production") as chat:
        for kind, *what in turns_of(line):
            if kind == "end_user":
                chat.track_human_message(*what)
            elif kind == "agent":
                chat.track_agent_message(*what)
            else:
                tools.call(*what)


def stored_turns(conversation_id: str) -> list[Turn]:
    """Return what the store holds of a conversation, in the form of `turns_of`; nothing if it is not there."""
    try:
        messages = agentsight_api.fetch_conversation(conversation_id)["messages"]
    except NotFoundException:
        return []
    turns: list[Turn] = []
    for message in messages:
        if message["action_name"]:
            log = message["action_logs"][0]
            turns.append(("action", message["action_name"], log["tools_used"]["parameters"], log["response"]))
        else:
            turns.append((message["sender"], message["content"]))
    return turns


def counts_of(conversations: Iterable[list[Turn]]) -> dict[str, int]:
    held = [turns for turns in conversations if turns]
    kinds = Counter(turn[0] for turns in held for turn in turns)
    hand_overs = sum(turn[:2] == ("action", HAND_OVER) for turns in held for turn in turns)
    return {
        "conversations": len(held),
        "user messages": kinds["end_user"],
        "agent messages": kinds["agent"],
        "actions": kinds["action"],
        f"of them {HAND_OVER}": hand_overs,
    }


def compare(expected: dict[str, list[Turn]]) -> int:
    """Print what the file and the store hold; return how many conversations differ."""
    stored = {conversation_id: stored_turns(conversation_id) for conversation_id in expected}
    in_file, in_store = counts_of(expected.values()), counts_of(stored.values())
    print(f"{'':<34}{'file':>7}{'store':>7}")
    for name, count in in_file.items():
        print(f"{name:<34}{count:>7,}{in_store[name]:>7,}")
    astray = [conversation_id for conversation_id in expected if stored[conversation_id] != expected[conversation_id]]
    for conversation_id in astray[:10]:
        print(f"{conversation_id} differs from the file.", file=sys.stderr)
    if not astray:
        print("Every conversation holds exactly what its line holds, in order.")
    return len(astray)


def main() -> int:
    parser = argparse.ArgumentParser(description="Replay recorded agent conversations through the public API.")
    parser.add_argument("file", type=Path, help="JSON lines with id, messages and reward")
    parser.add_argument("--home", help="folder of the store (default: AGENTSIGHT_HOME, else .agentsight)")
    parser.add_argument("--prefix", default="", help="put this before every conversation id")
    options = parser.parse_args()
    configure(home=options.home, max_value_bytes=1024 * 1024)  # results of tools may be long, and all of them is kept
    in_file = read_lines(options.file)
    lines = {options.prefix + str(line["id"]): line for line in in_file}
    if len(lines) < len(in_file):
        print(f"{options.file} has an id twice: a replay would mix these conversations.", file=sys.stderr)
        return 1
    known = [conversation_id for conversation_id in lines if stored_turns(conversation_id)]
    if known:
        print(
            f"The store holds {len(known)} of these {len(lines)} conversations already, {known[0]} for one. Replaying "
            "would say everything in them twice, so nothing was recorded.\nChoose other ids with --prefix second-, or "
            "another store with --home DIR.",
            file=sys.stderr,
        )
        return 1
    tools = RecordedTools()
    for conversation_id, line in lines.items():
        replay(line, conversation_id, tools)
    print(f"delivered: {flush(60).delivered:,} events")
    return 1 if compare({conversation_id: list(turns_of(line)) for conversation_id, line in lines.items()}) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AgentSightException, OSError) as error:
        sys.exit(f"replay_transcripts.py: {error}")
