"""Event ids: unique, sorted by time and order, and the same again where they are derived."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from agentsight_auto._ids import IdSource, derived_id

NOW_US = 1_795_249_800_000_000
moments = st.integers(0, 2**48 * 1000 - 1)


def assert_layout(event_id: str, at_us: int) -> None:
    """Read the id as a UUID and compare its parts."""
    parsed = uuid.UUID(event_id)
    assert len(event_id) == 32
    assert event_id == event_id.lower()
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert int(event_id[:12], 16) == at_us // 1000


@given(moments)
def test_ids_have_the_layout_of_uuid_7(at_us: int) -> None:
    """Version, variant and the 48 bits of milliseconds stand where RFC 9562 puts them."""
    assert_layout(IdSource().next(at_us), at_us)


@given(st.lists(st.integers(0, 5_000), min_size=2, max_size=50))
def test_ids_sort_in_the_order_they_were_made(steps: list[int]) -> None:
    """Also within one millisecond, as long as the time does not go back, the ids rise."""
    source, at_us, made = IdSource(), NOW_US, []
    for step in steps:
        at_us += step
        made.append(source.next(at_us))
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_two_sources_do_not_share_ids() -> None:
    """Two processes that make ids in the same microsecond make different ones."""
    left, right = IdSource(), IdSource()
    assert {left.next(NOW_US) for _ in range(1000)}.isdisjoint({right.next(NOW_US) for _ in range(1000)})


def test_a_renewed_source_makes_other_ids() -> None:
    """After a fork the child takes a new random part, so that it does not repeat its parent's ids."""
    source = IdSource()
    before = [source.next(NOW_US) for _ in range(100)]
    source.renew()
    after = [source.next(NOW_US) for _ in range(100)]
    assert set(before).isdisjoint(after)
    for event_id in after:
        assert_layout(event_id, NOW_US)


@given(moments, st.lists(st.text(), min_size=1, max_size=4))
def test_derived_ids_repeat_and_keep_the_layout(at_us: int, parts: list[str]) -> None:
    """The same moment and parts give the same id, lone surrogates included."""
    assert derived_id(at_us, *parts) == derived_id(at_us, *parts)
    assert_layout(derived_id(at_us, *parts, "\ud800"), at_us)


def test_derived_ids_differ_with_each_part_and_moment() -> None:
    """Another part, another order of the parts or another millisecond is another event."""
    ids = {
        derived_id(NOW_US, "a", "b"), derived_id(NOW_US, "b", "a"), derived_id(NOW_US, "ab"), derived_id(NOW_US, "a"),
        derived_id(NOW_US, "a", ""), derived_id(NOW_US + 1000, "a", "b"),
    }  # fmt: skip
    assert len(ids) == 6


def test_derived_ids_of_moments_before_1970_are_valid() -> None:
    """A moment that has no place in the layout counts as 1970."""
    assert_layout(derived_id(-5, "a"), 0)
