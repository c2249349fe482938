"""Read a conversation in the OpenAI chat format: ``{"messages": [{"role", "content", "tool_calls" ...}], ...}``.

In: one JSON object, or a bare list of messages. Out: an `Incoming`.
Loses: blank messages; images and sounds, of which a mark like ``[image_url]`` remains.

The user's messages are the customer's, the assistant's the agent's, system and developer the system's. Each tool call
is an action; its response is the content of the tool message with the same id. Ids may repeat within a conversation:
a result belongs to the latest call that still waits for one. All other keys become metadata.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from agentsight_auto._setting_values import normalize_environment
from agentsight_auto.events import Action, ConversationStarted, Message
from agentsight_auto.exceptions import InvalidConversationDataException
from agentsight_auto.interchange.bounding import Limits
from agentsight_auto.interchange.incoming import (
    BadConversation,
    Fact,
    Incoming,
    make_events,
    place_in_time,
    read_id,
    told_time,
)
from agentsight_auto.snapshot import bounded_text

SENDERS = {"user": "end_user", "assistant": "agent", "system": "system", "developer": "system"}
_RESULT_ROLES = frozenset({"tool", "function"})
_FIELDS = ("customer_id", "customer_ip_address", "device", "source", "language", "name", "environment")
_MAX_NAME_BYTES = 1024
_MAX_CALLS_OF_A_TURN = 1000


def read_chat(value: Any, *, limits: Limits, now_us: int, id_prefix: str = "") -> Incoming:
    """Return the conversation of one line.

    Raises:
        BadConversation: not the chat format; the text names the place.
    """
    line = {"messages": value} if isinstance(value, list) else value
    messages = line.get("messages") if isinstance(line, dict) else None
    if not isinstance(messages, list):
        raise BadConversation('there is no list "messages"')
    conversation_id = read_id(value, id_prefix)
    transcript = _Transcript(limits)
    for index, message in enumerate(messages):
        transcript.read(f"messages[{index}]", message)
    time_key, line_us = told_time(line)
    told = [fact.at_us for fact in transcript.facts]
    has_times = line_us is not None or any(at_us is not None for at_us in told)
    times = place_in_time(told, line_us, now_us)
    begin_us = min([at_us for at_us in (line_us, *times[:1]) if at_us is not None], default=now_us)
    started = Fact(ConversationStarted, "conversation", begin_us, _known(line, time_key, limits))
    facts = [started, *transcript.facts]
    return Incoming(
        conversation_id=conversation_id,
        events=make_events(conversation_id, facts, [begin_us, *times], has_times=has_times),
        has_times=has_times,
    )


def _known(line: dict[str, Any], time_key: str | None, limits: Limits) -> dict[str, Any]:
    """Return what the line says of the conversation: documented fields, and all else as metadata."""
    known: dict[str, Any] = {}
    metadata = dict(line["metadata"]) if isinstance(line.get("metadata"), dict) else {}
    for key, value in line.items():
        if key in {"messages", "conversation_id", time_key} or (key == "id" and "conversation_id" not in line):
            continue
        if key == "metadata" and isinstance(value, dict):
            continue
        field = _field(key, value, limits) if key in _FIELDS else None
        if field is not None:
            known[key] = field
        elif value is not None and value != []:
            metadata.setdefault(key, value)
    return {**known, "metadata": limits.document(metadata)}


def _field(name: str, value: Any, limits: Limits) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        return None
    if name == "environment":
        try:
            return normalize_environment(value)
        except InvalidConversationDataException:
            return None
    return limits.short_text(str(value))


class _Call(msgspec.Struct):
    """An action whose result may still come; `turn` counts the messages that made calls."""

    name: str
    turn: int
    fact: Fact


class _Transcript:
    """The facts of a list of messages, in order."""

    def __init__(self, limits: Limits) -> None:
        self.facts: list[Fact] = []
        self._limits = limits
        self._waiting: defaultdict[str | None, list[_Call]] = defaultdict(list)
        self._latest: list[_Call] = []
        self._turn = 0

    def read(self, place: str, message: Any) -> None:
        """Take in one message."""
        if not isinstance(message, dict):
            raise BadConversation(f"{place} is not an object")
        role = message.get("role") if isinstance(message.get("role"), str) else None
        time_key, at_us = told_time(message)
        if role in _RESULT_ROLES:
            self._read_result(place, message, time_key, at_us)
        elif role in SENDERS:
            self._read_text(place, message, time_key, at_us)
            self._read_calls(place, message, at_us)
        else:
            raise BadConversation(f"{place} has no role that is known: user, assistant, system, developer, tool")

    def _read_text(self, place: str, message: dict[str, Any], time_key: str | None, at_us: int | None) -> None:
        text = content_text(message.get("content"))
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal.strip():
            text = f"{text}\n{refusal}" if text.strip() else refusal
        if not text.strip():
            return
        consumed = {"role", "content", "tool_calls", "function_call", "refusal", time_key}
        fields = {
            "sender": SENDERS[message["role"]],
            "content": self._limits.text(text),
            "metadata": self._metadata(message, consumed),
        }
        self.facts.append(Fact(Message, place, at_us, fields))

    def _read_calls(self, place: str, message: dict[str, Any], at_us: int | None) -> None:
        calls = message.get("tool_calls") or []
        if not isinstance(calls, list):
            raise BadConversation(f"{place}.tool_calls is not a list")
        if calls or message.get("function_call") is not None:
            self._turn += 1
            self._latest = []
        for index, call in enumerate(calls):
            self._read_call(f"{place}.tool_calls[{index}]", call, at_us)
        if message.get("function_call") is not None:
            self._read_call(f"{place}.function_call", {"function": message["function_call"]}, at_us)

    def _read_call(self, place: str, call: Any, at_us: int | None) -> None:
        call = call if isinstance(call, dict) else {}
        function = call.get("function") or call.get("custom")
        function = function if isinstance(function, dict) else {}
        name = _text_or_none(function.get("name"))
        if name is None:
            raise BadConversation(f"{place} has no function name")
        arguments = function.get("arguments", function.get("input"))
        call_id = _text_or_none(call.get("id"))
        fact = self._action(place, name, at_us, call_id)
        fact.fields["tools_used"]["parameters"] = self._limits.parameters(_parsed(arguments))
        waiting = _Call(name, self._turn, fact)
        self._waiting[call_id].append(waiting)
        self._latest.append(waiting)

    def _action(self, place: str, name: str, at_us: int | None, call_id: str | None) -> Fact:
        clean = Limits(_MAX_NAME_BYTES).short_text(name)
        fields: dict[str, Any] = {"action_name": clean, "tools_used": {"function": clean, "parameters": {}}}
        if call_id is not None:
            fields["metadata"] = self._limits.document({"tool_call_id": call_id})
        fact = Fact(Action, place, at_us, fields)
        self.facts.append(fact)
        return fact

    def _read_result(self, place: str, message: dict[str, Any], time_key: str | None, at_us: int | None) -> None:
        """Give a result to its call; one that nobody asked for becomes an action of its own."""
        call_id, name = _text_or_none(message.get("tool_call_id")), _text_or_none(message.get("name"))
        call = self._take_waiting(call_id, name)
        if call is None:
            fact = self._action(place, name or "unknown_tool", at_us, call_id)
            fact.fields["tools_used"] = None
        else:
            fact = call.fact
        content = message.get("content")
        fact.fields["response"] = self._limits.value(content_text(content) if isinstance(content, list) else content)
        extra = self._metadata(message, {"role", "content", "tool_call_id", "name", time_key})
        if extra is not None:
            fact.fields["metadata"] = self._limits.document({**(fact.fields.get("metadata") or {}), **extra})

    def _take_waiting(self, call_id: str | None, name: str | None) -> _Call | None:
        """Return the call that a result answers, which then waits no more.

        With an id: the first call of that id in the latest turn that has one. Without: the first of the latest turn.
        """
        fitting = self._waiting[call_id] if call_id is not None else self._latest
        turn = fitting[-1].turn if fitting else 0
        calls = [call for call in fitting[-_MAX_CALLS_OF_A_TURN:] if call.turn == turn]
        found = next((call for call in calls if call_id is not None or name in {None, call.name}), None)
        if found is not None:
            for group in (fitting, self._latest):
                if found in group:
                    group.remove(found)
        return found

    def _metadata(self, message: dict[str, Any], consumed: set[str | None]) -> dict[str, Any] | None:
        rest = {
            key: value for key, value in message.items() if key not in consumed and value is not None and value != []
        }
        return self._limits.document(rest)


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def content_text(content: Any) -> str:
    """Return the text of a message's content: text, or a list of parts; what is no text leaves a mark."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return bounded_text(content)
    return "\n".join(text for part in content if (text := _part_text(part)))


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return f"[{type(part).__name__}]"
    for key in ("text", "refusal", "transcript"):
        if isinstance(part.get(key), str):
            return str(part[key])
    kind = str(part.get("type", "part"))
    source = part.get(kind)
    address = source.get("url") if isinstance(source, dict) else source
    if isinstance(address, str) and address.startswith(("http://", "https://")):
        return f"[{kind}: {address}]"
    return f"[{kind}]"


def _parsed(arguments: Any) -> Any:
    """Return the arguments of a call, parsed if they are the text of JSON."""
    if not isinstance(arguments, str):
        return {} if arguments is None else arguments
    try:
        return msgspec.json.decode(arguments) if arguments.strip() else {}
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return arguments
