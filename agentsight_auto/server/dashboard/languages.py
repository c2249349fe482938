"""What pages say, in the reader's language and time zone.

In: keys, numbers, moments. Out: text. Loses: nothing; what a language lacks is said in English.
A language is one file of `locales`: ``<code>.json``, keys to texts; a text that depends on a number has one form per
plural category of the language. Numbers, dates and the direction of writing are Babel's (CLDR).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone, tzinfo
from functools import lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_skeleton, format_time
from babel.numbers import format_compact_decimal, format_currency, format_decimal, format_percent

from agentsight_auto._clock import parse_moment

FALLBACK = "en"
NO_VALUE = "\u2013"
_LONGEST_ZONE_NAME = 64
_DURATIONS = (("d", 86_400_000, "h", 3_600_000), ("h", 3_600_000, "min", 60_000), ("min", 60_000, "s", 1000))


@lru_cache(maxsize=1)
def catalogs() -> Mapping[str, Mapping[str, Any]]:
    """Return the texts by language."""
    folder = resources.files(__package__) / "locales"
    found = sorted(file.name for file in folder.iterdir() if file.name.endswith(".json"))
    return {name[:-5]: json.loads((folder / name).read_text("utf-8")) for name in found}


def choose_language(wanted: str | None, accepted: str) -> str:
    """Return the language that was chosen, or the first of ``Accept-Language`` that there is, or English."""
    if wanted is not None and wanted in catalogs():
        return wanted
    ranked = []
    for position, part in enumerate(accepted[:200].split(",")):
        tag, _, quality = part.strip().partition(";q=")
        try:
            ranked.append((-float(quality or 1), position, tag.partition("-")[0].lower()))
        except ValueError:
            continue
    return next((code for _, _, code in sorted(ranked) if code in catalogs()), FALLBACK)


def read_zone(name: str | None) -> tzinfo:
    """Return the time zone of this IANA name; UTC for one that is not known."""
    if not name or len(name) > _LONGEST_ZONE_NAME:
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return timezone.utc


class Texts:
    """One reader's language and time zone; moments are datetimes or the store's ISO 8601 text."""

    def __init__(self, language: str, zone: tzinfo) -> None:
        self.language = language
        self.zone = zone
        self._locale = Locale.parse(language)
        self._own = catalogs()[language]

    @property
    def direction(self) -> str:
        """``ltr`` or ``rtl``."""
        return self._locale.text_direction

    @property
    def zone_name(self) -> str:
        """The zone's IANA name."""
        return getattr(self.zone, "key", "UTC")

    def t(self, key: str, **values: Any) -> str:
        """Return a text with its values filled in."""
        text = self._own.get(key) or catalogs()[FALLBACK][key]
        return str(text).format_map(values) if values else str(text)

    def n(self, key: str, count: int, **values: Any) -> str:
        """Return a text in the form that suits `count`, which it calls ``{count}``."""
        forms = self._own.get(key) or catalogs()[FALLBACK][key]
        form = forms.get(self._locale.plural_form(count)) or forms["other"]
        return str(form).format_map({"count": self.number(count), **values})

    def own(self, key: str, english: str) -> str:
        """Return a text of this language, or the given English one where it has none."""
        return str(self._own.get(key) or english)

    def known(self, prefix: str, word: str | None) -> str:
        """Return the text for a word of the vocabulary, ``<prefix>_<word>``; the word itself where there is none."""
        text = self._own.get(f"{prefix}_{word}") or catalogs()[FALLBACK].get(f"{prefix}_{word}")
        return str(text) if text else str(word or "")

    # -- numbers -------------------------------------------------------------------------------------------------

    def number(self, value: float, digits: int = 1) -> str:
        """Write a number with at most so many digits after the point."""
        return str(format_decimal(round(value, digits), locale=self._locale))

    def compact(self, value: float) -> str:
        """Write a large number short: 12K."""
        if abs(value) < 10_000:
            return self.number(value, 1 if abs(value) < 100 else 0)
        short = str(format_compact_decimal(value, locale=self._locale, fraction_digits=1))
        return self.number(value, 0) if short.isdigit() else short  # not every language shortens thousands

    def percent(self, share: float, digits: int = 1) -> str:
        """Write a share from 0 to 1."""
        return str(
            format_percent(round(share, digits + 2), format=None, locale=self._locale, decimal_quantization=False)
        )

    def money(self, usd: float) -> str:
        """Write US dollars, small amounts with more digits."""
        digits = 2 if abs(usd) >= 1 or not usd else 4
        pattern = self._locale.currency_formats["standard"].pattern.replace("0.00", "0." + "0" * digits)
        return str(format_currency(usd, "USD", format=pattern, locale=self._locale, currency_digits=False))

    def size(self, size_bytes: int) -> str:
        """Write a size in the largest unit that fits."""
        value, unit = float(size_bytes), "B"
        for larger in ("KiB", "MiB", "GiB", "TiB"):
            if value < 1024:
                break
            value, unit = value / 1024, larger
        return f"{self.number(value)} {unit}"

    def duration(self, milliseconds: float | None) -> str:
        """Write a duration in one or two units that suit it."""
        if milliseconds is None:
            return NO_VALUE
        ms = max(float(milliseconds), 0.0)
        if ms < 1:
            return f"{self.number(ms * 1000, 0)} µs"
        if ms < 1000:
            return f"{self.number(ms, 1 if ms < 10 else 0)} ms"
        if ms < 60_000:
            return f"{self.number(ms / 1000, 1)} s"
        unit, length, minor, minor_ms = next(step for step in _DURATIONS if ms >= step[1])
        whole, rest = int(ms // length), int(ms % length // minor_ms)
        return f"{self.number(whole)} {unit}" + (f" {rest} {minor}" if rest and whole < 100 else "")

    def measure(self, unit: str, value: float | None) -> str:
        """Write a metric's value in its unit; a dash for one that there is not."""
        if value is None:
            return NO_VALUE
        writers: Mapping[str, Callable[[float], str]] = {
            "ratio": self.percent, "ms": self.duration, "usd": self.money,
        }  # fmt: skip
        return writers.get(unit, self.compact)(value)

    # -- moments -------------------------------------------------------------------------------------------------

    def local(self, moment: str | datetime) -> datetime:
        """Return a moment in the reader's zone."""
        return (parse_moment(moment) if isinstance(moment, str) else moment).astimezone(self.zone)

    def when(self, moment: str | datetime) -> str:
        """Write a moment as short as can be understood: the time if it is today, else the day too."""
        local, now = self.local(moment), datetime.now(self.zone)
        clock = str(format_time(local, "short", locale=self._locale, tzinfo=self.zone))
        if local.date() == now.date():
            return clock
        skeleton = "MMMd" if local.year == now.year else "yMMMd"
        return f"{format_skeleton(skeleton, local, tzinfo=self.zone, locale=self._locale)}, {clock}"

    def moment(self, moment: str | datetime) -> str:
        """Write a moment in full."""
        return str(format_datetime(self.local(moment), "medium", tzinfo=self.zone, locale=self._locale))

    def clock(self, moment: str | datetime) -> str:
        """Write the time with seconds."""
        return str(format_time(self.local(moment), "medium", locale=self._locale, tzinfo=self.zone))

    def day(self, moment: str | datetime, form: str = "full") -> str:
        """Write the day."""
        return str(format_date(self.local(moment).date(), form, locale=self._locale))

    def weekday(self, number: int) -> str:
        """Return the short name of a weekday; 0 is Monday."""
        return str(self._locale.days["stand-alone"]["abbreviated"][number])

    def country(self, code: str) -> str:
        """Return the name of a country of an ISO 3166 code."""
        return str(self._locale.territories.get(code, code))

    def language_name(self, code: str) -> str:
        """Return the name of a language in the reader's language; the code itself for what is no language."""
        try:
            return Locale.parse(code.replace("-", "_")).get_display_name(self._locale) or code
        except (ValueError, UnknownLocaleError, TypeError):
            return code


def own_names() -> list[tuple[str, str]]:
    """Return the languages that there are, each by its own name."""
    return [(code, (Locale.parse(code).get_display_name(code) or code).capitalize()) for code in catalogs()]
