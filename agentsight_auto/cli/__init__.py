"""The command line: read, move and examine what was recorded.

In: arguments. Out: tables and transcripts for people, JSON with ``--json``; exit codes 0 fine, 1 failed, 2 usage.
"""
