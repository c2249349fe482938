"""What a page's address asks for: filters, a stretch of time, the environments that are shown.

In: a visit's query. Out: filters as the query layer reads them. Loses: parameters that are not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from agentsight_auto._clock import iso_from_us, parse_moment, us_from_datetime
from agentsight_auto.query.environments import is_in_use, slugs_in_use
from agentsight_auto.query.filters import KNOWN_FILTERS
from agentsight_auto.query.parameters import AnyOf, storable
from agentsight_auto.server.dashboard.markup import visible
from agentsight_auto.server.dashboard.visits import Unreadable, Value, Visit, url

RANGES = {"24h": 1, "7d": 7, "30d": 30, "90d": 90}
"""Stretches of time that end now, in days."""
EVERYTHING = "all"
MULTIPLE = (
    "environment", "source", "device", "language", "country", "action_name", "status", "feedback_sentiment",
    "is_marked",
)  # fmt: skip
"""The parameters of which an address may have several: a conversation has to have any of them."""
_MOST_VALUES = 50
_NOT_ASKED = frozenset({"include_deleted", "started_at_after", "started_at_before", "ordering", "env"})
_TIME = ("range", "from", "to")
NAMES = (*(name for name in KNOWN_FILTERS if name not in _NOT_ASKED), "ordering", *_TIME)
"""The parameters of the list, which every page of one conversation carries along."""
_KEPT = (*(name for name in MULTIPLE if name != "is_marked"), *_TIME)
"""Those that go along to another view."""


@dataclass(frozen=True)
class Asked:
    """What is asked for: the parameters as they came, the filters that they mean, and the environments shown."""

    given: Mapping[str, Value]
    filters: Mapping[str, str | AnyOf]
    begin: datetime | None
    end: datetime | None
    environments: Sequence[str]
    left_out: Sequence[str]

    def url(self, path: str, **changes: Value | int | None) -> str:
        """Return a path with these parameters, some of them changed; None takes one away."""
        return url(path, {**self.given, **changes})

    def toggled(self, path: str, name: str, value: str) -> str:
        """Return a path with this value of a parameter added, or taken away where it is asked for."""
        if name == "environment":
            chosen: Sequence[str] = self.environments if name in self.filters else ()
        else:
            chosen = tuple(self.given.get(name, ()))
        others = tuple(other for other in chosen if other != value)
        changed = others if len(others) < len(chosen) else (*others, value)
        return self.url(path, **{name: changed or (EVERYTHING if name == "environment" else None)})

    def elsewhere(self, path: str) -> str:
        """Return another view of the same conversations: origin, outcome and time go along, a search does not."""
        return url(path, {name: self.given[name] for name in _KEPT if name in self.given})

    @property
    def is_filtered(self) -> bool:
        """Tell whether anything was chosen."""
        return bool(self.given.keys() - {"ordering"})

    @property
    def shows_development(self) -> bool:
        """Tell whether conversations of developers may be among those shown."""
        return "development" in self.environments


def read_asked(visit: Visit, default_range: str | None = None) -> Asked:
    """Read the parameters of a page; without a stretch of time it is `default_range`, or everything.

    Development is left out where there are production conversations in that time and no environment was chosen.

    Raises:
        Unreadable: a moment that is none.
    """
    given: dict[str, Value] = {name: visit.given[name] for name in NAMES if name in visit.given}
    for name in MULTIPLE:
        values = tuple(dict.fromkeys(storable(value) for value in visit.query.getlist(name) if value.strip()))
        if values:
            given[name] = values[:_MOST_VALUES]
    if default_range is not None and not given.keys() & set(_TIME):
        given["range"] = default_range
    filters = {
        name: AnyOf(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if name in KNOWN_FILTERS
    }
    begin, end = _stretch(visit, given)
    if begin is not None:
        filters["started_at_after"] = utc_text(begin)
    if end is not None:
        filters["started_at_before"] = utc_text(end)
    used = slugs_in_use(visit.service.database, visit.backend.agent_id)
    shown = _environments(visit, given, used, begin, end)
    filters.pop("environment", None)
    if set(shown) != set(used):
        filters["environment"] = AnyOf(shown)
    left_out = [slug for slug in used if slug not in shown and "environment" not in given]
    return Asked(given, filters, begin, end, shown, left_out)


def _environments(
    visit: Visit, given: Mapping[str, Value], used: Sequence[str], begin: datetime | None, end: datetime | None
) -> Sequence[str]:
    chosen = given.get("environment")
    if chosen is not None:
        return used if EVERYTHING in chosen else tuple(chosen)
    if {"production", "development"} <= set(used):
        bounds = [None if moment is None else us_from_datetime(moment) for moment in (begin, end)]
        if is_in_use(visit.service.database, visit.backend.agent_id, "production", *bounds):
            return [slug for slug in used if slug != "development"]
    return used


def _stretch(visit: Visit, given: Mapping[str, Value]) -> tuple[datetime | None, datetime | None]:
    if "from" in given or "to" in given:
        return _moment(visit, given, "from"), _moment(visit, given, "to")
    days = RANGES.get(str(given.get("range", "")))
    return (None if days is None else datetime.now(timezone.utc) - timedelta(days=days)), None


def _moment(visit: Visit, given: Mapping[str, Value], name: str) -> datetime | None:
    """Read a moment; without an offset it is the reader's, and a day alone means all of it."""
    text = given.get(name)
    if not isinstance(text, str):
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
        raise Unreadable(visit.texts.t("bad_date", value=visible(text[:40]))) from error


def utc_text(moment: datetime) -> str:
    """Return a moment as addresses carry it."""
    return iso_from_us(us_from_datetime(moment))
