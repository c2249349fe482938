"""When a key expires. Never edited, later migrations build on it."""

from __future__ import annotations

STATEMENTS = ("ALTER TABLE api_keys ADD COLUMN expires_at_us INTEGER",)
