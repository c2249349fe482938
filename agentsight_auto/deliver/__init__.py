"""Keep recorded events safe until a destination has answered for each of them.

In: lines of event JSON. Out: answered events at a destination; what is not answered yet waits in the outbox on disk.
Loses: what the bounds of memory and outbox push out and what damage destroyed, counted in `FlushReport.lost`.
"""
