from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentsight_auto import _guard
from agentsight_auto.deliver import http
from agentsight_auto.deliver.destination import DeliveryError
from agentsight_auto.deliver.http import HttpDestination
from agentsight_auto.events import AnyEvent, AttachmentRef
from agentsight_auto.store.attachments import AttachmentFolder
from tests.faultserver import Asked, Fault, FaultServer, fault_server

from .http_support import destination_to, message, messages, one_of_each, store


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that offers the batch route."""
    with fault_server() as running:
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


def statuses(remote: HttpDestination, events: list[AnyEvent]) -> dict[str, str]:
    return {answer.event_id: answer.status for answer in remote.deliver(events)}


def test_a_batch_is_one_request_on_one_connection(server: FaultServer, remote: HttpDestination) -> None:
    """Capabilities are asked for once, and each batch is one POST over the same connection."""
    for _ in range(3):
        batch = messages(20)
        assert statuses(remote, batch) == dict.fromkeys([event.id for event in batch], "stored")
    assert server.paths() == ["GET /api/me/"] + ["POST /api/events/"] * 3
    assert {asked.connection for asked in server.asked} == {1}
    assert len(server.events) == 60


def test_every_kind_of_event_arrives_as_it_was(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder
) -> None:
    """The events' own JSON travels, and the bytes they refer to lie there first."""
    events = one_of_each(store(attachments, b"first", b"second"))
    assert set(statuses(remote, events).values()) == {"stored"}
    assert [server.events[event.id]["kind"] for event in events] == [
        "conversation", "message", "action", "button", "attachments", "token_usage", "feedback", "conversation_end",
    ]  # fmt: skip
    assert sorted(server.files.values()) == [b"first", b"second"]
    assert server.paths()[-1] == "POST /api/events/"


def test_only_large_bodies_are_compressed_and_only_where_the_server_says_so(tmp_path: Path) -> None:
    """A body over 1 KiB is gzip where the capability is there; small ones and other servers get plain JSON."""
    for capabilities, sizes, expected in (
        (("events-batch", "gzip-ingest"), (1, 50), [False, True]),
        (("events-batch",), (1, 50), [False, False]),
    ):
        with fault_server(capabilities) as server:
            remote = destination_to(server, tmp_path)
            for size in sizes:
                remote.deliver(messages(size))
            remote.close()
            assert [asked.is_gzip for asked in server.asked[1:]] == expected
            assert len(server.events) == sum(sizes)


def test_a_server_that_refuses_gzip_gets_plain_json(server: FaultServer, remote: HttpDestination) -> None:
    """415 to a compressed body is answered by the same body uncompressed, from then on."""
    server.behave(lambda asked: Fault("status", 415) if asked.is_gzip else None)
    assert set(statuses(remote, messages(50)).values()) == {"stored"}
    assert set(statuses(remote, messages(50)).values()) == {"stored"}
    assert [asked.is_gzip for asked in server.asked[1:]] == [True, False, False]


def test_a_repeat_is_a_duplicate(server: FaultServer, remote: HttpDestination) -> None:
    """The same event twice is answered, and stored once."""
    batch = messages(2)
    remote.deliver(batch)
    assert set(statuses(remote, batch).values()) == {"duplicate"}
    assert len(server.events) == 2


def test_a_refused_event_harms_only_itself(server: FaultServer, remote: HttpDestination) -> None:
    """The server's reason comes back with the one event it refuses."""
    batch = [message("fine"), message("poison"), message("fine")]
    server.refuses = lambda event: "too odd" if event["content"] == "poison" else None
    answers = {answer.event_id: (answer.status, answer.reason) for answer in remote.deliver(batch)}
    assert answers == {
        batch[0].id: ("stored", None),
        batch[1].id: ("rejected", "too odd"),
        batch[2].id: ("stored", None),
    }


def test_events_the_server_is_silent_about_stay_unanswered(server: FaultServer, remote: HttpDestination) -> None:
    """Results that miss ids answer the others."""
    batch = messages(4)
    server.silent_about = lambda event: event["id"] == batch[2].id
    assert set(statuses(remote, batch)) == {batch[0].id, batch[1].id, batch[3].id}


def refuse_bodies(where: Callable[[Asked], bool], status: int) -> Callable[[Asked], Fault | None]:
    return lambda asked: Fault("status", status) if asked.path == "/api/events/" and where(asked) else None


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_poison_event_is_found_by_halving(server: FaultServer, remote: HttpDestination, status: int) -> None:
    """A batch that is refused because of one event is split until that one alone is rejected, with the reason."""
    batch = messages(64)
    poison = batch[37].id
    server.behave(refuse_bodies(lambda asked: poison.encode() in asked.content, status))
    answers = {answer.event_id: answer for answer in remote.deliver(batch)}
    assert answers[poison].status == "rejected"
    assert answers[poison].reason == f"status {status}: as the test asked"
    assert {answer.status for event_id, answer in answers.items() if event_id != poison} == {"stored"}
    assert len(server.paths()) == 1 + 13  # two requests for each of six halvings, and the first


def test_a_body_that_is_too_large_is_split(server: FaultServer, remote: HttpDestination) -> None:
    """413 leads to smaller bodies; nothing is rejected that fits alone."""
    server.behave(refuse_bodies(lambda asked: len(asked.json()["events"]) > 10, 413))
    batch = messages(64)
    assert set(statuses(remote, batch).values()) == {"stored"}
    assert [event["id"] for event in server.events.values()] == [event.id for event in batch]


@pytest.mark.parametrize("status", [406, 409, 426, 451])
def test_a_status_that_says_nothing_of_the_events_rejects_none(
    server: FaultServer, remote: HttpDestination, status: int
) -> None:
    """Other client errors to a batch keep the events."""
    server.behave(refuse_bodies(lambda asked: True, status))
    with pytest.raises(DeliveryError):
        remote.deliver(messages(3))


@pytest.mark.parametrize("kind", ["half", "bad_json", "empty", "html", "reset", "reset_after"])
def test_an_answer_that_cannot_be_used_keeps_the_events(
    server: FaultServer, remote: HttpDestination, kind: str
) -> None:
    """Whether the server has stored them or not, they come again, and are stored once."""
    server.behave(lambda asked: Fault(kind) if asked.path == "/api/events/" else None, times=1)
    batch = messages(5)
    with pytest.raises(DeliveryError):
        remote.deliver(batch)
    stored_already = kind in {"half", "bad_json", "empty", "reset_after"}
    assert set(statuses(remote, batch).values()) == {"duplicate" if stored_already else "stored"}
    assert len(server.events) == 5


@pytest.mark.parametrize("kind", ["html", "bad_json"])
def test_a_server_that_is_no_api_gets_no_events(server: FaultServer, remote: HttpDestination, kind: str) -> None:
    """A hotel's welcome page in place of /api/me/ is no success: nothing is sent on."""
    server.behave(Fault(kind))
    with pytest.raises(DeliveryError, match="not JSON"):
        remote.deliver(messages(1))
    assert server.paths() == ["GET /api/me/"]


def test_a_redirect_is_no_success_and_is_not_followed(server: FaultServer, remote: HttpDestination) -> None:
    """The key goes nowhere but to the endpoint, and the error names where it was sent."""
    with fault_server() as other:
        server.behave(Fault("status", 307, {"Location": f"{other.url}/api/events/"}))
        with pytest.raises(DeliveryError, match=f"redirects to {other.url}.*AGENTSIGHT_API_ENDPOINT"):
            remote.deliver(messages(1))
        assert other.asked == []


@pytest.mark.parametrize(("status", "words"), [(401, "not accepted"), (403, "may not write")])
def test_a_key_that_is_not_accepted_pauses_delivery(
    server: FaultServer, remote: HttpDestination, status: int, words: str
) -> None:
    """401 and 403 reject nothing: the next try is a minute later and the error says what to correct."""
    server.behave(Fault("status", status, body=b'{"detail":"Invalid API key."}'))
    with pytest.raises(DeliveryError, match=f"{words}.*Invalid API key.*AGENTSIGHT_API_KEY") as raised:
        remote.deliver(messages(1))
    assert raised.value.retry_after_s == 60
    assert len(server.asked) == 1


def test_the_key_is_in_no_error(server: FaultServer, remote: HttpDestination) -> None:
    """What is logged about a failure does not tell the key."""
    server.behave(Fault("status", 401))
    with pytest.raises(DeliveryError) as raised:
        remote.deliver(messages(1))
    assert "ags_" not in str(raised.value)


def test_capabilities_are_asked_for_again_after_five_minutes(
    server: FaultServer, remote: HttpDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that learns the batch route while the process runs is spoken to in batches then."""
    server.capabilities = None
    remote.deliver(messages(1))
    server.capabilities = ("events-batch",)
    remote.deliver(messages(1))
    assert "POST /api/events/" not in server.paths()
    monkeypatch.setattr(http, "_CAPABILITIES_S", 0.0)
    remote.deliver(messages(1))
    assert server.paths()[-2:] == ["GET /api/me/", "POST /api/events/"]


def test_a_batch_route_that_vanishes_gives_way_to_the_items(server: FaultServer, remote: HttpDestination) -> None:
    """After a 404 of the batch route the same events take the documented routes, at once."""
    remote.deliver(messages(1))
    server.capabilities = None
    server.conversations["chat-1"] = 1
    batch = messages(2)
    assert set(statuses(remote, batch).values()) == {"stored"}
    assert server.paths()[2:4] == ["POST /api/events/", "GET /api/me/"]
    assert server.paths()[-2:] == ["POST /api/track/", "POST /api/track/"]


def test_an_attachment_is_uploaded_once(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder
) -> None:
    """Two events that refer to the same bytes send them once; a retry of the batch does not send them again."""
    refs = store(attachments, b"the same")
    server.behave(lambda asked: Fault("status", 503) if asked.path == "/api/events/" else None, times=1)
    batch = [message(attachments=refs), message(attachments=refs)]
    with pytest.raises(DeliveryError):
        remote.deliver(batch)
    assert set(statuses(remote, batch).values()) == {"stored"}
    assert sum(path.startswith("PUT ") for path in server.paths()) == 1


def test_a_large_attachment_arrives_whole(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder
) -> None:
    """Several MiB stream from the disk with their length."""
    content = bytes(range(256)) * 20_000
    (ref,) = store(attachments, content)
    remote.deliver([message(attachments=[ref])])
    assert server.files == {ref.sha256: content}
    assert server.asked[1].headers["content-length"] == str(len(content))


@pytest.mark.parametrize("problem", ["missing", "refused"])
def test_an_event_goes_without_bytes_that_cannot_come(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder, problem: str
) -> None:
    """A file that is gone or refused is counted; the event that names it is stored."""
    before = _guard.failures["attachment not delivered"]
    if problem == "missing":
        ref = AttachmentRef("ab" * 32, 5, "gone.txt", "text/plain")
    else:
        (ref,) = store(attachments, b"unwelcome")
        server.behave(lambda asked: Fault("status", 413) if asked.method == "PUT" else None)
    assert set(statuses(remote, [message(attachments=[ref])]).values()) == {"stored"}
    assert _guard.failures["attachment not delivered"] == before + 1


def test_text_goes_on_while_the_server_has_no_space_for_files(
    server: FaultServer, remote: HttpDestination, attachments: AttachmentFolder
) -> None:
    """507 for a file leaves the event with the file waiting, and no other."""
    refs = store(attachments, b"large")
    server.behave(lambda asked: Fault("status", 507) if asked.method == "PUT" else None, times=1)
    with_file, text = message(attachments=refs), message("text")
    assert statuses(remote, [with_file, text]) == {text.id: "stored"}
    assert statuses(remote, [with_file]) == {with_file.id: "stored"}
    assert list(server.files.values()) == [b"large"]
