from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsight_auto import events
from agentsight_auto.events import AnyEvent
from agentsight_auto.interchange.bounding import Limits

from .support import NOW_US, Place, place

S = 1_000_000


def event_id(number: int) -> str:
    """An event id that sorts by number."""
    return f"{number:032x}"


def everything(here: Place) -> None:
    """Tell of one conversation with everything that can be recorded, and of one that was only visited."""
    digest, size_bytes = here.attachments.write(b"a picture")
    picture = events.AttachmentRef(digest, size_bytes, "cat.png", "image/png")
    facts: list[tuple[type, dict[str, Any]]] = [
        (events.ConversationStarted, {"customer_id": "mia", "customer_ip_address": "81.2.69.142", "name": "Order"}),
        (
            events.ConversationStarted,
            {"device": "mobile", "environment": "production", "metadata": {"b": 1, "a": {"c": 2}}},
        ),
        (events.Message, {"sender": "end_user", "content": "Hi [bold]=1+1[/bold]\r\n\x1b", "metadata": {"n": 1}}),
        (
            events.Action,
            {"action_name": "outer", "duration_ms": 1.25, "started_at_us": 5, "ended_at_us": 6, "response": [1]},
        ),
        (events.Action, {"action_name": "inner", "parent_id": event_id(3), "error_msg": "ValueError: no"}),
        (events.Message, {"sender": "agent", "content": "See", "attachments": [picture]}),
        (events.Attachments, {"sender": "end_user", "attachments": [picture], "metadata": {"why": "proof"}}),
        (events.Button, {"button_event": "confirm", "label": "Yes", "value": "1", "metadata": {"x": 1}}),
        (events.TokenUsage, {"prompt_tokens": 5, "completion_tokens": 6, "metadata": {"model": "m"}}),
        (events.TokenUsage, {"embedding_tokens": 7}),
        (events.Feedback, {"sentiment": "positive", "source": "platform", "comment": "ok", "metadata": {"by": "eve"}}),
        (events.ConversationEnded, {"error": "ValueError: no"}),
    ]
    for number, (kind, fields) in enumerate(facts):
        here.tell(kind(event_id(number), "c1", NOW_US + number * S, **fields))
    here.tell(events.ConversationStarted(event_id(100), "visited", NOW_US, is_used=False))
    here.tell(events.ConversationStarted(event_id(101), "visited", NOW_US + S, is_used=False))
    here.tell(events.Message(event_id(102), "hidden", NOW_US + 2, "agent", "secret"))
    here.backend.mark_conversation("c1", True)
    here.backend.delete_conversation("hidden")


def test_an_export_is_imported_to_the_same(here: Place, there: Place) -> None:
    """Events with their ids, links, marks, deletions, flags and times: the copy's export is equal byte for byte."""
    everything(here)
    exported = here.export()
    report = there.load(exported)
    assert (report.new, report.bad_count) == (3, 0)
    assert there.export() == exported


def test_importing_twice_changes_nothing(here: Place, there: Place) -> None:
    """Neither in the copy nor in the store that the export came from."""
    everything(here)
    exported = here.export()
    for store in (there, there, here, here):
        store.load(exported)
        assert store.export() == exported


def test_a_prefix_makes_a_copy_beside_the_original(here: Place) -> None:
    """With events and links of its own, and the second time nothing."""
    everything(here)
    exported = here.export()
    report = here.load(exported, id_prefix="copy-")
    assert (report.new, report.known, report.bad_count) == (3, 0, 0)
    original, copy = (here.shape(name)["messages"] for name in ("c1", "copy-c1"))
    assert [message["content"] for message in original] == [message["content"] for message in copy]
    assert copy[2]["action_logs"][0]["parent_id"] == copy[1]["action_logs"][0]["id"]
    once = here.export()
    assert here.load(exported, id_prefix="copy-").bad_count == 0
    assert here.export() == once


def test_an_event_that_is_stored_elsewhere_is_told(here: Place) -> None:
    """An export whose conversation id was changed by hand does not vanish without a word."""
    here.tell(events.Message(event_id(1), "c1", NOW_US, "agent", "x"))
    report = here.load(here.export().replace(b'"c1"', b'"c2"'))
    assert "other content" in report.bad[0].reason


def test_attachments_travel_only_when_asked(here: Place, there: Place) -> None:
    """With their bytes the copy can open them; without it knows what they were."""
    everything(here)
    there.load(here.export())
    (shape,) = there.shape("c1")["messages"][3]["attachments"]
    assert (shape["filename"], shape["size_bytes"]) == ("cat.png", 9)
    path = there.attachments.path(json.loads(here.export().splitlines()[0])["messages"][3]["attachments"][0]["sha256"])
    assert not path.exists()
    there.load(here.export(with_bytes=True))
    assert path.read_bytes() == b"a picture"


def test_changed_attachment_bytes_are_refused(here: Place, there: Place) -> None:
    """What does not match its SHA-256 is a bad line, and nothing of the conversation is stored."""
    everything(here)
    report = there.load(here.export(with_bytes=True).replace(b"YSBwaWN0dXJl", b"YSBwaWN0dXJm"))
    assert "sha256" in report.bad[0].reason
    assert report.new == 2


def test_an_import_takes_no_mark_and_no_deletion_back(here: Place) -> None:
    """It adds what it tells of; what was marked or deleted since the export stays so."""
    here.tell(events.Message(event_id(1), "c1", NOW_US, "agent", "x"))
    exported = here.export()
    here.backend.mark_conversation("c1", True)
    here.backend.delete_conversation("c1")
    edited = here.export()
    here.load(exported)
    assert here.export() == edited


def test_an_edited_name_survives_an_import(here: Place) -> None:
    """Explicit edits win over what an older export says."""
    here.tell(events.ConversationStarted(event_id(1), "c1", NOW_US, name="old"))
    exported = here.export()
    here.backend.rename_conversation("c1", "new")
    here.load(exported)
    assert here.shape("c1")["name"] == "new"


def test_what_show_prints_can_be_imported(here: Place, there: Place) -> None:
    """The documented conversation has no event ids; actions still find their parents, and twice is once."""
    here.tell(
        events.Action(event_id(1), "c1", NOW_US, "outer"),
        events.Action(event_id(2), "c1", NOW_US, "inner", parent_id=event_id(1)),
        events.TokenUsage(event_id(3), "c1", NOW_US, 1, 2, 3),
    )
    shape = here.shape("c1")
    there.load_lines(shape)
    once = there.export()
    there.load_lines(shape)
    assert there.export() == once
    copied = there.shape("c1")
    outer, inner = (message["action_logs"][0] for message in copied["messages"])
    assert inner["parent_id"] == outer["id"]
    assert copied["token_usage"] == shape["token_usage"]


def test_values_at_the_limit_are_not_cut_again(here: Place, there: Place) -> None:
    """What was cut at capture is imported as it is, and not cut a second time."""
    long = Limits().value(["x" * 100] * 1000)
    assert long["truncated"]
    call = {"function": "f", "parameters": dict.fromkeys("abc", long)}
    here.tell(
        events.Action(event_id(1), "c1", NOW_US, "f", response=long, tools_used=call, metadata={"big": "y" * 16_000}),
        events.Message(event_id(2), "c1", NOW_US, "agent", Limits().text("z" * 1_000_000)),
    )
    there.load(here.export())
    assert there.export() == here.export()


def test_a_stranger_that_pretends_to_be_an_export_is_held_to_the_limits(there: Place) -> None:
    """A file may say anything: texts and values are bounded as live ones are."""
    message = {
        "sender": "agent",
        "content": "x" * 1_000_000,
        "timestamp": "2026-01-01T00:00:00Z",
        "metadata": {"a": "y" * 99_999},
    }
    report = there.load_lines({"agentsight_export": 1, "conversation_id": "c", "messages": [message]})
    assert report.bad_count == 0
    assert len(there.export()) < 300_000


def test_a_newer_export_is_refused(there: Place) -> None:
    """A format of a later version is not guessed at."""
    report = there.load_lines({"agentsight_export": 2, "conversation_id": "c", "messages": []})
    assert "upgrade" in report.bad[0].reason


alphabet = st.characters(exclude_characters="\0", exclude_categories=["Cs"])  # capture lets neither through
text = st.text(alphabet, max_size=20)
named_text = st.text(alphabet, min_size=1, max_size=20)
documents = st.none() | st.dictionaries(
    text.filter(lambda key: key), st.integers(-99, 99) | text | st.none(), max_size=3
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
moments = st.integers(NOW_US, NOW_US + 20)
shared = {
    "id": st.just(""),
    "conversation_id": st.sampled_from(["a", "b", "1"]),
    "at_us": moments,
    "metadata": documents,
}
told = st.one_of(
    st.builds(
        events.ConversationStarted,
        **shared,
        customer_id=st.none() | text,
        name=st.none() | text,
        environment=st.none() | st.sampled_from(["production", "development", "qa"]),
        is_used=st.booleans(),
    ),
    st.builds(
        events.ConversationEnded, id=shared["id"], conversation_id=shared["conversation_id"], at_us=moments,
        error=st.none() | text,
    ),
    st.builds(
        events.Message, **shared, sender=st.sampled_from(["end_user", "agent"]), content=named_text,
        attachments=st.just([]),
    ),
    st.builds(
        events.Action, **shared, action_name=named_text,
        duration_ms=st.none() | st.floats(0, 1e6),
        started_at_us=st.none() | moments, ended_at_us=st.none() | moments, tools_used=values, response=values,
        error_msg=st.none() | text, parent_id=st.none() | st.integers(0, 5).map(event_id),
    ),
    st.builds(events.Button, **shared, button_event=text, label=text, value=text),
    st.builds(
        events.TokenUsage, **shared, prompt_tokens=st.integers(0, 2**40), completion_tokens=st.integers(0, 2**40),
        total_tokens=st.integers(0, 2**40), embedding_tokens=st.integers(0, 2**40),
    ),
    st.builds(
        events.Feedback, **shared, sentiment=st.sampled_from(["positive", "neutral", "negative"]),
        source=st.sampled_from(["customer", "platform"]), comment=st.none() | text,
    ),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_export_is_read_or_refused(here: Place, there: Place, data: st.DataObject) -> None:
    """Whatever stands in one place of a line, and however often it comes, an import ends with a report."""
    if here.export() == b"":
        everything(here)
    line = next(line for line in map(json.loads, here.export().splitlines()) if line["conversation_id"] == "c1")
    target, key = line, data.draw(st.sampled_from(sorted(line)))
    while isinstance(target[key], dict | list) and target[key] and data.draw(st.booleans()):
        target = target[key]
        key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
    target[key] = data.draw(
        values | st.sampled_from(["a" * 32, "0" * 31 + "1", -1, 2**70, "9999-12-31T23:59:59Z", {}, []])
    )
    for _ in range(2):
        report = there.load_lines(line)
        assert report.new + report.extended + report.unchanged + report.bad_count >= 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(told, min_size=1, max_size=12))
def test_whatever_was_recorded_is_imported_to_the_same(recorded: list[AnyEvent]) -> None:
    """For any run of events, once and twice."""
    named = [msgspec.structs.replace(event, id=event_id(number)) for number, event in enumerate(recorded)]
    with (
        tempfile.TemporaryDirectory() as folder,
        place(Path(folder) / "here") as here,
        place(Path(folder) / "there") as there,
    ):
        here.tell(*named)
        exported = here.export()
        for store in (there, there, here):
            assert store.load(exported).bad == []
            assert store.export() == exported
