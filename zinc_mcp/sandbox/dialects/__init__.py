"""Switches of a dialect, and the dialect of the practised Zinc v1."""
