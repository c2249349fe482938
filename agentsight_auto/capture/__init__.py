"""Capture: decorators, blocks and the documented calls turn what happens into events.

In: the user's program. Out: bounded, safe events, handed to the runtime one by one on the caller's thread.
Loses: what exceeds the limits of values and texts, which the event says itself.
"""
