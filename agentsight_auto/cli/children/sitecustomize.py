"""Python imports this when a process starts whose parent runs under ``agentsight-auto run``.

In: the environment that `run` has set. Out: integrations that wait for their imports; whatever else is called
`sitecustomize` is imported as it would have been. Loses: nothing; without agentsight_auto the process goes on.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def _import_the_next() -> None:
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    ours = sys.modules.pop(__name__, None)
    try:
        __import__(__name__)
    except ImportError as error:
        if error.name != __name__:
            raise
    finally:
        if ours is not None:
            sys.modules.setdefault(__name__, ours)  # Python looks for it when this returns


if __name__ == "sitecustomize":
    with contextlib.suppress(ImportError):
        from agentsight_auto.integrations.registry import instrument_as

        instrument_as(os.environ.get("AGENTSIGHT_INSTRUMENT", "").split(","))
    _import_the_next()
