from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsight_auto._clock import us_from_datetime
from agentsight_auto.enums import Environment, Sentiment
from agentsight_auto.events import ConversationStarted, Message
from agentsight_auto.exceptions import InvalidQueryException
from agentsight_auto.query import filters as filters_module
from agentsight_auto.query import members, parameters
from agentsight_auto.query.metadata_terms import MOST_TERMS, parse_metadata_terms

from .story import SECOND, START_US, Story


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Four conversations that differ in everything a filter can ask for; nothing in this module changes them."""
    story = Story(tmp_path_factory.mktemp("shop"))
    story.started(
        "Alpha", 0, name="Order 100% late", customer_id="anna_1", customer_ip_address="10.0.0.1", device="mobile",
        source="whatsapp", language="en", environment="production",
        metadata={"plan": "gold", "seats": 5, "vip": True, "note": "hello, world", "ratio": 2.0, "url": "http://a/b"},
    )  # fmt: skip
    story.human("Alpha", "Where is my ÄRGER order_1?")
    story.feedback("Alpha", "positive")
    story.feedback("Alpha", "negative", source="platform")
    story.started(
        "beta", SECOND, name="Refund", customer_id="ANNA%1", device="desktop", source="web", language="en-GB",
        environment="development", metadata={"plan": "Gold", "address": {"city": "Wien", "geo": {"lat": None}}},
    )  # fmt: skip
    story.action("beta", "Find_Order", SECOND)
    story.started("gamma", 2 * SECOND, is_used=False, metadata={"plan": {"gold": "x"}, "tags": ["a", "b"], "e": {}})
    story.started("delta", 3 * SECOND, customer_id="42", environment="staging", metadata={"seats": "5"})
    story.button("delta", "pick", "Straße 7", "7", 3 * SECOND)
    yield story
    story.database.close()


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, "delta gamma beta Alpha"),
        ({"name": None, "metadata": None}, "delta gamma beta Alpha"),
        ({"conversation_id": "Alpha"}, "Alpha"),
        ({"conversation_id": "alpha"}, ""),
        ({"customer_id": "anna_1"}, "Alpha"),
        ({"customer_id": "ANNA_1"}, ""),
        ({"customer_id": ""}, ""),
        ({"customer_id": 42}, "delta"),
        ({"customer_id__icontains": "anna"}, "beta Alpha"),
        ({"customer_id__icontains": "anna_"}, "Alpha"),
        ({"customer_id__icontains": "a%1"}, "beta"),
        ({"name": "REFUND"}, "beta"),
        ({"name": "100%"}, "Alpha"),
        ({"name": "r%d"}, ""),
        ({"device": "mobile"}, "Alpha"),
        ({"device": "Mobile"}, ""),
        ({"source": "web"}, "beta"),
        ({"language": "en"}, "Alpha"),
        ({"customer_ip_address": "10.0.0.1"}, "Alpha"),
        ({"environment": "production"}, "Alpha"),
        ({"environment": Environment.PRODUCTION}, "Alpha"),
        ({"env": " PROD "}, "Alpha"),
        ({"environment": "dev"}, "gamma beta"),
        ({"environment": "staging"}, "delta"),
        ({"environment": "dev", "env": "prod"}, ""),
        ({"has_messages": True}, "delta beta Alpha"),
        ({"has_messages": "false"}, "gamma"),
        ({"has_action": True}, "beta"),
        ({"has_action": 0}, "delta gamma Alpha"),
        ({"has_feedback": "Yes"}, "Alpha"),
        ({"has_feedback": False}, "delta gamma beta"),
        ({"message_contains": "ärger ORDER_1"}, "Alpha"),
        ({"message_contains": "action find"}, "beta"),
        ({"message_contains": "STRASSE"}, ""),
        ({"message_contains": "straẞe"}, "delta"),
        ({"action_name": "find_order"}, "beta"),
        ({"action_name": "find%order"}, ""),
        ({"action_name": "FIND"}, "beta"),
        ({"feedback_sentiment": "positive"}, "Alpha"),
        ({"feedback_sentiment": Sentiment.NEGATIVE}, "Alpha"),
        ({"feedback_sentiment": "positive", "feedback_source": "platform"}, ""),
        ({"feedback_sentiment": "negative", "feedback_source": "platform"}, "Alpha"),
        ({"feedback_source": "customer"}, "Alpha"),
        ({"is_marked": False}, "delta gamma beta Alpha"),
        ({"is_marked": True}, ""),
        ({"search": "order"}, "beta Alpha"),
        ({"search": "BET"}, "beta"),
        ({"search": "anna"}, "beta Alpha"),
        ({"search": "straße"}, "delta"),
        ({"metadata": "plan:gold"}, "Alpha"),
        ({"metadata": "plan:Gold"}, "beta"),
        ({"metadata": " plan : gold"}, "Alpha"),
        ({"metadata": "seats:5"}, "delta Alpha"),
        ({"metadata": "seats:5.0"}, "delta Alpha"),
        ({"metadata": "ratio:2"}, "Alpha"),
        ({"metadata": "ratio:2.00"}, "Alpha"),
        ({"metadata": "vip:true"}, "Alpha"),
        ({"metadata": "address.geo.lat:null"}, "beta"),
        ({"metadata": "address.city:Wien,plan:Gold"}, "beta"),
        ({"metadata": "address.city:Wien,plan:gold"}, ""),
        ({"metadata": "note:hello, world"}, "Alpha"),
        ({"metadata": "note:hello, world,plan:gold"}, "Alpha"),
        ({"metadata": "url:http://a/b"}, "Alpha"),
        ({"metadata": "plan.gold:x"}, "gamma"),
        ({"metadata": 'tags:["a","b"]'}, "gamma"),
        ({"metadata_key": "plan"}, "gamma beta Alpha"),
        ({"metadata_key": "address"}, "beta"),
        ({"metadata_key": "address.c"}, ""),
        ({"metadata_key": "e"}, "gamma"),
        ({"metadata_key": "plan", "metadata_value": "gold"}, "Alpha"),
        ({"metadata_key": "seats", "metadata_value": 5}, "delta Alpha"),
        ({"ordering": "started_at"}, "Alpha beta gamma delta"),
        ({"ordering": "-id"}, "delta gamma beta Alpha"),
        ({"ordering": "customer_id"}, "delta beta Alpha gamma"),
        ({"ordering": "-customer_id"}, "Alpha beta delta gamma"),
        ({"ordering": "language"}, "Alpha beta gamma delta"),
        ({"ordering": "is_marked", "has_messages": True}, "Alpha beta delta"),
    ],
)
def test_a_filter_finds_what_it_says(shop: Story, filters: dict[str, Any], found: str) -> None:
    """Exact filters compare as they are, parts whatever their case, and several filters must all match."""
    assert shop.ids(**filters) == found.split()


def moment(seconds: float) -> datetime:
    """Return the moment so many seconds after the story began."""
    return datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)


def test_time_bounds_are_inclusive(shop: Story) -> None:
    """A conversation that started at the bound itself is found; times may be text with any offset."""
    assert shop.ids(started_at_after=moment(1), started_at_before=moment(2)) == ["gamma", "beta"]
    assert shop.ids(started_at_after=moment(2.000001)) == ["delta"]
    assert shop.ids(started_at_before="2026-01-01T01:00:01+01:00") == ["beta", "Alpha"]
    assert shop.ids(started_at_before="2026-01-01T00:00:00Z") == ["Alpha"]
    assert shop.ids(started_at_after=moment(3), started_at_before=moment(0)) == []


def test_a_time_without_an_offset_is_local_and_a_date_its_midnight(story: Story) -> None:
    """Text, datetime and date without an offset all mean the clock on this machine's wall."""
    midnight = us_from_datetime(datetime(2026, 5, 1).astimezone())
    for number, at_us in enumerate((midnight - 1, midnight, midnight + 1)):
        story.started(f"c{number}", at_us - START_US)
    for bound in ("2026-05-01", date(2026, 5, 1), datetime(2026, 5, 1), "2026-05-01T00:00:00"):
        assert story.ids(started_at_after=bound) == ["c2", "c1"]
        assert story.ids(started_at_before=bound) == ["c1", "c0"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("has_messages", "maybe"), ("has_feedback", 2), ("has_action", ""), ("is_marked", object()),
        ("include_deleted", "ja"), ("started_at_after", "yesterday"), ("started_at_after", "0000-00-00"),
        ("started_at_before", "99999-01-01"), ("started_at_before", 1767225600), ("started_at_after", ""),
        ("started_at_after", "2026-02-30"), ("feedback_sentiment", "happy"), ("feedback_source", "robot"),
        ("feedback_sentiment", 1), ("environment", "no such!"), ("env", ""), ("environment", 3),
        ("metadata", "plan"), ("metadata", ""), ("metadata", ":x"), ("metadata", {"plan": "gold"}),
        ("metadata_value", "x"), ("ordering", "name; DROP TABLE"), ("ordering", "--id"), ("ordering", ""),
        ("name", ["x"]), ("customer_id", 1.5), pytest.param("customer_id", 10**5000, id="huge"),
        ("search", b"x"), ("device", True),
        ("metadata", ",".join(f"k{n}:v" for n in range(MOST_TERMS + 1))),
    ],
)  # fmt: skip
def test_an_unreadable_value_names_the_parameter_the_value_and_what_is_accepted(
    shop: Story, name: str, value: object
) -> None:
    """The error has status 400 and a short message, however large the value is."""
    with pytest.raises(InvalidQueryException) as caught:
        shop.ids(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert "Give " in message
    assert len(message) < 400
    assert caught.value.status_code == 400
    assert caught.value.response_data == {name: [message]}
    if isinstance(value, str):
        assert value[:20] in message


def test_deleted_conversations_are_hidden_unless_asked_for(story: Story) -> None:
    """A soft-deleted conversation is out of lists, and still there for include_deleted and for its id."""
    story.started("kept", 0)
    story.started("gone", 1)
    story.backend.delete_conversation("gone")
    assert story.ids() == story.ids(include_deleted="false") == ["kept"]
    assert story.ids(include_deleted=True) == ["gone", "kept"]
    assert story.backend.fetch_conversation("gone")["is_deleted"] is True


def test_marked_conversations_are_found(story: Story) -> None:
    """is_marked tells the marked from the others."""
    story.started("marked", 0)
    story.started("plain", 1)
    story.backend.mark_conversation("marked", True)
    assert story.ids(is_marked="true") == ["marked"]
    assert story.ids(is_marked=False) == ["plain"]


def test_an_unknown_filter_warns_once_and_is_ignored(shop: Story, caplog: pytest.LogCaptureFixture) -> None:
    """The warning names the nearest known filter; the second time there is none."""
    filters_module._warned.clear()
    with caplog.at_level(logging.WARNING, "agentsight_auto.query"):
        for _ in range(2):
            assert len(shop.ids(mesage_contains="x", zzz=object())) == 4
    warnings = sorted(record.getMessage() for record in caplog.records)
    assert len(warnings) == 2
    assert "'mesage_contains'" in warnings[0]
    assert "did you mean 'message_contains'?" in warnings[0]
    assert "'zzz'" in warnings[1]
    assert caplog.records[0].name == "agentsight_auto.query"


# -- the metadata filter's grammar ---------------------------------------------------------------------------------

keys = st.text(st.characters(exclude_characters=",:", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
plain_values = st.text(st.characters(exclude_characters=":", exclude_categories=["Cs", "Cc"]), max_size=12)


@given(st.lists(st.tuples(keys.filter(str.strip), plain_values), min_size=1, max_size=MOST_TERMS))
def test_terms_are_read_back_as_they_were_written(pairs: list[tuple[str, str]]) -> None:
    """Whatever the values without a colon hold, commas included, the terms come back in order."""
    text = ",".join(f"{key}:{value}" for key, value in pairs)
    assert parse_metadata_terms(text) == [(key.strip(), value) for key, value in pairs]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text leads to another error than the documented one, and no character of an accepted one is lost."""
    try:
        terms = parse_metadata_terms(text)
    except InvalidQueryException:
        return
    assert all(path and path == path.strip() for path, _ in terms)
    written = ",".join(f"{path}:{value}" for path, value in terms)
    assert "".join(written.split()) == "".join(parameters.storable(text).split())


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Give a store that the random examples of this module share; each marks its own rows."""
    story = Story(tmp_path_factory.mktemp("parts"))
    yield story
    story.database.close()


texts = ["", "2", "2.0", "true", "null", "a", "A", "a,b", "a, b:c", "%", "0.50"]
numbers = st.integers(-3, 3) | st.sampled_from([0.5, 2.0, -1.0])
scalars = st.none() | st.booleans() | numbers | st.sampled_from(texts)
documents = st.dictionaries(
    st.sampled_from("xyz"), scalars | st.dictionaries(st.sampled_from("xyz"), scalars, max_size=2), max_size=3
)
asked_paths = st.sampled_from(["x", "y", "z", "x.y", "y.x", "z.z", "w"])
asked_values = st.sampled_from(
    ["", "2", "2.0", "2.5", "0.5", "-1", "true", "null", "a", "A", "a,b", "%", "TRUE", "5e-1"]
)


def leaves(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give each value of a document with its dotted path."""
    for key, value in document.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def matches(value: Any, text: str) -> bool:
    """Say what a metadata filter promises of one value: its text, or the typed form of the filter's text, is equal."""
    typed = {"true": True, "false": False, "null": None}
    if isinstance(value, str):
        return value == text or (_is_fraction(text) and value in {str(float(text)), f"{float(text):.0f}"})
    if value is None or isinstance(value, bool):
        return text in typed and typed[text] is value
    if isinstance(value, int | float):
        try:
            return float(text) == value
        except ValueError:
            return False
    return False


def _is_fraction(text: str) -> bool:
    return members._FRACTION.fullmatch(text) is not None and float(text).is_integer()


@settings(max_examples=60, deadline=None)
@given(
    written=st.lists(documents, min_size=1, max_size=5),
    asked=st.lists(st.tuples(asked_paths, asked_values), min_size=1, max_size=2),
)
def test_metadata_is_found_as_python_finds_it(
    empty: Story, written: list[dict[str, Any]], asked: list[tuple[str, str]]
) -> None:
    """Of random documents the filter finds those in which every term's path has the value."""
    run = empty.event_id()
    rows = {f"{run}-{number}": document for number, document in enumerate(written)}
    empty.store(
        *(
            ConversationStarted(empty.event_id(), key, START_US, device=run, metadata=document)
            for key, document in rows.items()
        )
    )
    expected = {
        key
        for key, document in rows.items()
        if all(any(p == path and matches(value, text) for p, value in leaves(document)) for path, text in asked)
    }
    assert set(empty.ids(device=run, metadata=",".join(f"{path}:{text}" for path, text in asked))) == expected


def test_many_and_few_are_found_alike(story: Story) -> None:
    """Whether a filter finds a handful or more than are looked up beforehand, several still have to match together."""
    for number in range(620):
        metadata = {"parity": number % 2, "plan": "gold" if number % 100 == 0 else "free", "any": True}
        started = ConversationStarted(story.event_id(), f"c{number}", START_US + number, metadata=metadata)
        story.store(started, Message(story.event_id(), f"c{number}", START_US, sender="agent", content=f"no {number}."))

    def found(**filters: Any) -> int:
        page = story.backend.fetch_conversations(filters=filters)
        assert page["count"] == story.backend.stats(filters)["conversations"]
        assert [row["conversation_id"] for row in page["results"]] == story.ids(**filters)[:10]
        return int(page["count"])

    assert story.backend.fetch_conversations(filters={"metadata": "any:true"})["count"] == 620
    assert found(metadata="any:true,plan:gold") == 7
    assert found(metadata="any:true,plan:gold,parity:1") == 0
    assert found(metadata="plan:gold", message_contains="NO 300.") == 1
    assert story.backend.fetch_conversations(filters={"message_contains": "no 1"})["count"] == 111
    assert story.backend.fetch_conversations(filters={"message_contains": "no "})["count"] == 620


# -- parts -------------------------------------------------------------------------------------------------------

tricky = st.text(st.sampled_from("aAäÄßẞ\u0131\u0130\u212ak%_\\'\"*[]é ,:\U0001f600"), max_size=6)


def holds(text: str | None, needle: str) -> bool:
    """Say what `contains` promises: ASCII parts fold ASCII letters, others fold as Unicode says."""
    if text is None:
        return False
    if needle.isascii():
        return _ascii_lower(needle) in _ascii_lower(text)
    return needle.casefold() in text.casefold()


def _ascii_lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.tuples(tricky, tricky, tricky), min_size=1, max_size=6), needle=tricky)
def test_parts_are_found_as_python_finds_them(empty: Story, texts: list[tuple[str, str, str]], needle: str) -> None:
    """Of random texts with wildcards, quotes and odd letters a filter finds those that a Python predicate finds."""
    run = empty.event_id()
    rows = {f"{run}-{number}": fields for number, fields in enumerate(texts)}
    events: list[Any] = []
    for number, (key, (name, customer, said)) in enumerate(rows.items()):
        started = ConversationStarted(
            empty.event_id(), key, START_US + number, name=name, customer_id=customer, device=run
        )
        events += [started, Message(empty.event_id(), key, START_US + number, sender="agent", content=said)]
    empty.store(*events)

    def found(**filters: Any) -> set[str]:
        return set(empty.ids(device=run, **filters))

    assert found(name=needle) == {key for key, row in rows.items() if holds(row[0], needle)}
    assert found(customer_id__icontains=needle) == {key for key, row in rows.items() if holds(row[1], needle)}
    assert found(message_contains=needle) == {key for key, row in rows.items() if holds(row[2], needle)}
    assert found(customer_id=needle) == {key for key, row in rows.items() if row[1] == needle}
    assert found(search=needle) == {
        key for key, row in rows.items() if any(holds(field, needle) for field in (*row, key))
    }


@pytest.mark.parametrize("length", [199, 200, 201, 49_998, 60_000])
@pytest.mark.parametrize("letter", ["x", "%", "ä"])
def test_a_huge_part_is_found_where_it_is(empty: Story, length: int, letter: str) -> None:
    """Needles beyond what SQLite's LIKE takes are looked for all the same."""
    key = empty.event_id()
    empty.human(key, f"<{letter * length}>")
    assert key in empty.ids(message_contains="<" + letter.upper() * length)
    assert key not in empty.ids(message_contains=letter * length + "!")


def test_path_and_value_of_metadata_are_no_sql(shop: Story) -> None:
    """Quotes and JSON-path signs in keys and values are looked for as they are."""
    for text in ("a'b:c", '$."plan":gold', "plan:' OR 1=1 --", "plan:g%", "pla_:gold", "plan:\0"):
        assert shop.ids(metadata=text) == []
