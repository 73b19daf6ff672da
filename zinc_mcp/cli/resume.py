"""`zinc-mcp resume`: the end of a pause, and of doubts about the clock."""

import click

from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.prose import plain


@click.command()
def resume() -> None:
    """End a pause, and take the machine's clock for right where it was uncertain."""
    with Journal.open(load_settings().journal_url) as journal:
        reasons = journal.pauses()
        journal.resume()
        uncertain = journal.accept_clock()
    if uncertain:
        click.echo("The clock is taken for right as it stands now.")
    click.echo(f"Resumed. It was paused: {plain('; '.join(reasons))}." if reasons else "Nothing was paused.")
