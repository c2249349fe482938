"""Deliver one batch so that one bad event harms only itself.

In: events and a destination. Out: an answer for each event that the destination handled.
Loses: nothing; an event that alone makes a working destination fail is answered as rejected.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentsight_auto.deliver.destination import DeliveryError, Destination
from agentsight_auto.events import Answer, AnyEvent

_ATTEMPTS_WITHOUT_SUCCESS = 12  # halving 500 events down to a single one and its neighbour
_ATTEMPTS = 64


def deliver_batch(destination: Destination, events: Sequence[AnyEvent]) -> list[Answer]:
    """Deliver the events; where the destination stumbles over some of them, find out which.

    Raises:
        DeliveryError: the destination says that it cannot handle the batch now.
        Exception: whatever the destination raised, when nothing shows that single events are to blame.
    """
    try:
        return destination.deliver(events)
    except DeliveryError:
        raise
    except Exception as error:
        if len(events) == 1:
            raise
        return _isolate(destination, events, error)


def _isolate(destination: Destination, events: Sequence[AnyEvent], error: Exception) -> list[Answer]:
    """Halve until single events fail while others pass; with too many failures the destination itself is broken."""
    answers: list[Answer] = []
    suspects: list[AnyEvent] = []
    parts = _halves(events)
    has_success = False
    attempts = 0
    while parts:
        part = parts.pop()
        attempts += 1
        if attempts > (_ATTEMPTS if has_success else _ATTEMPTS_WITHOUT_SUCCESS):
            break
        try:
            answers += destination.deliver(part)
            has_success = True
        except DeliveryError:
            break
        except Exception as failure:  # noqa: BLE001 - told in the answer, or raised below
            error = failure
            if len(part) == 1:
                suspects += part
            else:
                parts += _halves(part)
    if not has_success:
        raise error
    return answers + [answer for event in suspects for answer in _last_try(destination, event)]


def _halves(events: Sequence[AnyEvent]) -> list[Sequence[AnyEvent]]:
    """Return two halves in such an order that the first is taken from the end of the list first."""
    middle = len(events) // 2
    return [events[middle:], events[:middle]]


def _last_try(destination: Destination, event: AnyEvent) -> list[Answer]:
    try:
        return destination.deliver([event])
    except DeliveryError:
        return []
    except Exception as error:  # noqa: BLE001 - the reason of the rejection
        return [Answer(event.id, "rejected", f"{type(error).__name__}: {error}")]
