"""What a page's address asks for: filters, a stretch of time, a place in the list.

In: a visit's query. Out: filters as the query layer reads them. Loses: parameters that are not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from agentsight_auto._clock import iso_from_us, parse_moment, us_from_datetime
from agentsight_auto.exceptions import InvalidQueryException
from agentsight_auto.query.filters import KNOWN_FILTERS
from agentsight_auto.server.dashboard.visits import Visit, url

RANGES = {"24h": 1, "7d": 7, "30d": 30, "90d": 90}
"""Stretches of time that end now, in days."""
EVERYTHING = "all"
_NOT_ASKED = frozenset({"include_deleted", "started_at_after", "started_at_before", "ordering", "env"})
NAMES = (*(name for name in KNOWN_FILTERS if name not in _NOT_ASKED), "ordering", "range", "from", "to")
"""The parameters of the list, which every page of one conversation carries along."""


@dataclass(frozen=True)
class Asked:
    """What is asked for: the parameters as they came, and the filters that they mean."""

    given: dict[str, str]
    filters: dict[str, str]
    begin: datetime | None
    end: datetime | None

    def url(self, path: str, **changes: str | int | None) -> str:
        """Return a path with these parameters, some of them changed; None takes one away."""
        return url(path, {**self.given, **changes})


def read_asked(visit: Visit) -> Asked:
    """Read the parameters of a page.

    Raises:
        InvalidQueryException: a moment that cannot be read.
    """
    given = {name: visit.given[name] for name in NAMES if name in visit.given}
    filters = {name: value for name, value in given.items() if name in KNOWN_FILTERS}
    if filters.get("environment") == EVERYTHING:
        del filters["environment"]
    begin, end = _stretch(visit, given)
    if begin is not None:
        filters["started_at_after"] = iso_from_us(us_from_datetime(begin))
    if end is not None:
        filters["started_at_before"] = iso_from_us(us_from_datetime(end))
    return Asked(given, filters, begin, end)


def _stretch(visit: Visit, given: dict[str, str]) -> tuple[datetime | None, datetime | None]:
    if "from" in given or "to" in given:
        return _moment(visit, given, "from"), _moment(visit, given, "to")
    days = RANGES.get(given.get("range", ""))
    return (None if days is None else datetime.now(timezone.utc) - timedelta(days=days)), None


def _moment(visit: Visit, given: dict[str, str], name: str) -> datetime | None:
    """Read a moment; without an offset it is the reader's, and a day alone means all of it."""
    text = given.get(name)
    if text is None:
        return None
    try:
        if len(text) == 10:
            start = datetime.fromisoformat(text).replace(tzinfo=visit.texts.zone)
            moment = start if name == "from" else start + timedelta(days=1) - timedelta(microseconds=1)
        else:
            moment = parse_moment(text) if text.endswith("Z") else datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=visit.texts.zone)
        return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError) as error:
        raise InvalidQueryException(f"{name}: {text[:40]!r} is no date. Give one such as 2026-11-21.") from error


def utc_text(moment: datetime) -> str:
    """Return a moment as addresses carry it."""
    return iso_from_us(us_from_datetime(moment))
