"""An agent on the openai SDK that calls tools until it has an answer; nothing in it records anything.

Needs:  pip install openai
Run:    python examples/openai_tool_loop.py
Prints: the calls of the model and of the tool as they were recorded, the tokens and the cost.
Leaves: .agentsight/ in the working directory; look at it with: agentsight-auto show order-desk

A provider on a local port stands in for the real one, so that it runs without a key.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai

from agentsight_auto import agentsight_api, conversation, instrument, track_action

instrument(capture_messages=True)


@track_action
def find_order(order_id: str) -> dict[str, str]:
    return {"order_id": order_id, "status": "shipped", "carrier": "DHL"}


TOOL = {
    "type": "function",
    "function": {
        "name": "find_order",
        "description": "Find an order by its id.",
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
    },
}


def answer(client: openai.OpenAI, question: str) -> str:
    messages: list[Any] = [{"role": "user", "content": question}]
    while True:
        reply = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[TOOL]).choices[0].message
        if not reply.tool_calls:
            return reply.content or ""
        messages.append(reply)
        for call in reply.tool_calls:
            found = find_order(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(found)})


class StandIn(BaseHTTPRequestHandler):
    """Ask for the tool first, and answer once its result is there."""

    def do_POST(self) -> None:
        """Answer one call."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        has_result = asked["messages"][-1]["role"] == "tool"
        call = {"name": "find_order", "arguments": '{"order_id": "A-17"}'}
        calls = [{"id": "call_1", "type": "function", "function": call}]
        text = "A-17 was shipped with DHL."
        message = {"role": "assistant", "content": text} if has_result else {"role": "assistant", "tool_calls": calls}
        choice = {"index": 0, "message": message, "finish_reason": "stop" if has_result else "tool_calls"}
        usage = {"prompt_tokens": 95 if has_result else 62, "completion_tokens": 11, "total_tokens": 106}
        body = {"object": "chat.completion", "created": 0, "model": "gpt-4o-mini-2024-07-18", "usage": usage}
        data = json.dumps({**body, "id": f"chatcmpl-{has_result}", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def provider() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def main() -> None:
    with (
        provider() as url,
        openai.OpenAI(base_url=url, api_key="none") as client,
        conversation("order-desk", customer_id="mia", source="web"),
    ):
        answer(client, "Where is order A-17?")
    recorded = agentsight_api.fetch_conversation("order-desk")
    for message in recorded["messages"]:
        print(message["action_name"] or f"{message['sender']}: {message['content']}")
    print(f"{recorded['token_usage']['total_tokens']} tokens, ${recorded['cost']['cost_usd']:.8f}")


if __name__ == "__main__":
    main()
