"""Is the demonstration: a few polite requests at once."""

attack = demonstration
