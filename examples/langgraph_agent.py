"""A LangGraph agent with tools: its models and tools are recorded by themselves, in the conversation that runs it.

Needs:  pip install langgraph langchain-openai
Run:    python examples/langgraph_agent.py
Prints: the messages, the calls of the model and the tools in their order, the tokens and the cost.
Leaves: .agentsight/ in the working directory; look at it with: agentsight-auto show trip-desk

A provider on a local port stands in for the real one, so that it runs without a key.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from agentsight_auto import agentsight_api, conversation, instrument

instrument(capture_messages=True)


@tool
def find_flight(city: str) -> str:
    """Find the next flight to a city."""
    return f"{city}: LH123 at 09:40"


@tool
def book(flight: str) -> str:
    """Book a flight."""
    return f"booked {flight}"


def agent(url: str) -> Any:
    model = ChatOpenAI(model="gpt-4o-mini", base_url=url, api_key="none", temperature=0).bind_tools([find_flight, book])
    builder = StateGraph(MessagesState)
    builder.add_node("agent", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode([find_flight, book]))
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", tools_condition)
    builder.add_edge("tools", "agent")
    return builder.compile()


SCRIPT = [
    ("tool", "find_flight", '{"city": "Oslo"}'),
    ("tool", "book", '{"flight": "LH123"}'),
    ("text", "You are booked on LH123 at 09:40.", ""),
]


class StandIn(BaseHTTPRequestHandler):
    """Ask for one tool after the other, then answer."""

    def do_POST(self) -> None:
        """Answer one call."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        step = sum(message["role"] == "tool" for message in asked["messages"])
        kind, name, arguments = SCRIPT[step]
        call = {"id": f"call_{step}", "type": "function", "function": {"name": name, "arguments": arguments}}
        message = {"role": "assistant", "content": name, "tool_calls": None}
        if kind == "tool":
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if kind == "tool" else "stop"}
        usage = {"prompt_tokens": 80 + 40 * step, "completion_tokens": 12, "total_tokens": 92 + 40 * step}
        body = {"object": "chat.completion", "created": 0, "model": "gpt-4o-mini-2024-07-18", "usage": usage}
        data = json.dumps({**body, "id": f"chatcmpl-{step}", "choices": [choice]}).encode()
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
    with provider() as url, conversation("trip-desk", customer_id="mia", source="web"):
        agent(url).invoke({"messages": [("user", "Book me the next flight to Oslo.")]})
    recorded = agentsight_api.fetch_conversation("trip-desk")
    for message in recorded["messages"]:
        print(message["action_name"] or f"{message['sender']}: {message['content']}")
    print(f"{recorded['token_usage']['total_tokens']} tokens, ${recorded['cost']['cost_usd']:.8f}")


if __name__ == "__main__":
    main()
