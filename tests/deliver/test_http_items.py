from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentsight_auto import _guard
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.http import HttpDestination
from agentsight_auto.deliver.recent import Replies
from agentsight_auto.events import Answer, AnyEvent, AttachmentRef, Attachments, ConversationStarted
from agentsight_auto.store.attachments import AttachmentFolder
from tests.faultserver import KEY, Asked, Fault, FaultServer, fault_server

from .conftest import MakePipeline
from .http_support import destination_to, message, messages, one_of_each, stamp, store
from .support import eventually, make_lines, run_child, start_child


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server of the documented 0.0.44 generation, without /api/me/ and batch route, that knows ``chat-1``."""
    with fault_server(None) as running:
        running.conversations["chat-1"] = 1
        yield running


@pytest.fixture
def remote(server: FaultServer, tmp_path: Path) -> Iterator[HttpDestination]:
    """A destination to that server."""
    made = destination_to(server, tmp_path)
    yield made
    made.close()


@pytest.fixture
def attachments(tmp_path: Path) -> AttachmentFolder:
    """The folder of the destination's attachments."""
    return AttachmentFolder(tmp_path)


def statuses(remote: HttpDestination, events: list[AnyEvent]) -> list[str]:
    return [answer.status for answer in remote.deliver(events)]


def test_every_kind_takes_its_documented_route_in_order(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder
) -> None:
    """One request per event, attachments of a message right after it, and none for the end of a block."""
    events = one_of_each(store(attachments, b"first", b"second"))
    assert statuses(remote, events) == ["stored"] * 8
    assert server.paths() == [
        "GET /api/me/",
        "POST /api/conversations/",
        "POST /api/track/",
        "POST /api/attachments/",
        "POST /api/action_logs/",
        "POST /api/buttons/",
        "POST /api/attachments/",
        "POST /api/action_logs/",
        "POST /api/conversation-feedbacks/",
    ]


def test_payloads_are_the_documented_ones(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder
) -> None:
    """Names, nulls, the conversation's integer id, whole milliseconds, text responses and summed token usage."""
    remote.deliver(one_of_each(store(attachments, b"first", b"second")))
    by_route = {route: item for route, item in server.items if route != "attachments"}
    times = [
        item.pop("timestamp") for route, item in server.items if route not in {"attachments", "conversation-feedbacks"}
    ]
    assert times == sorted(times)
    assert all(time.endswith("Z") for time in times)
    assert by_route["conversations"] == {
        "conversation_id": "chat-1", "customer_id": "mia", "customer_ip_address": None, "device": None, "source": None,
        "language": None, "name": None, "environment": "production", "metadata": {"plan": "gold"}, "is_used": True,
    }  # fmt: skip
    common = {"conversation_id": "chat-1", "conversation": 1}
    assert by_route["track"] == {**common, "content": "Where is it?", "sender": "end_user", "metadata": {"n": 1}}
    assert by_route["buttons"] == {**common, "button_event": "pressed", "label": "Yes", "value": "yes", "metadata": {}}
    assert by_route["conversation-feedbacks"] == {
        "conversation_id": "chat-1", "sentiment": "positive", "comment": "thanks", "metadata": {},
    }  # fmt: skip
    action, usage = server.sent("action_logs")
    assert action == {
        **common,
        "action_name": "find_order",
        "started_at": "2023-11-14T22:13:20.000000Z",
        "ended_at": "2023-11-14T22:13:21.000000Z",
        "duration_ms": 1001,
        "tools_used": {"function": "find_order"},
        "response": '{"status":"sent"}',
        "error_msg": "late",
        "metadata": {"a": 1},
    }
    counters = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "embedding_tokens": 2, "delta": True}
    assert usage == {**common, "action_name": "token_usage", "metadata": counters}


def test_attachments_travel_as_the_documented_form(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder
) -> None:
    """Those of a message name its id, those of a conversation do not; each is a part with name and media type."""
    remote.deliver(one_of_each(store(attachments, b"first", b"second")))
    linked, standalone = server.sent("attachments")
    assert {name: part[2].decode() for name, part in linked.items() if name not in {"timestamp", "attachment_0"}} == {
        "conversation": "1", "sender": "end_user", "mode": "form_data", "metadata": "{}", "message": "1002",
    }  # fmt: skip
    assert linked["attachment_0"] == ("file-0.txt", "text/plain", b"first")
    assert "message" not in standalone
    assert standalone["sender"][2] == b"agent"
    assert json.loads(standalone["metadata"][2]) == {"kind": "invoice"}
    assert standalone["attachment_1"] == ("file-1.txt", "text/plain", b"second")


def test_a_conversation_that_is_not_known_here_is_looked_up_once(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder
) -> None:
    """A process that goes on with another one's conversation asks for its integer id, and only once."""
    server.conversations["chat-1"] = 77
    remote.deliver([message(), message(), Attachments(*stamp(), "agent", store(attachments, b"x"))])
    assert [item["conversation"] for item in server.sent("track")] == [77, 77]
    assert server.sent("attachments")[0]["conversation"][2] == b"77"
    assert server.paths()[1:] == [
        "GET /api/conversations/lookup/", "POST /api/track/", "POST /api/track/", "POST /api/attachments/",
    ]  # fmt: skip


def test_a_conversation_that_nobody_knows_is_opened(server: FaultServer, remote: HttpDestination) -> None:
    """Where the lookup finds nothing, the documented get-or-create opens it, as the embedded store does by itself."""
    remote.deliver([message(conversation_id="new"), message(conversation_id="new")])
    (opened,) = server.sent("conversations")
    assert (opened["conversation_id"], opened["environment"], opened["customer_id"]) == ("new", "development", None)
    assert [item["conversation"] for item in server.sent("track")] == [2, 2]


def test_a_conversation_that_cannot_be_opened_is_named_by_its_text_id(
    server: FaultServer, remote: HttpDestination
) -> None:
    """A refusal to open it does not take the message along."""
    server.behave(lambda asked: Fault("status", 400) if asked.path == "/api/conversations/" else None)
    assert statuses(remote, [message(conversation_id="new")]) == ["stored"]
    assert server.sent("track")[0]["conversation"] is None


def test_an_integer_id_that_is_not_right_any_more_is_asked_for_again(
    server: FaultServer, remote: HttpDestination
) -> None:
    """A 404 for an item with the remembered id leads to the same item with the id that is right now."""
    remote.deliver([ConversationStarted(*stamp())])
    server.conversations["chat-1"] = 5
    server.behave(
        lambda asked: (
            Fault("status", 404) if asked.path == "/api/track/" and asked.json()["conversation"] == 1 else None
        )
    )
    assert statuses(remote, messages(2)) == ["stored", "stored"]
    assert [item["conversation"] for item in server.sent("track")] == [5, 5]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_item_harms_only_itself(server: FaultServer, remote: HttpDestination, status: int) -> None:
    """The documented field errors become the reason; the items after it go on."""
    body = b'{"environment":["Unknown environment."],"name":["Too long.","Odd."]}'
    server.behave(lambda asked: Fault("status", status, body=body) if b"poison" in asked.body else None)
    first, second, third = remote.deliver([message(), message("poison"), message()])
    assert (first.status, third.status) == ("stored", "stored")
    assert second.reason == f"status {status}: environment: Unknown environment.; name: Too long., Odd."


def test_a_404_rejects_only_on_a_route_that_has_worked(server: FaultServer, remote: HttpDestination) -> None:
    """On an address that is no AgentSight API everything is kept; an item that an API does not know is rejected."""
    server.behave(Fault("status", 404))
    with pytest.raises(DeliveryError, match="AGENTSIGHT_API_ENDPOINT"):
        remote.deliver(messages(1))
    server.behave(lambda asked: Fault("status", 404) if b"poison" in asked.body else None)
    assert statuses(remote, [message(), message("poison"), message()]) == ["stored", "rejected", "stored"]
    server.behave(Fault("status", 404, body=b"<html>not here</html>", content_type="text/html"))
    with pytest.raises(DeliveryError):
        remote.deliver(messages(1))


@pytest.mark.parametrize("kind", ["html", "bad_json", "empty", "half", "reset"])
def test_an_answer_that_cannot_be_used_stops_the_batch_there(
    server: FaultServer, remote: HttpDestination, kind: str
) -> None:
    """What came before is told as answered; what comes after keeps its place."""
    told: list[Answer] = []
    remote.report_to(told.append)
    server.behave(lambda asked: Fault(kind) if b"bad day" in asked.body else None)
    batch = [message("one"), message("bad day"), message("three")]
    with pytest.raises(DeliveryError):
        remote.deliver(batch)
    assert [answer.event_id for answer in told] == [batch[0].id]
    assert not any(b"three" in asked.body for asked in server.asked)


def test_a_failed_upload_does_not_repeat_its_message(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder
) -> None:
    """While the process lives, a retry goes on with the attachments of a message that is stored already."""
    event = message("with file", attachments=store(attachments, b"x"))
    server.behave(lambda asked: Fault("status", 503) if asked.path == "/api/attachments/" else None, times=2)
    for _ in range(2):
        with pytest.raises(DeliveryError):
            remote.deliver([event])
    assert statuses(remote, [event]) == ["stored"]
    assert len(server.sent("track")) == 1
    assert server.sent("attachments")[0]["message"][2] == b"1001"


def test_a_message_is_stored_even_if_its_attachments_are_refused_or_gone(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder
) -> None:
    """The text counts as delivered and the bytes as lost: counted, once each."""
    before = _guard.failures["attachment not delivered"]
    server.behave(lambda asked: Fault("status", 413) if asked.path == "/api/attachments/" else None)
    gone = AttachmentRef("ab" * 32, 5, "gone.txt", "text/plain")
    kept = store(attachments, b"x")
    assert statuses(remote, [message(attachments=kept), message(attachments=[gone])]) == ["stored", "stored"]
    assert _guard.failures["attachment not delivered"] == before + 2


def test_attachments_that_are_gone_are_rejected_with_the_reason(server: FaultServer, remote: HttpDestination) -> None:
    """An event that is nothing but attachments cannot go without them."""
    gone = AttachmentRef("ab" * 32, 5, "gone.txt", "text/plain")
    (answer,) = remote.deliver([Attachments(*stamp(), "agent", [gone])])
    assert answer.status == "rejected"
    assert "disk" in (answer.reason or "")


def test_the_server_s_answers_are_kept_for_results(server: FaultServer, tmp_path: Path) -> None:
    """What the server said of each event can be asked for, without large contents."""
    replies = Replies()
    remote = HttpDestination(server.url, KEY, AttachmentFolder(tmp_path), replies=replies)
    opened, said = ConversationStarted(*stamp()), message()
    remote.deliver([opened, said])
    remote.close()
    assert replies.conversations.get("chat-1") == {"id": 1, "conversation_id": "chat-1"}
    assert replies.events.get(said.id) == {"id": 1002, "stored": "track"}
    replies.put(replies.events, "large", {"id": 5, "conversation": 1, "content": "x" * 100_000})
    assert replies.events.get("large") == {"id": 5, "conversation": 1}


def test_answers_before_a_failure_are_not_sent_again(
    server: FaultServer, remote: HttpDestination, make_pipeline: MakePipeline
) -> None:
    """A batch that fails in its middle goes on there at the next try."""
    pipeline = make_pipeline(remote)
    server.behave(lambda asked: Fault("status", 503) if len(server.items) == 7 else None, times=1)
    for line in make_lines(20):
        pipeline.append(line)
    assert eventually(lambda: pipeline.report().delivered == 7)
    assert pipeline.flush(10).delivered == 20
    assert len(server.items) == 20


def test_the_cursor_goes_with_its_segment(
    server: FaultServer, remote: HttpDestination, make_pipeline: MakePipeline, outbox: Path
) -> None:
    """While a segment waits, its cursor tells what was answered; afterwards neither is there."""
    pipeline = make_pipeline(remote)
    server.behave(lambda asked: Fault("status", 503) if len(server.items) == 3 else None)
    for line in make_lines(5):
        pipeline.append(line)
    pipeline.commit()
    assert eventually(lambda: [path.read_text().count("\n") for path in outbox.rglob("*.answered")] == [3])
    server.behave(None)
    assert pipeline.flush(10).is_complete
    assert list(outbox.rglob("*.answered")) == []
    pipeline.shutdown(2)
    assert [path.name for path in outbox.iterdir()] == []


HTTP_CHILD = """
from agentsight_auto.deliver.http import HttpDestination
from agentsight_auto.store.attachments import AttachmentFolder
from tests.faultserver import KEY

def over_http(endpoint, **options):
    files = AttachmentFolder(folder / "files")
    return pipeline(open_destination=lambda: HttpDestination(endpoint, KEY, files), **options)
"""


def test_kill_9_in_the_middle_of_items_repeats_at_most_one(server: FaultServer, tmp_path: Path) -> None:
    """Each next process goes on behind the last answer: nothing is lost, and nothing that was answered comes twice."""
    program = """
waiting = over_http({url!r})
for line in make_lines({count}):
    waiting.append(line)
waiting.commit()
time.sleep(60)
"""

    def kill_at(items: int, count: int) -> None:
        hanging: list[Asked] = []

        def hang(asked: Asked) -> Fault | None:
            if len(server.items) == items:
                hanging.append(asked)
            return Fault("hang") if hanging else None

        server.behave(hang)
        with start_child(tmp_path, HTTP_CHILD + program.format(url=server.url, count=count)) as child:
            assert eventually(lambda: hanging, 20)
            child.send_signal(signal.SIGKILL)

    kill_at(40, count=200)
    kill_at(90, count=1)
    server.behave(None)
    done = run_child(tmp_path, HTTP_CHILD + f"assert over_http({server.url!r}).flush(20).is_complete")
    assert done.returncode == 0, done.stderr.decode()
    moments = [item["timestamp"] for item in server.sent("track")]
    assert len(moments) == len(set(moments)) == 201
    assert list((tmp_path / "outbox").iterdir()) == []


def test_kill_9_after_the_server_has_stored_repeats_that_item_alone(server: FaultServer, tmp_path: Path) -> None:
    """An item whose answer was on its way is the one that is sent again."""
    program = f"""
waiting = over_http({server.url!r})
for line in make_lines(50):
    waiting.append(line)
waiting.commit()
time.sleep(60)
"""
    server.behave(lambda asked: Fault("trickle") if len(server.items) == 29 else None)
    with start_child(tmp_path, HTTP_CHILD + program) as child:
        assert server.wait_for(lambda: len(server.items) == 30, 20)
        child.send_signal(signal.SIGKILL)
    server.behave(None)
    done = run_child(tmp_path, HTTP_CHILD + f"assert over_http({server.url!r}).flush(20).is_complete")
    assert done.returncode == 0, done.stderr.decode()
    moments = [item["timestamp"] for item in server.sent("track")]
    assert len(set(moments)) == 50
    assert [moment for moment in moments if moments.count(moment) > 1] == [moments[29]] * 2


def test_a_cursor_whose_segment_is_gone_holds_no_folder(tmp_path: Path, make_pipeline: MakePipeline) -> None:
    """A process that died between removing the two leaves nothing behind for ever."""
    folder = tmp_path / "outbox" / "1-0123abcd"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "00000001.answered").write_text("0" * 32 + "\n")
    make_pipeline().flush(20)
    assert not folder.exists()
