"""Print docs/metrics.md from the definitions themselves: ``python docs/make_metrics.py > docs/metrics.md``."""

# ruff: noqa: E501 - the rows of a table are long
from __future__ import annotations

from agentsight_auto.query.definitions import METRICS
from agentsight_auto.query.lifecycle import LISTS, STATUSES

HEAD = """\
# Metrics

<!-- Printed by docs/make_metrics.py: change that file or agentsight_auto/query/definitions.py, not this page. -->

Every number is counted from what was recorded; no model judges. `agentsight-auto stats` prints the important ones,
`agentsight-auto stats --metrics` all of them with their definitions, and `GET /api/insights/metrics/` of a
[server](server.md) answers them as JSON, by source, device, language, country, hour and weekday, beside those of the
period before, which is as long and ends where this one begins.

- Messages are only what a person or the agent said. Actions, buttons, attachments and system messages are none.
- Only feedback of customers counts.
- Development is left out where production conversations match; `include_development` and a filter change that.
- A quantile is the smallest value that at least this share of the values does not exceed (nearest rank).
- Hours, weekdays and days are those in which a conversation began, in the time zone asked for.

Numbers are up to date within a second or two: each conversation that changed is read again before the next answer, a
few thousand at a time; `behind` in the answer counts those that still wait.

| metric | unit | what it means | list |
|---|---|---|---|
"""

MIDDLE = """
## Lists

The filter `insight` opens the conversations behind a number, in `fetch_conversations`, `agentsight-auto list --insight`
and the API: {lists}. Behind a quantile are `first_response_over_ms` and `response_over_ms`: conversations in which the
first answer, or any, took longer. `country` takes two letters.

## How a conversation stands

The filter `status` asks for one of {statuses}.

| status | when |
|---|---|
| `resolved` | `chat.resolve()` was called, or an action of the setting `resolution_actions` ran, after the customer's last message |
| `escalated` | `chat.escalate(reason)` was called, or an action of the setting `escalation_actions` ran, after the customer's last message; of both, the later one counts |
| `open` | neither, and something was recorded within the idle time |
| `abandoned` | idle, and left without a result: the customer's last words were not answered and hold a question mark, the agent never said anything, or the last action failed and the customer said nothing after it |
| `idle` | idle otherwise |

The idle time is 30 minutes; the setting `idle_after` changes it, also for one source: `15,whatsapp=1440,voice=2`. A
message of the customer reopens what was resolved or handed over; one of the agent, who says goodbye, does not.
`ended_at` is the last event. Nothing of this is stored: a changed setting answers the next question.

```python
from agentsight_auto import conversation, conversation_manager

with conversation("chat-1", source="web") as chat:
    chat.track_human_message("I want to talk to a human")
    chat.escalate("asked for a human")

conversation_manager.resolve_conversation("chat-1", "called back on Monday")
```

`escalate` records the documented action `fallback_to_human`, `resolve` the action `resolve_conversation`, so that they
travel to every API. `conversation_tracker.escalate` and `conversation_tracker.resolve` do the same for the current
conversation, `conversation_manager.escalate_conversation` and `resolve_conversation` for any other.
"""


def main() -> None:
    """Print the page."""
    rows = [
        f"| `{metric.name}` | {metric.unit} | {metric.title}. {metric.definition} | "
        f"{f'`{metric.insight}`' if metric.insight else ''} |"
        for metric in METRICS
    ]
    words = {"lists": ", ".join(f"`{name}`" for name in LISTS), "statuses": ", ".join(f"`{s}`" for s in STATUSES)}
    print(HEAD + "\n".join(rows) + "\n" + MIDDLE.format(**words), end="")  # noqa: T201


if __name__ == "__main__":
    main()
