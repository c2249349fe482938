"""The limits of live capture for what a file brings.

In: JSON values from a file. Out: values within the settings' limits.
Loses: what lies beyond them; the copy says so (``truncated``).
"""

from __future__ import annotations

import msgspec

from agentsight_auto.events import Json
from agentsight_auto.snapshot import (
    bounded_text,
    safe_json,
    sanitize_text,
    snapshot,
    snapshot_mapping,
    snapshot_metadata,
)

_MAX_PARAMETERS = 256

_encode = msgspec.json.Encoder().encode


class Limits(msgspec.Struct, frozen=True):
    """Bytes kept of a value or metadata document, and of a message's text."""

    value_bytes: int = 16 * 1024
    text_bytes: int = 256 * 1024

    def text(self, text: object) -> str:
        """Return a message's text."""
        return bounded_text(text, self.text_bytes)

    def short_text(self, text: object) -> str:
        """Return text that is kept as a value: an error, a result."""
        return bounded_text(text, self.value_bytes)

    def value(self, value: Json) -> Json:
        """Return a value as live capture would keep it: names of secrets are masked."""
        return self.short_text(value) if isinstance(value, str) else snapshot(value, self.value_bytes)

    def parameters(self, parameters: Json) -> Json:
        """Return the arguments of a call; each has its own limit."""
        if isinstance(parameters, dict):
            return snapshot_mapping(parameters, self.value_bytes)
        return self.value(parameters)

    def document(self, document: dict[str, Json]) -> dict[str, Json] | None:
        """Return a metadata document; None for an empty one."""
        return snapshot_metadata(document, self.value_bytes) or None

    # What an export brings has been within limits once: cutting it a second time would change it.

    def kept_value(self, value: Json) -> Json:
        """Return a value that was captured before, unchanged if it is within the limit."""
        clean = safe_json(value)
        return clean if self._fits(clean) else self.value(clean)

    def kept_document(self, document: Json) -> dict[str, Json] | None:
        """Return a metadata document that was captured before, unchanged if it is within the limit."""
        if not isinstance(document, dict) or not document:
            return None
        clean: dict[str, Json] = safe_json(document)
        return clean if self._fits(clean) else self.document(clean)

    def kept_call(self, call: Json) -> Json:
        """Return a ``{"function", "parameters"}`` that was captured before; each parameter has its own limit."""
        parameters = call.get("parameters") if isinstance(call, dict) else None
        if not isinstance(parameters, dict) or len(parameters) > _MAX_PARAMETERS + 1:
            return self.kept_value(call)
        kept = {sanitize_text(name): self.kept_value(value) for name, value in call.items() if name != "parameters"}
        kept["parameters"] = {sanitize_text(name): self.kept_value(value) for name, value in parameters.items()}
        return kept

    def _fits(self, value: Json) -> bool:
        return len(_encode(value)) <= self.value_bytes
