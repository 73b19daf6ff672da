"""`zinc-mcp resume`: the end of a pause."""

import click

from zinc_mcp.ordering.journal import Journal
from zinc_mcp.prose import plain
from zinc_mcp.settings import load_settings


@click.command()
def resume() -> None:
    """End a pause."""
    with Journal.open(load_settings().journal_url) as journal:
        reasons = journal.pauses()
        journal.resume()
    click.echo(f"Resumed. It was paused: {plain('; '.join(reasons))}." if reasons else "Nothing was paused.")
