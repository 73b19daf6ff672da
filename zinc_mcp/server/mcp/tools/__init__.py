"""The tools, one file each: its description, its arguments, what it publishes and what it does."""
