"""What happened: every entry, its money and its events. The only room that knows SQL."""
