"""Run the demo: make the cases, hold the conversations, read the store back and compare.

In: a number, a seed, and the default runtime's settings. Out: a `DemoResult`.
Loses: nothing; what the store lacks is in `problems`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .. import _runtime, flush
from ..exceptions import ConfigurationException
from .conversations import hold_all
from .cost import Cost, measure_cost
from .desk import Desk
from .report import differences, done_counts, most_telling, stored_conversations, stored_counts
from .scenarios import make_cases
from .shop import Shop

_DELIVERY_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class DemoResult:
    """What a run has recorded: `stored` counts are the store's, `problems` says where it differs from what was done."""

    run: str
    store: Path
    stored: dict[str, int]
    problems: list[str]
    cost: Cost
    duration_s: float
    shown_id: str
    desks: list[Desk]


def run_demo(conversations: int = 200, *, seed: int = 1, on_done: Callable[[], object] = lambda: None) -> DemoResult:
    """Hold conversations and return what the store says about them; every run has ids of its own.

    `on_done` is called once for each conversation, on several threads.

    Raises:
        ConfigurationException: nothing can be recorded here: recording is disabled, or a remote API is set.
        StoreException: the embedded store cannot be opened.
    """
    settings = _runtime.default().settings
    if settings.disabled:
        raise ConfigurationException("The demo records nothing while AGENTSIGHT_DISABLED is set. Unset it.")
    if settings.is_remote:
        raise ConfigurationException(
            "The demo records to the embedded store only. Unset AGENTSIGHT_API_KEY and AGENTSIGHT_API_ENDPOINT."
        )
    _runtime.default().backend()  # a store that cannot be opened is told before anything is recorded
    run = f"demo-{secrets.token_hex(3)}"
    cases = make_cases(conversations, seed=seed, run=run)
    started_s = time.perf_counter()
    with closing(Shop(case.purchase for case in cases)) as shop:
        desks = hold_all(cases, shop, on_done)
    report = flush(_DELIVERY_TIMEOUT_S)
    duration_s = time.perf_counter() - started_s
    shapes = stored_conversations(run)
    stored = stored_counts(run, shapes.values())
    problems = differences(done_counts(desks, cases), stored, desks, shapes)
    if report.pending:
        problems.insert(0, f"{report.pending} events were not delivered within {_DELIVERY_TIMEOUT_S:.0f} s")
    return DemoResult(
        run, settings.store_path, stored, problems, measure_cost(), duration_s, most_telling(desks, cases), desks
    )
