"""`zinc-mcp approve KEY`: a yes from the keyboard."""

import click

from zinc_mcp.cli.deciding import decide_in_terminal


@click.command()
@click.argument("key")
def approve(key: str) -> None:
    """Show an order that waits for an answer, and buy it after a typed yes.

    Needs a terminal, and the PIN if one is set. A process without the key that pays leaves the sending to the server
    that asked.
    """
    decide_in_terminal(key, yes=True)
