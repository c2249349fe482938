"""Order of arrival: whatever comes late, early or twice, the same is stored."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentsight_auto.events import (
    Action,
    AnyEvent,
    AttachmentRef,
    Attachments,
    Button,
    ConversationEnded,
    ConversationStarted,
    Feedback,
    Message,
    TokenUsage,
)
from agentsight_auto.store import known_at
from agentsight_auto.store.conversation_state import FIELDS
from agentsight_auto.store.database import Database
from agentsight_auto.store.ingest import ingest

from .material import T0_US, conversation, everything, new_id

_agents = (f"agent {n}" for n in itertools.count())
_word = st.sampled_from(["a", "b", "c"])
_maybe = st.none() | _word
_metadata = st.none() | st.dictionaries(_word, _word | st.dictionaries(_word, st.integers(), max_size=2), max_size=3)
_files = st.lists(
    st.builds(AttachmentRef, st.just("0" * 64), st.integers(0, 9), _word, st.just("image/png")), max_size=2
)

_KINDS = [
    st.fixed_dictionaries(
        {
            "type": st.just(ConversationStarted),
            **dict.fromkeys(("customer_id", "customer_ip_address", "device", "source", "language", "name"), _maybe),
            "environment": st.sampled_from([None, "prod", "development", "staging"]),
            "metadata": _metadata,
            "is_used": st.booleans(),
        }
    ),
    st.fixed_dictionaries({"type": st.just(ConversationEnded), "error": _maybe}),
    st.fixed_dictionaries(
        {
            "type": st.just(Message),
            "sender": st.sampled_from(["end_user", "agent", "system"]),
            "content": _word,
            "metadata": _metadata,
            "attachments": _files,
        }
    ),
    st.fixed_dictionaries({"type": st.just(Action), "action_name": _word, "response": _metadata}),
    st.fixed_dictionaries({"type": st.just(Button), "button_event": _word, "label": _word, "value": _word}),
    st.fixed_dictionaries({"type": st.just(Attachments), "sender": st.just("agent"), "attachments": _files}),
    st.fixed_dictionaries({"type": st.just(TokenUsage), "prompt_tokens": st.integers(0, 9)}),
    st.fixed_dictionaries({"type": st.just(Feedback), "sentiment": st.sampled_from(["positive", "negative"])}),
]


@st.composite
def histories(draw: st.DrawFn) -> list[AnyEvent]:
    """Draw events of two conversations, each captured at a moment of its own."""
    events: list[AnyEvent] = []
    for position, fields in enumerate(draw(st.lists(st.one_of(_KINDS), min_size=1, max_size=12))):
        kind = fields.pop("type")
        at_us = T0_US + position
        events.append(
            kind(id=new_id(at_us), conversation_id=draw(st.sampled_from(["c1", "c2"])), at_us=at_us, **fields)
        )
    return events


@settings(max_examples=120, deadline=None)
@given(data=st.data(), history=histories())
def test_any_order_and_any_repetition_stores_the_same(
    shared: Database, data: st.DataObject, history: list[AnyEvent]
) -> None:
    """A permutation with repeats, cut into batches anywhere, gives the rows that the order of capture gives."""
    straight, shuffled = next(_agents), next(_agents)
    ingest(shared, history, agent=straight)
    repeats = data.draw(st.lists(st.sampled_from(history), max_size=6))
    arriving = data.draw(st.permutations(history + repeats))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(arriving)), max_size=4)))
    for begin, end in itertools.pairwise([0, *cuts, len(arriving)]):
        answers = ingest(shared, arriving[begin:end], agent=shuffled)
        assert {answer.status for answer in answers} <= {"stored", "duplicate"}
    assert everything(shared, shuffled) == everything(shared, straight)


_names = st.sampled_from([*FIELDS, "error", "metadata", *(f"metadata.{word}" for word in "abc")])
_fields = st.fixed_dictionaries(dict.fromkeys(FIELDS, _maybe))


@given(known=st.dictionaries(_names, st.integers(-1, 3)), fields=_fields, metadata=_metadata, began=st.integers(0, 3))
def test_moments_are_read_back_as_they_were(
    known: dict[str, int], fields: dict[str, str | None], metadata: dict[str, Any] | None, began: int
) -> None:
    """Whatever is known of whatever has a value, the short form of `known_at` says the same; so does the long form."""
    short = known_at.encode(known, fields, metadata, began)
    assert known_at.decode(short, fields, metadata, began) == known
    assert known_at.encode(dict(reversed(known.items())), fields, metadata, began) == short
    assert known_at.decode(json.dumps(known), fields, metadata, began) == known


def test_what_is_known_of_one_moment_is_written_once() -> None:
    """What one event told, as a conversation began or later, takes one moment, and what nobody told is named."""
    fields = {**dict.fromkeys(FIELDS), "customer_id": "mia", "environment": "development"}
    known = dict.fromkeys(("customer_id", "environment", "metadata.plan"), T0_US)
    assert known_at.encode(known, fields, {"plan": "pro"}, T0_US) == "*"
    assert known_at.encode(known, fields, {"plan": "pro"}, T0_US - 1) == f'{{"*":{T0_US}}}'
    del known["environment"]
    assert known_at.encode(known, fields, {"plan": "pro"}, T0_US) == f'{{"*":{T0_US},"environment":null}}'


def test_a_conversation_that_began_earlier_knows_its_fields_from_the_same_moment(database: Database) -> None:
    """A message from before does not make older what was told later: an event in between still has its say."""
    ingest(database, [ConversationStarted(new_id(), "c1", T0_US + 9, customer_id="late", environment="prod")])
    ingest(database, [Message(new_id(), "c1", T0_US, "agent", "early")])
    ingest(database, [ConversationStarted(new_id(), "c1", T0_US + 5, customer_id="between")])
    assert conversation(database)["customer_id"] == "between"
