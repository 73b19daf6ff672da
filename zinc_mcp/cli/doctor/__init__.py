"""The doctor: what is configured, what works, and what is wrong."""
