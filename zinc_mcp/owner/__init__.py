"""The owner's settings and policy."""
