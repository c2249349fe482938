"""A chat endpoint in FastAPI that streams a model's answer: the middleware opens the conversation around the stream.

The model is a stand-in on this machine that speaks the streaming format of chat completions over HTTP; with a real
one, change `MODEL_URL`.

Run:    python examples/fastapi_chat.py
        (needs fastapi)
Prints: the two streamed answers, and the conversation as `agentsight-auto show` tells it.
Leaves: .agentsight/ in the working directory.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from agentsight_auto import current_conversation, flush, track_action
from agentsight_auto.cli.main import main as command_line
from agentsight_auto.integrations.asgi import ConversationMiddleware

MODEL_URL = "http://127.0.0.1:{port}/v1/chat/completions"
model_port = 0

app = FastAPI()
app.add_middleware(ConversationMiddleware, id_from="header:X-Chat-Id", source="web")


@track_action("chat completion", capture_response=False)
async def complete(text: str) -> AsyncIterator[str]:
    """Stream the model's answer word by word."""
    request = {"model": "stand-in", "stream": True, "messages": [{"role": "user", "content": text}]}
    async with (
        httpx.AsyncClient(timeout=10) as client,
        client.stream("POST", MODEL_URL.format(port=model_port), json=request) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                yield json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content", "")


@app.post("/chat")
async def chat(text: str) -> StreamingResponse:
    """Answer one message; the customer reads along."""
    scope = current_conversation()
    scope.track_human_message(text)

    async def answer() -> AsyncIterator[str]:
        said = []
        async for piece in complete(text):
            said.append(piece)
            yield piece
        scope.track_agent_message("".join(said))

    return StreamingResponse(answer(), media_type="text/plain")


class StandIn(BaseHTTPRequestHandler):
    """Answers in the format of a model's streaming API."""

    def do_POST(self) -> None:
        """Stream an answer to the last message."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = request["messages"][-1]["content"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in f"You asked: {text}".split(" "):
            delta = {"choices": [{"index": 0, "delta": {"content": word + " "}}]}
            self.wfile.write(f"data: {json.dumps(delta)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


async def customer() -> None:
    """Ask twice in one chat, as a browser on a phone would."""
    headers = {"X-Chat-Id": "web-1", "X-Customer-Id": "mia", "User-Agent": "iPhone Mobile", "Accept-Language": "en"}
    transport = httpx.ASGITransport(app, client=("192.0.2.10", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers=headers) as browser:
        for text in ("Do you sell tents?", "How much are they?"):
            response = await browser.post("/chat", params={"text": text})
            print("streamed:", response.text)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    model_port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asyncio.run(customer())
    server.shutdown()
    server.server_close()
    flush()
    command_line(["show", "web-1"])
