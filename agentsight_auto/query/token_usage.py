"""Read token usage: one row per turn and model, and one per report of the clients that know no turns.

In: filters of a URL. Out: the documented shapes. Loses: nothing.
Nothing is priced here. What an integration told of a call is ``reported``: model, cost, cached tokens. A row
whose cost nobody told is ``unpriced``: the documented text of nothing stands there, and sums count it as unpriced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, Row, Select, case, cast, false, func, literal, select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.exceptions import InvalidQueryException
from agentsight_auto.query import parameters
from agentsight_auto.query.conversations import Shape
from agentsight_auto.query.lists import Listed, Order, Place, between, fetch_rows, of_conversation, read_order
from agentsight_auto.store.database import Database
from agentsight_auto.store.model_usages import EXTRA
from agentsight_auto.store.schema import conversations, token_usages
from agentsight_auto.store.schema_spans import model_usages

FILTERS = (
    "conversation", "conversation_id", "cost_source", "environment", "incomplete", "model", "ordering",
    "started_at_after", "started_at_before", "turn_id",
)  # fmt: skip
GROUPS = ("model", "conversation", "day")
CURRENCIES = ("usd", "eur")
NO_COST = "0.00000000"
REPORTED, UNPRICED = "reported", "unpriced"
UNKNOWN_MODEL = "unknown"

_COST_SOURCES = ("backend", REPORTED, UNPRICED)
_BASE = ("prompt_tokens", "completion_tokens", "embedding_tokens", "total_tokens")
_SUMMED = (
    "prompt_tokens", "completion_tokens", "embedding_tokens", "cache_read_tokens", "cache_write_tokens", "total_tokens",
)  # fmt: skip
_DAY_US = 86_400_000_000
_MOST_GROUPS = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _number_told(name: str) -> ColumnElement[Any]:
    """What an integration told of the call in its metadata; null for what is no number."""
    path = f"$.{name}"
    is_number = func.json_type(token_usages.c.metadata, path).in_(("integer", "real"))
    return case((is_number, func.json_extract(token_usages.c.metadata, path)))


_model = func.coalesce(model_usages.c.model, func.json_extract(token_usages.c.metadata, "$.model"))
_cost = _number_told("cost_usd")
_source = case((_cost.is_(None), literal(UNPRICED)), else_=literal(REPORTED))
_started_at = func.coalesce(model_usages.c.started_at_us, token_usages.c.at_us)
_ended_at = func.coalesce(model_usages.c.ended_at_us, token_usages.c.at_us)
_incomplete = func.coalesce(model_usages.c.incomplete, false())
_calls = func.coalesce(model_usages.c.calls, 1)
_ORDERABLE: Mapping[str, ColumnElement[Any]] = {
    "started_at": _started_at,
    "ended_at": _ended_at,
    "total_tokens": token_usages.c.total_tokens,
    "cost_usd": func.coalesce(_cost, 0.0),
    "id": token_usages.c.id,
}


def list_token_usage(database: Database, agent_id: int, given: Mapping[str, str], place: Place) -> Listed:
    """Return one page of rows, the newest first.

    Raises:
        InvalidQueryException: a filter that cannot be read.
        NotFoundException: there is no such page.
    """
    query = _joined(_columns()).where(*_conditions(agent_id, given))
    order: Order = read_order(given, _ORDERABLE, token_usages.c.id, "-started_at")
    with database.read() as connection:
        rows, total = fetch_rows(connection, query, order, place)
    return Listed([_shape(row) for row in rows], total)


def summarise(database: Database, agent_id: int, given: Mapping[str, str]) -> Shape:
    """Return sums by model, conversation or day (UTC); the largest first, days in their order.

    Raises:
        InvalidQueryException: a filter, `group_by` or `currency` that cannot be read.
    """
    group_by = _choice(given, "group_by", GROUPS)
    currency = _choice(given, "currency", CURRENCIES)
    group: ColumnElement[Any] = {
        "model": func.coalesce(_model, literal(UNKNOWN_MODEL)),
        "conversation": conversations.c.conversation_id,
        "day": _started_at // _DAY_US,
    }[group_by]
    # as floats: a sum of integers that passes 64 bits would be an error
    sums = [func.sum(cast(_counter(name), Float)).label(name) for name in _SUMMED]
    unpriced = func.sum(case((_cost.is_(None), _calls), else_=0)).label("unpriced_calls")
    costs = func.coalesce(func.sum(_cost), 0.0).label("cost_usd")
    numbers = [func.sum(_calls).label("calls"), func.count().label("rows"), unpriced, costs, *sums]
    query = _joined([group.label("group_value"), *numbers]).where(*_conditions(agent_id, given)).group_by(group)
    order = group.asc() if group_by == "day" else func.sum(cast(token_usages.c.total_tokens, Float)).desc()
    with database.read() as connection:
        rows = connection.execute(query.order_by(order, group).limit(_MOST_GROUPS)).all()
    return {"group_by": group_by, "currency": currency, "results": [_sum_shape(row, group_by) for row in rows]}


def models_of(connection: Connection, keys: Sequence[int]) -> dict[int, list[Shape]]:
    """Return, by conversation, what each model used, priced and unpriced calls apart; only where models are known."""
    used: dict[int, list[Shape]] = {}
    counters = [func.sum(cast(_counter(name), Float)).label(name) for name in (*_BASE, *EXTRA)]
    told = (_model.label("model"), _source.label("cost_source"), func.sum(_cost).label("cost_usd"))
    query = _joined([token_usages.c.conversation_pk, *told, *counters]).where(
        token_usages.c.conversation_pk.in_(keys), _model.is_not(None)
    )
    columns = token_usages.c.conversation_pk, _model, _source
    for row in connection.execute(query.group_by(*columns).order_by(*columns)):
        counted = {name: int(getattr(row, name)) for name in (*_BASE, *EXTRA)}
        shape = {"model": row.model, "cost_source": row.cost_source, "cost_usd": cost_text(row.cost_usd), **counted}
        used.setdefault(row.conversation_pk, []).append(shape)
    return used


def cost_text(cost_usd: float | None) -> str:
    """Return a cost as the documented decimal text."""
    return NO_COST if cost_usd is None else f"{cost_usd:.8f}"


def _joined(columns: Iterable[ColumnElement[Any]]) -> Select[Any]:
    of_usage = model_usages.c.token_usage_id == token_usages.c.id
    return (
        select(*columns)
        .select_from(token_usages)
        .join(conversations, conversations.c.id == token_usages.c.conversation_pk)
        .outerjoin(model_usages, of_usage)
    )


def _columns() -> list[ColumnElement[Any]]:
    own = [token_usages.c[name] for name in ("id", "conversation_pk", *_BASE)]
    extra: list[ColumnElement[Any]] = [_counter(name).label(name) for name in EXTRA]
    return [
        *own,
        *extra,
        conversations.c.conversation_id,
        conversations.c.environment,
        model_usages.c.turn_id,
        _model.label("model"),
        _cost.label("cost_usd"),
        _source.label("cost_source"),
        model_usages.c.incomplete_reason,
        _incomplete.label("incomplete"),
        _calls.label("calls"),
        func.coalesce(model_usages.c.unreported_calls, 0).label("unreported_calls"),
        _started_at.label("started_at_us"),
        _ended_at.label("ended_at_us"),
    ]


def _conditions(agent_id: int, given: Mapping[str, str]) -> list[ColumnElement[bool]]:
    conditions = [token_usages.c.agent_id == agent_id, *of_conversation(given)]
    conditions += between(given, "started_at", _started_at)
    if "turn_id" in given:
        conditions.append(model_usages.c.turn_id == given["turn_id"])
    if "model" in given:
        conditions.append(_model == given["model"])
    if "incomplete" in given:
        conditions.append(_incomplete.is_(parameters.read_flag("incomplete", given["incomplete"])))
    if "cost_source" in given:
        source = parameters.read_choice("cost_source", given["cost_source"], _COST_SOURCES)
        conditions.append(false() if source == "backend" else _source == source)
    return conditions


def _counter(name: str) -> ColumnElement[Any]:
    if name in EXTRA:
        return func.coalesce(model_usages.c[name], _number_told(name), 0)
    column: ColumnElement[Any] = token_usages.c[name]
    return column


def _choice(given: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    value = given.get(name, choices[0])
    if value not in choices:
        message = f"Must be one of: {', '.join(choices)}."
        raise InvalidQueryException(f"{name}: {message}", response_data={name: message})
    return value


def _shape(row: Row[Any]) -> Shape:
    return {
        "id": row.id,
        "conversation": row.conversation_pk,
        "conversation_id": row.conversation_id,
        "environment": row.environment,
        "turn_id": row.turn_id,
        "model": row.model,
        **{name: getattr(row, name) for name in (*_BASE, *EXTRA)},
        "cost_usd": cost_text(row.cost_usd),
        "cost_usd_reported": cost_text(row.cost_usd),
        "cost_source": row.cost_source,
        "calls": row.calls,
        "unreported_calls": row.unreported_calls,
        "incomplete": bool(row.incomplete),
        "incomplete_reason": row.incomplete_reason,
        "started_at": iso_from_us(row.started_at_us),
        "ended_at": iso_from_us(row.ended_at_us),
    }


def _sum_shape(row: Row[Any], group_by: str) -> Shape:
    group = row.group_value
    if group_by == "day":
        group = (_EPOCH + timedelta(days=group)).date().isoformat()
    counted = {name: int(getattr(row, name)) for name in _SUMMED}
    cost = {"cost_usd": round(row.cost_usd, 12), "unpriced_calls": row.unpriced_calls}
    return {"group": group, "calls": row.calls, "rows": row.rows, **counted, **cost}
