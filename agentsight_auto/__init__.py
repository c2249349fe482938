"""Record every conversation of your AI agent: one decorator, one with-block, safe when a process dies.

::

    from agentsight_auto import conversation, track_action

    @track_action
    def find_order(order_id: str) -> dict: ...

    with conversation("chat-1", customer_id="mia", source="whatsapp") as chat:
        chat.track_human_message("Where is my order?")
        order = find_order("A-17")
        chat.track_agent_message("On its way.")

Importing opens nothing and starts nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import _runtime
from ._guard import guarded
from ._version import __version__
from .capture.action import track_action
from .capture.conversation import conversation, current_conversation
from .deliver.report import FlushReport

if TYPE_CHECKING:
    from ._settings import Settings
    from .api import AgentSightAPI, agentsight_api
    from .async_api import AsyncAgentSightAPI
    from .capture.propagation import propagate
    from .integrations.registry import instrument, uninstrument
    from .manager import ConversationManager, conversation_manager
    from .tracker import ConversationTracker, conversation_tracker

__all__ = [
    "AgentSightAPI",
    "AsyncAgentSightAPI",
    "ConversationManager",
    "ConversationTracker",
    "FlushReport",
    "__version__",
    "agentsight_api",
    "configure",
    "conversation",
    "conversation_manager",
    "conversation_tracker",
    "current_conversation",
    "flush",
    "instrument",
    "propagate",
    "shutdown",
    "track_action",
    "uninstrument",
]

_HOMES = {
    "AgentSightAPI": "api",
    "AsyncAgentSightAPI": "async_api",
    "ConversationManager": "manager",
    "ConversationTracker": "tracker",
    "agentsight_api": "api",
    "conversation_manager": "manager",
    "conversation_tracker": "tracker",
    "instrument": "integrations.registry",
    "propagate": "capture.propagation",
    "uninstrument": "integrations.registry",
}
"""Where the names are that not every program uses: they are loaded when they are asked for."""


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _follow_settings(settings: Settings) -> None:
    if settings.instrument or settings.token_handler_type:
        from .integrations.registry import follow_settings  # noqa: PLC0415 - few ask for it by a setting

        follow_settings(settings)


_runtime.after_settings = _follow_settings


def configure(**settings: Any) -> None:
    """Change settings of the whole library at run time: ``configure(home="...", durability="disk")``.

    `conversation_id` switches the conversation of this thread or task. All settings are listed in docs/settings.md.

    Raises:
        ConfigurationException, InvalidApiKeyException, InvalidConversationDataException: nothing is changed.
    """
    from .tracker import conversation_tracker  # noqa: PLC0415 - not every program configures

    conversation_tracker.configure(**settings)


def flush(timeout_s: float = 15.0) -> FlushReport:
    """Deliver what this process has recorded, for at most `timeout_s` seconds.

    The report counts events since the process started: ``captured = delivered + pending + rejected + lost``.
    """
    return _flush(timeout_s) or _UNKNOWN


def shutdown(timeout_s: float = 2.0) -> FlushReport:
    """Write what is recorded to disk, try once to deliver it within `timeout_s` seconds, and stop the worker.

    The end of the process does the same. Recording goes on to work afterwards.
    """
    return _shutdown(timeout_s) or _UNKNOWN


@guarded
def _flush(timeout_s: float) -> FlushReport:
    return _runtime.default().flush(timeout_s)


@guarded
def _shutdown(timeout_s: float) -> FlushReport:
    return _runtime.default().shutdown(timeout_s)


_UNKNOWN = FlushReport(captured=1, delivered=0, pending=1, rejected={}, lost={}, adopted=0)
"""What is told where even the counts cannot be read: not everything is known to be delivered."""
