"""Count the tokens of calls to models: one row per turn and model, which grows as calls arrive.

In: calls that were not counted yet. Out: rows of `token_usages` with their `model_usages`.
Loses: nothing; a sum that passes 2**53 stays there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, select, update

from agentsight_auto._ids import derived_id
from agentsight_auto.store.bulk import in_slices, insert_rows
from agentsight_auto.store.event_rows import MAX_TOKENS
from agentsight_auto.store.schema import token_usages
from agentsight_auto.store.schema_spans import model_usages, spans
from agentsight_auto.store.summaries import rebuild

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BILLED = ("prompt_tokens", "completion_tokens", "cache_read_tokens", "cache_write_tokens", "embedding_tokens")
"""What the total is the sum of; the other counters are parts of prompt and completion."""

EXTRA = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens")
"""The counters that only `model_usages` has."""

TURN_COMPLETE = "agentsight.turn.complete"
INCOMPLETE_REASON = "agentsight.turn.incomplete_reason"
UNKNOWN_REASON = "unknown"


@dataclass(frozen=True)
class ModelCall:
    """One call or several of one turn to one model; `counters` by the names of the columns."""

    span_id: str
    turn_id: str | None
    model: str
    started_at_us: int
    ended_at_us: int
    counters: Mapping[str, int] = field(default_factory=dict)
    calls: int = 1
    unreported_calls: int = 0

    def count(self, name: str) -> int:
        """Return one counter."""
        return self.counters.get(name, 0)

    @property
    def total(self) -> int:
        """The tokens that are billed."""
        return sum(self.count(name) for name in BILLED)


def incomplete_reason(attributes: Mapping[str, Any]) -> str | None:
    """Return why a turn did not come to its end; None if it did."""
    if attributes.get(TURN_COMPLETE) is True:
        return None
    reason = attributes.get(INCOMPLETE_REASON)
    return reason[:64] if isinstance(reason, str) and reason else UNKNOWN_REASON


def count_calls(
    connection: Connection, agent_id: int, pk: int, conversation_id: str, calls: Sequence[ModelCall]
) -> None:
    """Add calls to the rows of their turns and models, inside a `write` block."""
    if not calls:
        return
    news = _together(calls)
    event_ids = {_event_id(conversation_id, call): key for key, call in news.items()}
    known = _rows(connection, agent_id, list(event_ids))
    for row in known:
        _add(connection, row, news.pop(event_ids[row.event_id]))
    reasons = _reasons(connection, agent_id, pk, {call.turn_id for call in news.values() if call.turn_id is not None})
    query = select(token_usages.c.id, token_usages.c.event_id).where(token_usages.c.agent_id == agent_id)
    wanted = [event_id for event_id, key in event_ids.items() if key in news]
    # An import may have brought the row of a turn and model, but not what only `model_usages` has.
    there = {row.event_id for row in in_slices(connection, query, token_usages.c.event_id, wanted)}
    uncounted = [news[event_ids[event_id]] for event_id in wanted if event_id not in there]
    insert_rows(connection, token_usages, [_usage_row(agent_id, pk, conversation_id, call) for call in uncounted])
    rows = []
    for usage_id, event_id in in_slices(connection, query, token_usages.c.event_id, wanted):
        call = news[event_ids[event_id]]
        rows.append(_model_row(agent_id, pk, usage_id, call, reasons.get(call.turn_id or "")))
    insert_rows(connection, model_usages, rows)
    rebuild(connection, [pk])


def mark_incomplete(connection: Connection, pk: int, reasons: Mapping[str, str]) -> None:
    """Mark what was counted for turns that did not come to their end."""
    for turn_id, reason in reasons.items():
        of_turn = (model_usages.c.conversation_pk == pk, model_usages.c.turn_id == turn_id)
        connection.execute(update(model_usages).where(*of_turn).values(incomplete=True, incomplete_reason=reason))


def _together(calls: Iterable[ModelCall]) -> dict[tuple[str, str], ModelCall]:
    grouped: dict[tuple[str, str], ModelCall] = {}
    for call in calls:
        key = (call.turn_id or f"span {call.span_id}", call.model)
        grouped[key] = _sum(grouped[key], call) if key in grouped else call
    return grouped


def _sum(one: ModelCall, other: ModelCall) -> ModelCall:
    names = one.counters.keys() | other.counters.keys()
    return replace(
        one,
        started_at_us=min(one.started_at_us, other.started_at_us),
        ended_at_us=max(one.ended_at_us, other.ended_at_us),
        counters={name: min(one.count(name) + other.count(name), MAX_TOKENS) for name in names},
        calls=one.calls + other.calls,
        unreported_calls=one.unreported_calls + other.unreported_calls,
    )


def _event_id(conversation_id: str, call: ModelCall) -> bytes:
    turn = f"span {call.span_id}" if call.turn_id is None else call.turn_id
    return bytes.fromhex(derived_id(0, "model usage", conversation_id, turn, call.model))


def _rows(connection: Connection, agent_id: int, event_ids: Sequence[bytes]) -> list[Any]:
    counters = ("prompt_tokens", "completion_tokens", "embedding_tokens")
    query = (
        select(model_usages, token_usages.c.event_id, *(token_usages.c[name] for name in counters))
        .join(token_usages, token_usages.c.id == model_usages.c.token_usage_id)
        .where(token_usages.c.agent_id == agent_id)
    )
    return list(in_slices(connection, query, token_usages.c.event_id, event_ids))


def _add(connection: Connection, row: Any, call: ModelCall) -> None:
    counters = {name: getattr(row, name) for name in {*BILLED, *EXTRA}}
    known = ModelCall(
        call.span_id, call.turn_id, call.model, row.started_at_us, row.ended_at_us, counters, row.calls,
        row.unreported_calls,
    )  # fmt: skip
    both = _sum(known, call)
    moments = {"started_at_us": both.started_at_us, "ended_at_us": both.ended_at_us}
    numbers = {"calls": both.calls, "unreported_calls": both.unreported_calls, **moments}
    extra = {name: both.count(name) for name in EXTRA}
    connection.execute(update(model_usages).where(model_usages.c.id == row.id).values(**numbers, **extra))
    base = {name: both.count(name) for name in ("prompt_tokens", "completion_tokens", "embedding_tokens")}
    total = min(both.total, MAX_TOKENS)
    of_row = token_usages.c.id == row.token_usage_id
    connection.execute(update(token_usages).where(of_row).values(**base, total_tokens=total, at_us=both.started_at_us))


def _usage_row(agent_id: int, pk: int, conversation_id: str, call: ModelCall) -> tuple[Any, ...]:
    base = (call.count("prompt_tokens"), call.count("completion_tokens"), min(call.total, MAX_TOKENS))
    event_id = _event_id(conversation_id, call)
    return (agent_id, pk, event_id, *base, call.count("embedding_tokens"), None, call.started_at_us)


def _model_row(agent_id: int, pk: int, usage_id: int, call: ModelCall, reason: str | None) -> tuple[Any, ...]:
    extra = (call.count(name) for name in EXTRA)
    numbers = (call.calls, call.unreported_calls, reason is not None, reason, call.started_at_us, call.ended_at_us)
    return (agent_id, pk, usage_id, call.turn_id, call.model, *extra, *numbers)


def _reasons(connection: Connection, agent_id: int, pk: int, turn_ids: set[str]) -> dict[str, str]:
    """Return, for those turns that are archived and did not come to their end, why."""
    of_turns = (spans.c.agent_id == agent_id, spans.c.conversation_pk == pk, spans.c.kind == "turn")
    query = select(spans.c.span_id, spans.c.attributes).where(*of_turns)
    reasons = {}
    for span_id, attributes in in_slices(connection, query, spans.c.span_id, sorted(turn_ids)):
        reason = incomplete_reason(msgspec.json.decode(attributes))
        if reason is not None:
            reasons[span_id] = reason
    return reasons
