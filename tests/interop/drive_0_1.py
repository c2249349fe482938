"""Drive the published client of the 0.1.x generation: ``python drive_0_1.py SCENARIO JSON`` prints JSON.

Knows nothing of the library under test: only the published package, `requests`, which that brings, and the
standard library.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time

import agentsight
import requests
from agentsight import _settings
from agentsight.api import AgentSight
from agentsight.sdk.instrumentation.base import from_openai, record_llm_call

warned: list[str] = []


class Warned(logging.Handler):
    """Keeps what the client warns of: it never raises."""

    def emit(self, record: logging.LogRecord) -> None:
        warned.append(record.getMessage())


def start(**options: object) -> None:
    handler = Warned(logging.WARNING)
    logging.getLogger("agentsight").addHandler(handler)
    assert agentsight.init(export_interval_ms=60_000, **options)


@agentsight.tool
def find_order(order_id: str, limit: float = 1.5) -> dict:
    return {"order": order_id, "status": ask_shop(order_id)}


@agentsight.task(name="ask the shop")
def ask_shop(order_id: str) -> str:
    return "on its way"


@agentsight.tool(name="fallback_to_human")
async def hand_over(reason: float) -> None:
    raise RuntimeError("nobody is there")


def ask_model(model: str, prompt: int, completion: int, cached: int = 0) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": cached}}
    record_llm_call(**from_openai({"prompt_tokens": prompt, "completion_tokens": completion, **details}, model))


async def talk() -> None:
    fields = {"customer_id": "u1", "customer_ip_address": "203.0.113.7", "device": "mobile", "source": "web",
              "language": "en", "name": "An order", "metadata": {"plan": "gold"}}  # fmt: skip
    with agentsight.conversation("c1", **fields):
        with agentsight.turn():
            agentsight.user_message("where is it? \u00e9\U0001f600", metadata={"mood": float("nan")})
            await asyncio.to_thread(find_order, "A1")
            ask_model("gpt-5", 100, 20, cached=40)
            ask_model("gpt-5", 10, 2)
            ask_model("small", 5, 1)
            agentsight.agent_message("on its way", metadata={"kind": "reply"})
            agentsight.button("choose", "Yes", "yes", {"place": 1})
        try:
            with agentsight.turn():
                agentsight.user_message("never mind")
                ask_model("gpt-5", 7, 0)
                await hand_over(float("inf"))
        except RuntimeError:
            pass
        agentsight.update_metadata({"escalated": False}, remove=["nothing"])
        agentsight.record_attachments([{"filename": "a.pdf", "size": 3}])


def record() -> dict:
    """A visit, and a conversation with everything that the client can record."""
    start()
    agentsight.open_conversation("visit", device="desktop")
    asyncio.run(talk())
    uploaded = agentsight.upload_attachments(
        {"filename": "note.txt", "data": b"some text"}, conversation_id="c1", metadata={"of": "upload"}
    )
    agentsight.flush()
    return {"uploaded": uploaded, "warned": warned}


def record_much(turns: int) -> dict:
    """Many turns in one conversation: several requests, compressed once the server has said that it can."""
    encodings = []
    post = requests.Session.post

    def watched(self: requests.Session, url: str, **options: object) -> requests.Response:
        encodings.append((options.get("headers") or {}).get("Content-Encoding"))
        return post(self, url, **options)

    requests.Session.post = watched
    start(verify_key=True, max_queue_size=100_000)
    deadline = time.monotonic() + 10
    while not _settings.has_capability(_settings.GZIP_INGEST) and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in range(turns):
        with agentsight.conversation("much"), agentsight.turn():
            agentsight.user_message(f"question {number} " + "x" * 300)
            ask_model("gpt-5", 3, 1)
            agentsight.agent_message(f"answer {number}")
    agentsight.flush()
    return {"warned": warned, "encodings": encodings}


def fork() -> dict:
    """A process that forks while spans wait: parent and child both send them."""
    start()
    with agentsight.conversation("forked"), agentsight.turn():
        agentsight.user_message("once")
        find_order("A1")
        ask_model("gpt-5", 10, 2)
    child = os.fork()
    agentsight.flush()
    if child == 0:
        agentsight.shutdown()
        os._exit(0)
    os.waitpid(child, 0)
    return {"warned": warned}


def refused(api_key: str) -> dict:
    """A key that the server does not know: the client drops, and says why."""
    start(api_key=api_key, verify_key=False)
    with agentsight.conversation("lost"), agentsight.turn():
        agentsight.user_message("hello")
    agentsight.flush()
    return {"warned": warned}


def read() -> dict:
    """Everything that the reading client has calls for."""
    client = AgentSight()
    conversations = client.conversations
    spans = list(client.spans.list(conversation_id="c1"))
    turn = next(span for span in spans if span["kind"] == "turn" and span["parent_span_id"] is None)
    actions = {action["name"]: action for action in client.actions.list()}
    return {
        "me": client.me(),
        "environments": client.environments(),
        "listed": sorted(row["conversation_id"] for row in conversations.list()),
        "gold": [row["conversation_id"] for row in conversations.list(metadata="plan:gold", has_action=True)],
        "c1": conversations.get("c1"),
        "visit": conversations.get("visit", full=False),
        "attachments": conversations.attachments("c1"),
        "metadata_keys": conversations.metadata_keys(),
        "spans": [(span["kind"], span["name"]) for span in spans],
        "payload": client.spans.get(turn["id"], payload=True)["payload"],
        "trace": client.spans.trace(turn["trace_id"]),
        "usage": list(client.usage.list(conversation_id="c1")),
        "by_model": client.usage.summary("model"),
        "by_day": client.usage.summary("day", currency="eur"),
        "actions": sorted(actions),
        "logs": client.actions.logs(actions["find_order"]["id"]),
        "pages": [len(page) for page in client.spans.list(conversation_id="c1").pages()],
    }


def manage() -> dict:
    """Everything that the client can change."""
    client = AgentSight()
    message = client.conversations.get("c1")["messages"][0]["id"]
    by_conversation = client.feedbacks.create_for_conversation("c1", "positive", "fine")
    by_message = client.feedbacks.create_for_message(message, "negative", topic="style", reason="too_bold")
    again = client.feedbacks.create_for_message(message, "positive")
    by_agent = client.feedbacks.create_for_agent("neutral", environment="development")
    action = client.actions.create("declared", display_name="Declared")
    return {
        "by_conversation": by_conversation,
        "by_message": by_message,
        "again": again,
        "by_agent": by_agent,
        "listed": [row["kind"] for row in client.feedbacks.list(ordering="id")],
        "counts": client.feedbacks.page(kind="message").extra,
        "updated": client.feedbacks.update(by_agent["id"], comment="changed"),
        "read": client.feedbacks.get(by_message["id"]),
        "deleted": client.feedbacks.delete(by_agent["id"]),
        "merged": client.messages.update_metadata(message, {"verdict": "good"}),
        "message": client.messages.get(message),
        "action": client.actions.update(action["id"], description="what it does"),
        "renamed": client.conversations.rename("c1", "renamed"),
        "marked": client.conversations.mark("c1"),
        "conversation": client.conversations.update_metadata("c1", {"added": 1}, remove=["plan"]),
        "hidden": client.conversations.delete("visit"),
    }


def failures(read_key: str) -> dict:
    """Which error of the client each refusal becomes."""
    client, reader = AgentSight(), AgentSight(api_key=read_key)
    stranger = AgentSight(api_key="ags_" + "0" * 32 + "_" + "0" * 6)
    calls = {
        "absent": lambda: client.spans.get(999_999),
        "foreign": lambda: client.messages.get(999_999),
        "read key": lambda: reader.feedbacks.create_for_agent("positive"),
        "unknown key": lambda: stranger.me(),
        "taken name": lambda: [client.actions.create("twice") for _ in range(2)],
        "no trace": lambda: client.spans.trace("0" * 32),
        "tickets": lambda: list(client.tickets.list()),
        "staging": lambda: list(client.conversations.list(environment="staging")),
    }
    outcomes = {}
    for name, call in calls.items():
        try:
            outcomes[name] = call()
        except Exception as error:  # noqa: BLE001 - which one it is is the answer
            outcomes[name] = [type(error).__name__, str(error)]
    return outcomes


SCENARIOS = (record, record_much, fork, refused, read, manage, failures)


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr
    scenario = {function.__name__: function for function in SCENARIOS}[sys.argv[1]]
    json.dump(scenario(**json.loads(sys.argv[2])), answers)
