"""From an incoming request to a conversation, the same for every framework: request, sources, facts, plan.

In: a request as a framework has it. Out: the frame of a conversation, or None where the request names none.
Loses: nothing; what cannot be read of a request is not filled in.
"""
