"""Everything that the dashboard shows of one agent's conversations, as plain JSON-ready values; see `board.Board`."""

from agentsight_auto.query.board.board import Board

__all__ = ["Board"]
