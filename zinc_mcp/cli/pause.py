"""`zinc-mcp pause`: nothing is placed or sent until `resume`."""

import click

from zinc_mcp.cli.screen import show_command
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.prose import plain


@click.command()
@click.argument("reason", default="paused by the owner")
def pause(reason: str) -> None:
    """Stop all placing and sending, in every process on this journal.

    Orders that Zinc already has are not cancelled; looking them up still works.
    """
    with Journal.open(load_settings().journal_url) as journal:
        journal.pause(plain(reason))
    click.echo(f"Paused: {plain(reason)}. Nothing is placed or sent until you end it with:")
    show_command("resume")
