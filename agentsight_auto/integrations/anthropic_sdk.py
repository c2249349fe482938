"""The `anthropic` SDK: messages, whole and streamed, raw and parsed, sync and async; Bedrock and Vertex clients too."""

from __future__ import annotations

from . import anthropic_replies as read
from .patches import Patches
from .stainless import Client, Endpoint

_ENDPOINTS = {"/v1/messages": Endpoint(read.message_request, read.message_reply, read.MessageEvents)}


def install(patches: Patches) -> None:
    """Patch the clients."""
    Client("anthropic", _ENDPOINTS).install(patches)
