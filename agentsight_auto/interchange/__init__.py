"""Conversations as files: OpenAI chat format and our own export in, our own export and CSV out.

In: lines of a file, or conversations of the store. Out: events for the store, or lines of a file.
Loses: a line that cannot be read, which is reported with its number and the reason.
"""
