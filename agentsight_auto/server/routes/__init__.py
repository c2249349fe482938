"""One module per resource; each has `ROUTES`, a sequence of operations."""
