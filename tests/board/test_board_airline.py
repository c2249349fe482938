"""The numbers of 200 real conversations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsight_auto._clock import Clock
from agentsight_auto.interchange.bounding import Limits
from agentsight_auto.interchange.importing import Importer
from agentsight_auto.query.board import Board
from agentsight_auto.query.embedded import EmbeddedBackend
from agentsight_auto.query.lifecycle import Rules
from agentsight_auto.store.attachments import AttachmentFolder
from agentsight_auto.store.database import Database

DATA = Path(__file__).parents[3] / "shared" / "data" / "airline-support.jsonl"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"{DATA.name} is not beside the project")
HAND_OVER = "transfer_to_human_agents"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board over the imported conversations."""
    folder = tmp_path_factory.mktemp("airline")
    database, attachments = Database.open(folder / "store.db"), AttachmentFolder(folder / "attachments")
    with DATA.open("rb") as stream:
        limits = Limits(16 * 1024, 256 * 1024)
        report = Importer(database, attachments, limits=limits, now_us=Clock().now_us).run(stream)
    assert report.new == 200
    yield Board(EmbeddedBackend(database, attachments, rules=Rules(escalation_actions=(HAND_OVER,))))
    database.close()


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    """The file itself."""
    return [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]


def test_what_was_said_is_counted_as_the_file_has_it(board: Board) -> None:
    """2,870 messages: 1,490 of customers, 1,380 of the agent; 1,164 actions are none."""
    numbers = {metric["name"]: metric["value"] for metric in board.metrics({})["metrics"]}
    counted = [numbers[name] for name in ("conversations", "messages", "human_messages", "agent_messages")]
    assert counted == [200, 2870, 1490, 1380]
    assert (numbers["action_calls"], numbers["tokens"], numbers["cost_usd"]) == (1164, 0, 0)


def test_48_calls_are_48_conversations(board: Board, told: list[dict[str, Any]]) -> None:
    """Every hand-over is in a conversation of its own, and the rate, the list, the facet and the status agree."""
    calls = [
        conversation["id"]
        for conversation in told
        for message in conversation["messages"]
        for call in message.get("tool_calls") or ()
        if call["function"]["name"] == HAND_OVER
    ]
    assert (len(calls), len(set(calls))) == (48, 48)
    metrics = {metric["name"]: metric for metric in board.metrics({})["metrics"]}
    rate = metrics["escalation_rate"]
    assert (rate["numerator"], rate["denominator"], rate["value"]) == (48, 200, 0.24)
    listed = board.conversations(rate["filter"], page_size=100)
    assert {row["conversation_id"] for row in listed["results"]} == set(calls)
    assert listed["count"] == 48
    facets = {facet["name"]: {row["value"]: row["count"] for row in facet["values"]}
              for facet in board.facets({})["facets"]}  # fmt: skip
    assert facets["action"][HAND_OVER] == 48
    by_name = {row["action_name"]: row for row in board.actions({})["actions"]}
    assert (by_name[HAND_OVER]["calls"], by_name[HAND_OVER]["conversations"]) == (48, 48)
    assert board.conversations({"status": "escalated"})["count"] == 48  # nobody said a word after it


def test_the_last_word_is_counted_as_the_file_has_it(board: Board, told: list[dict[str, Any]]) -> None:
    """Customers close with thanks: that is no unanswered question."""
    last = [
        [
            message
            for message in conversation["messages"]
            if message["role"] in {"user", "assistant"} and message["content"]
        ]
        for conversation in told
    ]
    ended_by_customer = sum(said[-1]["role"] == "user" for said in last)
    metrics = {metric["name"]: metric for metric in board.metrics({})["metrics"]}
    assert metrics["unanswered_rate"]["numerator"] == ended_by_customer
    asking = 0
    for said in last:
        tail = []
        while said and said[-1]["role"] == "user":
            tail.append(said.pop()["content"])
        asking += any("?" in text for text in tail)
    assert metrics["left_asking_rate"]["numerator"] == asking
