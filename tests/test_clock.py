"""Recorded time: it follows the wall clock forward, never back."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto._clock import Clock, iso_from_us, parse_moment, us_from_datetime

SECOND_NS = 1_000_000_000
START_NS = 1_795_249_800 * SECOND_NS
US_MAX = 253_402_300_799_999_999


class Hands:
    """The two clocks of a machine, moved by hand."""

    def __init__(self) -> None:
        self.wall_ns = START_NS
        self.monotonic_ns = 77 * SECOND_NS

    def clock(self) -> Clock:
        return Clock(wall_ns=lambda: self.wall_ns, monotonic_ns=lambda: self.monotonic_ns)

    def pass_time(self, nanoseconds: int) -> None:
        self.wall_ns += nanoseconds
        self.monotonic_ns += nanoseconds


def test_time_starts_at_the_wall_clock_and_runs_with_the_monotonic_one() -> None:
    """The first reading is the wall clock's; later ones add what the monotonic clock has run."""
    hands = Hands()
    clock = hands.clock()
    assert clock.now_us() == START_NS // 1000
    hands.pass_time(1_500)
    assert clock.now_us() == START_NS // 1000 + 1


def test_a_wall_clock_that_steps_back_is_ignored() -> None:
    """After a step back of an hour the recorded time goes on as if nothing had happened."""
    hands = Hands()
    clock = hands.clock()
    hands.wall_ns -= 3600 * SECOND_NS
    clock.reanchor()
    hands.pass_time(SECOND_NS)
    assert clock.now_us() == (START_NS + SECOND_NS) // 1000


@pytest.mark.parametrize(
    ("ahead_ns", "is_followed"), [(SECOND_NS, False), (SECOND_NS + 1, True), (9 * SECOND_NS, True)]
)
def test_a_wall_clock_more_than_a_second_ahead_is_followed(ahead_ns: int, is_followed: bool) -> None:
    """A laptop that slept is right again after the next re-anchoring; small drifts are left alone."""
    hands = Hands()
    clock = hands.clock()
    hands.wall_ns += ahead_ns
    clock.reanchor()
    assert clock.now_us() == (START_NS + (ahead_ns if is_followed else 0)) // 1000


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(-(10**12), 10**12)), max_size=40))
def test_time_never_goes_back(events: list[tuple[int, int]]) -> None:
    """However the wall clock is stepped between readings, each reading is at least the one before."""
    hands = Hands()
    clock = hands.clock()
    readings = [clock.now_us()]
    for elapsed_ns, step_ns in events:
        hands.pass_time(elapsed_ns)
        hands.wall_ns += step_ns
        clock.reanchor()
        readings.append(clock.now_us())
    assert readings == sorted(readings)


def test_the_real_clock_tells_the_time() -> None:
    """Without arguments the clock agrees with the system's to a second."""
    assert abs(Clock().now_us() - us_from_datetime(datetime.now(timezone.utc))) < 1_000_000


@given(st.integers(0, US_MAX))
def test_moments_survive_the_way_to_iso_text_and_back(at_us: int) -> None:
    """Microseconds, ISO text with Z and datetime are three forms of one moment."""
    text = iso_from_us(at_us)
    assert text.endswith("Z")
    assert len(text) == len("2026-11-21T08:30:00.000000Z")
    assert us_from_datetime(parse_moment(text)) == at_us


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_an_offset_is_taken_into_account(moment: datetime, minutes: int) -> None:
    """The same wall reading further east is an earlier moment."""
    shifted = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    utc = us_from_datetime(moment.replace(tzinfo=timezone.utc))
    assert us_from_datetime(shifted) == utc - minutes * 60_000_000
    assert us_from_datetime(parse_moment(shifted.isoformat())) == us_from_datetime(shifted)


@pytest.mark.parametrize("text", ["2026-11-21T08:30:00", "2026-11-21 08:30", "2026-11-21"])
def test_a_moment_without_offset_is_local_time(text: str) -> None:
    """Text and datetime without an offset mean this machine's zone; a date alone is its midnight."""
    local = datetime.fromisoformat(text)
    assert parse_moment(text) == local.astimezone()
    assert parse_moment(local) == local.astimezone()
    assert us_from_datetime(local) == us_from_datetime(local.astimezone())


@pytest.mark.parametrize("text", ["2026-11-21T08:30:00Z", " 2026-11-21T08:30:00z ", "2026-11-21T08:30:00+00:00"])
def test_utc_may_be_written_in_several_ways(text: str) -> None:
    """Z in either case and blanks around the text are read on every Python."""
    assert parse_moment(text) == datetime(2026, 11, 21, 8, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-11-21T25:00:00", "Z"])
def test_what_is_not_a_moment_is_an_error(text: str) -> None:
    """Unreadable text raises ValueError, as documented."""
    with pytest.raises(ValueError):
        parse_moment(text)
