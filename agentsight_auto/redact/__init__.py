"""Processors: what the user lets happen to an event before anything of it is written.

In: events as they were captured. Out: the events to keep, their texts rewritten; or None.
Loses: what a processor drops (`dropped_by_processor`), and what a processor itself records (`recorded_by_processor`).
A processor that fails leaves a marker in place of every text it was to look at, never the text.
"""
