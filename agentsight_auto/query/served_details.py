"""Fill in what whole conversations and messages say only over HTTP: votes, ids of actions, tokens by model.

In: shapes of conversations or messages. Out: the same shapes, filled. Loses: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from agentsight_auto.query.actions import action_ids
from agentsight_auto.query.conversations import Shape
from agentsight_auto.query.feedbacks import votes
from agentsight_auto.query.token_usage import cost_text, models_of


def fill_conversations(connection: Connection, agent_id: int, shapes: Sequence[Shape]) -> None:
    """Fill in the messages and the token usage of whole conversations."""
    fill_messages(connection, agent_id, [message for shape in shapes for message in shape["messages"]])
    counted = [shape for shape in shapes if shape["token_usage"] is not None]
    models = models_of(connection, [shape["id"] for shape in counted])
    for shape in counted:
        if shape["id"] in models:
            used = models[shape["id"]]
            sources = sorted({model["cost_source"] for model in used})
            cost = cost_text((shape["cost"] or {}).get("cost_usd"))
            shape["token_usage"] |= {"models": used, "cost_sources": sources, "cost_usd": cost}


def fill_messages(connection: Connection, agent_id: int, messages: Sequence[Shape]) -> None:
    """Fill in the feedback on messages, and which action a log is of."""
    judged = votes(connection, agent_id, [message["id"] for message in messages])
    named = sorted({message["action_name"] for message in messages if message["action_name"] is not None})
    ids = action_ids(connection, agent_id, named)
    for message in messages:
        message["feedback"] = judged.get(message["id"])
        for log in message["action_logs"]:
            log["action"] = ids.get(message["action_name"])
