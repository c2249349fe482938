"""Facets with counts, and the volume over time.

In: filters. Out: plain dicts. Loses: facets count the newest `MOST_COUNTED` conversations that match, and say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select

from agentsight_auto._clock import iso_from_us
from agentsight_auto.query.board.days import Period, count_by_quarter, is_plain
from agentsight_auto.query.board.scope import open_scope, read_period, scan
from agentsight_auto.query.board.times import QUARTER_US
from agentsight_auto.query.filters import parse_filters
from agentsight_auto.query.lifecycle import Lifecycle, Rules
from agentsight_auto.query.parameters import each
from agentsight_auto.store.schema import agents, conversation_actions, conversations
from agentsight_auto.store.schema_insights import insights

MOST_COUNTED = 30_000
_MOST_VALUES = 30
_PARAMETERS = {
    "environment": "environment", "source": "source", "device": "device", "language": "language", "country": "country",
    "outcome": "status", "feedback": "feedback_sentiment", "marked": "is_marked", "action": "action_name",
}  # fmt: skip
_ORDER = (
    "environment", "agent", "source", "device", "language", "country", "action", "outcome", "feedback", "marked",
)  # fmt: skip
_SENTIMENTS = ("positive", "neutral", "negative")
_SECOND_US = 1_000_000
_WIDTHS_S = (60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 14 * 86400, 30 * 86400)


def count_facets(
    connection: Connection, filters: Mapping[str, Any], *, agent_id: int, agent: str, rules: Rules
) -> dict[str, Any]:
    """Return the facets; what a facet itself selects is not applied to its own counts.

    Raises:
        InvalidQueryException: a filter that cannot be read.
    """
    life = Lifecycle(rules, agent_id)
    counted, counts = _count(connection, filters, life)
    for name, parameter in _PARAMETERS.items():
        if filters.get(parameter) is not None:
            others = {key: value for key, value in filters.items() if key != parameter}
            counts[name] = _count(connection, others, life)[1][name]
    agent_count = connection.execute(select(func.count()).select_from(agents)).scalar_one()
    counts["agent"] = Counter({agent: counted} if agent_count > 1 and counted else {})
    return {
        "counted": counted,
        "is_complete": counted < MOST_COUNTED,
        "facets": [
            {"name": name, "parameter": _PARAMETERS.get(name), "values": _values(name, counts[name], filters)}
            for name in _ORDER
        ],
    }


def _newest(connection: Connection, filters: Mapping[str, Any], life: Lifecycle) -> Select[Any]:
    wanted = parse_filters(filters, agent_id=life.agent_id, rules=life.rules)
    column = conversations.c
    own = select(column.id, column.environment, column.source, column.device, column.language, column.is_marked).where(
        *scan(connection, wanted)
    )
    return own.order_by(column.started_at_us.desc(), column.id.desc()).limit(MOST_COUNTED)


def _count(connection: Connection, filters: Mapping[str, Any], life: Lifecycle) -> tuple[int, dict[str, Counter[Any]]]:
    """Count once by all facets together, and fold that into each."""
    found = _newest(connection, filters, life).subquery("found")
    judged = [insights.c[f"{sentiment}_count"] > 0 for sentiment in _SENTIMENTS]
    keys = [found.c.environment, found.c.source, found.c.device, found.c.language, found.c.is_marked,
            insights.c.country, life.status(found.c.source), *judged]  # fmt: skip
    joined = found.outerjoin(insights, insights.c.conversation_pk == found.c.id)
    named = [key.label(f"key_{number}") for number, key in enumerate(keys)]
    by_name: list[ColumnElement[Any]] = [literal_column(key.name) for key in named]  # not computed once more
    statement = select(*named, func.count()).select_from(joined).group_by(*by_name)
    counts: dict[str, Counter[Any]] = {name: Counter() for name in _PARAMETERS}
    total = 0
    for environment, origin, device, language, marked, country, status, *rest in connection.execute(statement):
        *sentiments, count = rest
        total += count
        values = {"environment": environment, "source": origin, "device": device, "language": language,
                  "marked": bool(marked), "country": country, "outcome": status}  # fmt: skip
        for name, value in values.items():
            counts[name][value] += count
        for sentiment, is_there in zip(_SENTIMENTS, sentiments, strict=True):
            counts["feedback"][sentiment] += count if is_there else 0
    actions = conversation_actions.c
    performed = found.join(conversation_actions, actions.conversation_pk == found.c.id)
    names = select(actions.action_name, func.count()).select_from(performed).group_by(actions.action_name)
    counts["action"].update({row[0]: row[1] for row in connection.execute(names)})
    return total, counts


def _values(name: str, counts: Counter[Any], filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    chosen = filters.get(_PARAMETERS.get(name, ""))
    selected = set() if chosen is None else {str(value).strip().lower() for value in each(chosen)}
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    rows: list[dict[str, Any]] = []
    for value, count in ordered:
        text = str(value).lower() if isinstance(value, bool) else value
        is_selected = text is not None and str(text).lower() in selected
        if (count and value is not None and len(rows) < _MOST_VALUES) or is_selected:
            rows.append({"value": text, "label": text, "count": count, "is_selected": is_selected})
            selected.discard(str(text).lower())
    rows += [{"value": text, "label": text, "count": 0, "is_selected": True} for text in sorted(selected)]
    return rows


def count_volume(
    connection: Connection,
    filters: Mapping[str, Any],
    *,
    agent_id: int,
    rules: Rules,
    buckets: int,
    zone: tzinfo,
    now_us: int,
) -> dict[str, Any]:
    """Return how many conversations began in each stretch of the period, at most `buckets` stretches of one width.

    Raises:
        InvalidQueryException: a filter that cannot be read.
    """
    from_us, until_us = read_period(filters, now_us)
    scope = open_scope(connection, filters, agent_id=agent_id, rules=rules, now_us=now_us)
    conditions = scope.conditions
    started = conversations.c.started_at_us
    if from_us is None:
        first = select(started).where(*conditions).order_by(started).limit(1)
        from_us = connection.execute(first).scalar() or until_us
    if filters.get("started_at_before") is None:
        last = select(started).where(*conditions).order_by(started.desc()).limit(1)
        until_us = max(until_us, connection.execute(last).scalar() or until_us)
    until_us = max(until_us, from_us + _SECOND_US)
    most = min(max(buckets, 1), 500)
    width_us = _width_s((until_us - from_us) / most / _SECOND_US) * _SECOND_US
    offset = datetime.fromtimestamp(from_us / _SECOND_US, zone).utcoffset()
    shift_us = 0 if offset is None else round(offset.total_seconds()) * _SECOND_US
    origin_us = (from_us + shift_us) // width_us * width_us - shift_us
    counts: Counter[int] = Counter()
    stretches = [[*conditions, started >= origin_us, started <= until_us]]
    if is_plain(scope) and not (origin_us % QUARTER_US or width_us % QUARTER_US):
        quarters, stretches = count_by_quarter(connection, scope, Period(from_us, until_us))
        for quarter, conversation_count in quarters.items():
            counts[(quarter * QUARTER_US - origin_us) // width_us] += conversation_count
    place = ((started - origin_us) // width_us).label("place")
    for stretch in stretches:
        statement = select(place, func.count()).where(*stretch).group_by(place)
        counts.update({row[0]: row[1] for row in connection.execute(statement)})
    count = (until_us - origin_us) // width_us + 1
    return {
        "from": iso_from_us(from_us),
        "until": iso_from_us(until_us),
        "width_s": width_us // _SECOND_US,
        "zone": str(zone),
        "buckets": [_bucket(origin_us + number * width_us, width_us, counts[number]) for number in range(count)],
    }


def _bucket(start_us: int, width_us: int, count: int) -> dict[str, Any]:
    return {
        "from": iso_from_us(start_us),
        "until": iso_from_us(start_us + width_us - 1),
        "conversations": count,
    }


def _width_s(wanted_s: float) -> int:
    fitting = (width for width in _WIDTHS_S if width >= wanted_s)
    longest = _WIDTHS_S[-1]
    return next(fitting, longest * -(-int(wanted_s) // longest))
