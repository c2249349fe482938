"""Teach other libraries to record: request handlers, workers and threads, one module per library."""
