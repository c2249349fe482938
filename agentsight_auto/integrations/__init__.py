"""Integrations: teach one library each to record, and undo it.

In: a switch (`instrument`, the setting of that name) and the user's own imports. Out: patched attributes of those
libraries, which record through the conversation that is current. Loses: nothing; an integration that does not fit the
installed version is rolled back and `status()` says why.

No module here imports a library that it teaches: the patches are made once the user has imported it.
"""
