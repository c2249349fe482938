"""Read conversations with this library in a process of its own: ``python read_back.py ID...`` prints JSON."""

from __future__ import annotations

import json
import sys

from agentsight_auto import agentsight_api

found = [
    {
        "by text": agentsight_api.fetch_conversation(conversation_id),
        "by number": agentsight_api.fetch_conversation(agentsight_api.fetch_conversation(conversation_id)["id"]),
        "listed": agentsight_api.fetch_conversations(conversation_id=conversation_id, include_deleted=True)["results"],
        "attachments": agentsight_api.fetch_conversation_attachments(conversation_id),
    }
    for conversation_id in sys.argv[1:]
]
print(json.dumps(found))
