"""`zinc-mcp pin`: what only the owner knows, asked for with each yes."""

import sys
import time

import click

from zinc_mcp.commands.deciding import need_a_terminal
from zinc_mcp.commands.screen import show_line
from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.ordering.journal import Journal
from zinc_mcp.ordering.pin import FORGET_SECONDS, MIN_LENGTH, hashed, matches, notice
from zinc_mcp.settings import load_settings


@click.group()
def pin() -> None:
    """Set, remove or forget the PIN that every yes needs, on the page and in the terminal.

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
            raise RefusedError(
                f"A PIN has at least {MIN_LENGTH} characters; nothing was changed.", owner_step="Choose another."
            )
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


@pin.command()
def forget() -> None:
    """Let a PIN that nobody remembers end, a day from now.

    Until then every yes needs it, and every question says that it is going to end: a day is for noticing that it was
    somebody else who typed this. The right PIN, given with any yes, keeps it.
    """
    need_a_terminal()
    with Journal.open(load_settings().journal_url) as journal:
        if journal.pin() is None:
            click.echo("No PIN is set.")
            return
        if journal.pin_ends() is None:
            if click.prompt("Type forget to let the PIN end in 24 hours", default="", show_default=False) != "forget":
                click.echo("Nothing was changed.")
                sys.exit(1)
            journal.end_pin(time.time() + FORGET_SECONDS)
        show_line(notice(journal.pin_ends() or time.time(), time.time()))


def _ask_for_the_old_one(journal: Journal) -> None:
    kept = journal.pin()
    if kept is not None and not matches(kept, click.prompt("Present PIN", hide_input=True)):
        forgotten = f"Try again. If it is forgotten: {command('pin', 'forget')} lets it end a day later."
        raise RefusedError("That is not the PIN; nothing was changed.", owner_step=forgotten)
