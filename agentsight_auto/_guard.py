"""The host comes first: the one broad `except` of the library.

In: a function of ours that runs inside the user's program. Out: its result, or None if it failed.
Loses: what that call would have recorded; counted in `failures` and logged at most once a minute.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from .exceptions import (
    AgentSightException,
    ConfigurationException,
    InvalidConversationDataException,
    StoreException,
)

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("agentsight_auto")

failures: Counter[str] = Counter()
"""Internal failures by function name, since the process started; `doctor` shows them."""

raise_errors = False
"""Our own tests set this, so that a failure inside the library fails the test."""

_LOG_INTERVAL_S = 60.0
_PACKAGE = f"{__package__}."
_last_logged: dict[str, float] = {}


def warn_at_most_once_a_minute(topic: str, message: str, *args: object) -> None:
    """Log a warning unless the same topic was logged during the last minute; never raises."""
    now = time.monotonic()
    if now - _last_logged.get(topic, -_LOG_INTERVAL_S) < _LOG_INTERVAL_S:
        return
    _last_logged[topic] = now
    try:
        logger.warning(message, *args)
    except Exception:  # noqa: BLE001 - a handler of the host's fails
        failures["logging"] += 1


def failed(where: str, error: Exception) -> None:
    """Count an internal failure and log it at most once a minute."""
    failures[where] += 1
    if raise_errors:
        raise error
    warn_at_most_once_a_minute(where, "agentsight-auto: %s failed: %s", where, _told(error))


def _told(error: Exception) -> str:
    """Return what a log may say of a failure: its words may be a customer's, unless disk or settings are to blame."""
    kind = type(error).__name__
    if isinstance(error, (OSError, StoreException, ConfigurationException)):
        return f"{kind}: {error}"
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return kind if place is None else f"{kind} at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}"


def shown(value: object) -> str:
    """Return a short `repr` for messages; a value whose own code fails is shown as its type."""
    try:
        return f"{value!r:.80}"
    except Exception:  # noqa: BLE001 - the message matters, not the value
        return f"<{type(value).__name__}>"


def documented(function: Callable[P, None]) -> Callable[P, None]:
    """Make `function` raise documented exceptions only, also for arguments whose own code raises.

    A failure of our own is no error in an argument: it is counted, and the call returns.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except AgentSightException:
            raise
        except Exception as error:
            if _is_ours(error):
                failed(function.__qualname__, error)
                return
            raise InvalidConversationDataException(
                f"{function.__name__}() got an argument that cannot be read: {type(error).__name__}."
            ) from error

    return call


def _is_ours(error: Exception) -> bool:
    """Tell whether it was raised in our own code, and not in a method of an argument."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    module = traceback.tb_frame.f_globals.get("__name__", "") if traceback is not None else ""
    return str(module).startswith(_PACKAGE)


def guarded(function: Callable[P, R]) -> Callable[P, R | None]:
    """Make `function` return None where it would raise; KeyboardInterrupt and its like pass through."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the host comes first
            failed(function.__qualname__, error)
            return None

    return call
