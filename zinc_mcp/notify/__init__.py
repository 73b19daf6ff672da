"""Telling the owner what happens to orders: by a message to an address of theirs, or by a command of theirs."""
