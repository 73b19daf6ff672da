"""`zinc-mcp pin`: what only the owner knows, asked for with each yes."""

import click

from zinc_mcp.commands.deciding import need_a_terminal
from zinc_mcp.errors import RefusedError
from zinc_mcp.ordering.journal import Journal
from zinc_mcp.ordering.pin import MIN_LENGTH, hashed, matches
from zinc_mcp.settings import load_settings


@click.group()
def pin() -> None:
    """Set or remove the PIN that every yes needs, on the page and in the terminal.

    While one is set, hosts' own dialogues are not used: they cannot take a PIN.
    """


@pin.command(name="set")
def set_() -> None:
    """Set a PIN of at least 4 characters; asks twice. Kept as a slow hash."""
    need_a_terminal()
    with Journal.open(load_settings().journal_url) as journal:
        _ask_for_the_old_one(journal)
        chosen: str = click.prompt("New PIN", hide_input=True, confirmation_prompt="The same again")
        if len(chosen) < MIN_LENGTH:
            raise RefusedError(f"A PIN has at least {MIN_LENGTH} characters; nothing was changed.", "Choose another.")
        journal.set_pin(hashed(chosen))
    click.echo("The PIN is set. Every yes needs it from now on.")


@pin.command()
def remove() -> None:
    """Remove the PIN."""
    need_a_terminal()
    with Journal.open(load_settings().journal_url) as journal:
        if journal.pin() is None:
            click.echo("No PIN is set.")
            return
        _ask_for_the_old_one(journal)
        journal.set_pin(None)
    click.echo("The PIN is removed.")


def _ask_for_the_old_one(journal: Journal) -> None:
    kept = journal.pin()
    if kept is not None and not matches(kept, click.prompt("Present PIN", hide_input=True)):
        raise RefusedError("That is not the PIN; nothing was changed.", "Try again.")
