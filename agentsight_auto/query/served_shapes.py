"""What the HTTP API says beyond the embedded store's shapes: ids of the owners, counters, the newer clients' names.

In: documented shapes and the rows they were made from. Out: the same shapes with more keys. Loses: nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from agentsight_auto.query.conversations import Shape
from agentsight_auto.store.schema import feedbacks

_ENVIRONMENT_IDS = {"production": 1, "development": 2}
_FIRST_FURTHER_ID = 1000


def environment_id(slug: str) -> int:
    """Return the number that stands for an environment: the same in every store, as there is no list of them."""
    return _ENVIRONMENT_IDS.get(slug) or _FIRST_FURTHER_ID + zlib.crc32(slug.encode())


def feedback_counts(connection: Connection, keys: Sequence[int]) -> Mapping[int, int]:
    """Return how many feedbacks these conversations have, by database id."""
    column = feedbacks.c.conversation_pk
    rows = connection.execute(select(column, func.count()).where(column.in_(keys)).group_by(column))
    return {row[0]: row[1] for row in rows}


def dress_summary(shape: Shape, row: Row[Any], feedback_count: int) -> Shape:
    """Add what a row of a list says of the conversation itself."""
    return {
        **shape,
        "agent": row.agent_id,
        "environment_id": environment_id(row.environment),
        "message_count": row.message_count,
        "feedback_count": feedback_count,
    }


def dress_contents(shape: Shape, row: Row[Any]) -> Shape:
    """Add what the newer clients expect of messages, feedbacks and token usage."""
    return {
        **shape,
        "messages": [dress_message(message, row.id) for message in shape["messages"]],
        "feedbacks": [dress_feedback(feedback, row) for feedback in shape["feedbacks"]],
        "tickets": [],
        "token_usage": dress_token_usage(shape["token_usage"]),
    }


def dress_message(message: Shape, conversation: int) -> Shape:
    """Add the conversation's id, and to action logs the message's."""
    logs = [{"action": None, **log, "message": message["id"]} for log in message["action_logs"]]
    return {"feedback": None, **message, "conversation": conversation, "action_logs": logs}


def dress_feedback(feedback: Shape, row: Row[Any]) -> Shape:
    """Add whose feedback it is, from the conversation's row."""
    return {
        "kind": "conversation",
        "agent": row.agent_id,
        "user": None,
        "category": None,
        **feedback,
        "conversation": row.id,
        "environment": row.environment,
        "environment_id": environment_id(row.environment),
    }


def dress_token_usage(totals: Shape | None) -> Shape | None:
    """Add the newer clients' form of the totals; without known models nothing has a price."""
    if totals is None:
        return None
    counted = {name: value for name, value in totals.items() if value or name == "total_tokens"}
    return {"cost_usd": "0.00000000", "cost_sources": [], "models": [], **totals, "totals": counted}
