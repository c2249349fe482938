"""Erasure over HTTP: the same as on the machine itself, for the key's agent only."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto import ConversationManager, ConversationTracker

from .support import Served, ServeProcess, until

CANARY = "kestrel-7319"


def fill(served: Served, agent: str) -> Any:
    """Store a conversation with an attachment for an agent; return its client."""
    client = served.client(agent)
    client.open("c1", customer_id="mia", name=CANARY)
    data = base64.b64encode(f"{CANARY} {agent}".encode()).decode()
    client.say("c1", f"{CANARY} of {agent}")
    sent = {"conversation_id": "c1", "attachments": [{"filename": "a.txt", "data": data}]}
    assert client.post("/api/attachments/", sent).status_code == 201
    return client


def hits(folder: Path, canary: str) -> list[str]:
    """Return the files that hold the canary."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]


@pytest.mark.parametrize("subject", ["conversation_id", "conversation", "customer_id"])
def test_an_agent_erases_its_own_and_nobody_elses(served: Served, tmp_path: Path, subject: str) -> None:
    """By text id, integer id or customer; the other agent's rows and files of the same names stay."""
    shop, bank = fill(served, "shop"), fill(served, "bank")
    number = shop.get("/api/conversations/", conversation_id="c1").json()["results"][0]["id"]
    wanted = {"conversation_id": "c1", "conversation": number, "customer_id": "mia"}[subject]
    answer = shop.post("/api/erasures/", {subject: wanted})
    assert answer.status_code == 200, answer.text
    receipt = answer.json()
    assert (receipt["conversations"], receipt["attachments"]) == (1, 1)
    assert receipt["finished_at"] is not None
    assert receipt["conversation_ids"] == ["c1"]
    assert shop.get(f"/api/conversations/{number}/").status_code == 404
    assert hits(tmp_path, f"{CANARY} of shop") == hits(tmp_path, f"{CANARY} shop") == []
    assert hits(tmp_path, f"{CANARY} of bank")
    assert hits(tmp_path, f"{CANARY} bank")
    kept = shop.get("/api/erasures/").json()["results"]
    assert [row["id"] for row in kept] == [receipt["id"]]
    assert "conversation_ids" not in kept[0]
    assert shop.get(f"/api/erasures/{receipt['id']}/").json() == kept[0]
    assert bank.get(f"/api/erasures/{receipt['id']}/").status_code == 404


def test_only_a_key_that_may_write_may_erase(served: Served) -> None:
    """Read keys, no keys, and bodies that name nothing or two things."""
    client = fill(served, "shop")
    reader = served.client("shop", "read")
    assert reader.post("/api/erasures/", {"conversation_id": "c1"}).status_code == 403
    assert served.stranger().post("/api/erasures/", {"conversation_id": "c1"}).status_code == 401
    for body in ({}, {"conversation_id": "c1", "customer_id": "mia"}, {"conversation_id": ""}, {"customer_id": " "}):
        assert client.post("/api/erasures/", body).status_code == 400, body
    assert client.post("/api/erasures/", {"conversation": 999}).status_code == 404
    assert client.listed() == ["c1"]


def test_a_remote_client_erases_on_the_server_and_on_its_own_disk(tmp_path: Path) -> None:
    """Attachments that were sent lie on the client's disk too."""
    with ServeProcess(tmp_path / "server" / "agentsight.db") as server:
        settings = {"api_key": server.key, "endpoint": server.address, "home": tmp_path / "client"}
        tracker = ConversationTracker(**settings)
        tracker.get_or_create_conversation("c1", customer_id="mia")
        letter = {"filename": "a.txt", "data": f"letter of {CANARY}".encode()}
        tracker.track_human_message(f"I am {CANARY}", attachments=[letter], attachment_mode="form_data")
        tracker.send_tracked_data()
        assert hits(tmp_path / "server", CANARY)
        receipt = ConversationManager(**settings).erase_customer("mia")
        assert receipt["conversations"] == 1
        until(lambda: not hits(tmp_path, CANARY))


def test_retention_on_the_server_erases_by_itself(tmp_path: Path) -> None:
    """What ended before is gone some seconds after the start."""
    with Served(tmp_path) as served:
        client = served.client()
        client.open("old", started_at="2020-01-01T00:00:00Z")
        client.say("old", CANARY, timestamp="2020-01-01T00:00:00Z")
        client.say("new", "hello")
        with served.service.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE conversations SET started_at_us = 1, ended_at_us = 2 WHERE conversation_id = 'old'"
            )
        assert hits(tmp_path, CANARY)
    with Served(tmp_path, retention_days=30):
        until(lambda: not hits(tmp_path, CANARY), within_s=10)
