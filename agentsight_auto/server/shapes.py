"""The types of the main answers, for the OpenAPI document; what is answered is made by the query layer."""

from __future__ import annotations

from typing import Any

import msgspec


class LookedUp(msgspec.Struct):
    """A conversation's two ids."""

    id: int
    conversation_id: str


class Conversation(msgspec.Struct):
    """A conversation; `messages`, `feedbacks`, `tickets` and `token_usage`, `cost` only where it is read in full."""

    id: int
    agent: int
    conversation_id: str
    name: str | None
    customer_id: str | None
    customer_ip_address: str | None
    device: str | None
    source: str | None
    language: str | None
    environment: str
    environment_id: int
    metadata: dict[str, Any]
    started_at: str
    ended_at: str
    message_count: int
    feedback_count: int
    is_marked: bool
    is_used: bool
    is_deleted: bool
    deleted_at: str | None
    geo_location: dict[str, Any] | None
    messages: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    feedbacks: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    tickets: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    token_usage: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    cost: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


class ConversationPage(msgspec.Struct):
    """One page of conversations; `count` and `total_pages` are null where counting was left out."""

    count: int | None
    page_size: int
    total_pages: int | None
    current_page: int
    next: str | None
    previous: str | None
    results: list[Conversation]


class Message(msgspec.Struct):
    """A message with what hangs on it."""

    id: int
    conversation: int
    timestamp: str
    sender: str
    content: str
    action_name: str | None
    metadata: dict[str, Any]
    attachments: list[dict[str, Any]]
    action_logs: list[dict[str, Any]]
    button: dict[str, Any] | None
    feedback: dict[str, Any] | None


class Names(msgspec.Struct):
    """Keys of metadata documents, nested ones with dots."""

    keys: list[str]


class Values(msgspec.Struct):
    """The values of one key of metadata documents, as text."""

    key: str
    values: list[str]


class EventAnswer(msgspec.Struct, omit_defaults=True):
    """What became of one event; `index` is its place in the request where its id cannot be read."""

    id: str | None
    status: str
    reason: str | None = None
    index: int | None = None


class EventAnswers(msgspec.Struct):
    """One answer per event, in the order of the request."""

    results: list[EventAnswer]
