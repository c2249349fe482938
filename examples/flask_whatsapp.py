"""A WhatsApp webhook in Flask: the conversation's id is the customer's number, deep in the JSON body.

The reply goes to a stand-in on this machine that answers as the messaging API does; with a real one, change
`MESSAGES_URL`.

Run:    python examples/flask_whatsapp.py
        (needs flask)
Prints: the replies that were sent, and the conversation as `agentsight-auto show` tells it.
Leaves: .agentsight/ in the working directory.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from flask import Flask, request

from agentsight_auto import current_conversation, flush, track_action
from agentsight_auto.cli.main import main as command_line
from agentsight_auto.integrations.flask import AgentSight

MESSAGES_URL = "http://127.0.0.1:{port}/v20.0/104/messages"
api_port = 0
number_of_customer = "entry.0.changes.0.value.messages.0.from"

app = Flask(__name__)
AgentSight(
    app,
    id_from=f"json:{number_of_customer}",
    customer_from=f"json:{number_of_customer}",
    source="whatsapp",
    details=lambda request: {"device": "mobile", "language": "en"},
)

OPENING_HOURS = {"monday": "9 to 18", "sunday": "closed"}


@track_action
def opening_hours(day: str) -> str:
    """Look up when the shop is open."""
    return OPENING_HOURS[day]


@track_action
def send_reply(to: str, text: str) -> str:
    """Send a message and return its id."""
    body = {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": text}}
    response = httpx.post(MESSAGES_URL.format(port=api_port), json=body, timeout=10)
    response.raise_for_status()
    return str(response.json()["messages"][0]["id"])


@app.post("/webhook")
def webhook() -> str:
    """Take one message of a customer and answer it."""
    scope = current_conversation()
    message: dict[str, Any] = request.get_json()["entry"][0]["changes"][0]["value"]["messages"][0]
    if message["type"] == "interactive":
        pressed = message["interactive"]["button_reply"]
        scope.track_button("day", pressed["title"], pressed["id"])
        text = f"On {pressed['title']}: {opening_hours(pressed['id'])}."
    else:
        scope.track_human_message(message["text"]["body"])
        text = "Which day do you mean?"
    send_reply(message["from"], text)
    scope.track_agent_message(text)
    return "ok"


class StandIn(BaseHTTPRequestHandler):
    """Answers in the format of the messaging API."""

    def do_POST(self) -> None:
        """Take a message and give it an id."""
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print("sent to", sent["to"], "-", sent["text"]["body"])
        answer = json.dumps({"messages": [{"id": "wamid.1"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def delivered(message: dict[str, Any]) -> None:
    """Call the webhook as the platform does."""
    value = {"messaging_product": "whatsapp", "messages": [{"from": "41790000000", "id": "wamid.0", **message}]}
    with app.test_client() as platform:
        platform.post(
            "/webhook", json={"entry": [{"id": "7", "changes": [{"field": "messages", "value": value}]}]}
        ).close()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    api_port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    delivered({"type": "text", "text": {"body": "When are you open?"}})
    choice = {"type": "button_reply", "button_reply": {"id": "sunday", "title": "Sunday"}}
    delivered({"type": "interactive", "interactive": choice})
    server.shutdown()
    server.server_close()
    flush()
    command_line(["show", "41790000000"])
