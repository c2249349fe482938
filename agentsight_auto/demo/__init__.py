"""A small support agent of an imaginary outdoor shop, to see the library at work: `agentsight-auto demo`.

In: a number of conversations and a seed. Out: conversations in the store, recorded through the public API alone, and a
report that compares the store with what the customers and the agent did.
Loses: nothing; a difference between the two is an error of the report.

Read `tools` for plain functions under `@track_action`, `agent` for the rules, `conversations` for the blocks.
"""
