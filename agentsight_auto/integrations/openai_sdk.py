"""The `openai` SDK: chat completions, responses, embeddings; parsed, raw and streamed; sync and async, Azure too."""

from __future__ import annotations

from . import openai_replies as read
from .patches import Patches
from .stainless import Client, Endpoint

_ENDPOINTS = {
    "/chat/completions": Endpoint(read.chat_request, read.chat_reply, read.ChatChunks),
    "/responses": Endpoint(read.response_request, read.response_reply, read.ResponseEvents),
    "/embeddings": Endpoint(read.embedding_request, read.embedding_reply, read.ChatChunks),
}


def install(patches: Patches) -> None:
    """Patch the clients."""
    Client("openai", _ENDPOINTS).install(patches)
