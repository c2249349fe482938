"""The fault matrix: one test per row, provoking the real thing, judged from outside."""
