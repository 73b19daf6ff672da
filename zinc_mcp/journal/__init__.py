"""The record of every entry, its money and its events. The only room that knows SQL."""
