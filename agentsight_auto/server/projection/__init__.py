"""What the spans of the newer clients mean: pure functions from a body to messages, actions and token usage."""
