"""`zinc-mcp decline KEY`: a no from the keyboard."""

import click

from zinc_mcp.cli.deciding import decide_in_terminal


@click.command()
@click.argument("key")
def decline(key: str) -> None:
    """Say no to an order that waits for an answer. Needs a terminal."""
    decide_in_terminal(key, yes=False)
