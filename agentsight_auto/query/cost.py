"""What conversations cost: the cost of each model call was told when it was made, and is only added up here.

In: rows of `token_usages` with what integrations recorded in their metadata. Out: sums by conversation and model.
Loses: nothing; calls without a price are counted as unpriced.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Row

Shape = dict[str, Any]


def cost_of(rows: Iterable[Row[Any]]) -> Shape | None:
    """Return what the model calls among the usages cost, in US dollars; None where no model is known.

    ``cost_usd`` is null where no call has a price, and a lower bound where ``unpriced_calls`` is not 0.
    """
    models: dict[str, Shape] = {}
    for row in rows:
        metadata = {} if row.metadata is None else msgspec.json.decode(row.metadata)
        model = metadata.get("model")
        if isinstance(model, str):
            empty = {"model": model, "calls": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost_usd": None}
            _add(models.setdefault(model, {**empty, "unpriced_calls": 0}), row, metadata.get("cost_usd"))
    if not models:
        return None
    by_model = sorted(models.values(), key=lambda shape: (-(shape["cost_usd"] or 0.0), shape["model"]))
    priced = [shape["cost_usd"] for shape in by_model if shape["cost_usd"] is not None]
    unpriced = sum(shape["unpriced_calls"] for shape in by_model)
    return {
        "cost_usd": round(sum(priced), 12) if priced else None,
        "priced_calls": sum(shape["calls"] for shape in by_model) - unpriced,
        "unpriced_calls": unpriced,
        "models": by_model,
    }


def _add(shape: Shape, row: Row[Any], cost_usd: Any) -> None:
    shape["calls"] += 1
    shape["prompt_tokens"] += row.prompt_tokens or row.embedding_tokens
    shape["completion_tokens"] += row.completion_tokens
    if isinstance(cost_usd, (int, float)) and cost_usd >= 0:
        shape["cost_usd"] = round((shape["cost_usd"] or 0.0) + cost_usd, 12)
    else:
        shape["unpriced_calls"] += 1
