"""A host's entry on a person's screen: what changes in its file, how it starts, and what to mind."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from zinc_mcp.cli.screen import show_command, show_line
from zinc_mcp.errors import SettingsError
from zinc_mcp.hosts.entries import NAME, shown, shown_variables, words_of
from zinc_mcp.hosts.plan import Plan
from zinc_mcp.hosts.snippet import snippet
from zinc_mcp.hosts.survey import FoundEntry
from zinc_mcp.hosts.trial import try_start
from zinc_mcp.known_settings import SETTINGS
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.text import plain

_CARRIED = frozenset({"ZINC_MCP_SANDBOX", *(name for each in SETTINGS if each.repeated for name in each.variables)})
"""Variables of this terminal that an entry repeats where they are needed."""


def show_change(plan: Plan) -> None:
    """Print the change of a file: the one entry that is removed, added or replaced."""
    place = ".".join((*plan.content.path, NAME))
    show_line(f"{plan.host.title}: {plain(plan.content.found.path, 400)}")
    if plan.earlier is not None:
        started = words_of(plan.earlier)
        what = f"which starts {plain(started[0], 200)}" if started else "a server elsewhere"
        show_line(f"  - {place}, {what}")
    if plan.entry is not None:
        click.echo(f"  + {place}:")
        for line in snippet(plan.host, shown(plan.entry)).splitlines():
            words = line.lstrip(" ")
            click.echo(f"      {' ' * (len(line) - len(words))}{plain(words, 2000)}")


def say_written(copy: Path | None) -> None:
    """Say that the file is written, and where its copy from before is."""
    show_line(f"Done.{f' The file as it was before: {plain(copy, 400)}' if copy is not None else ''}")


def try_entry(seen: FoundEntry) -> bool:
    """Start the server as its host starts it, print the result, and return whether it answered."""
    ended = try_start(seen.words, seen.environment(os.environ))
    if ended.tools:
        show_line(f"Started as {seen.host.title} starts it, it lists {len(ended.tools)} tools.")
        return True
    show_line(f"Started as {seen.host.title} starts it, it does not answer: {plain(ended.why, 300)}")
    click.echo("This says more:")
    show_command("doctor")
    return False


def show_notes(seen: FoundEntry, other_names: Sequence[str]) -> None:
    """Print what the person should know about an entry that was written."""
    for name in other_names:
        show_line(f"It also starts this program under the name {plain(name, 60)}: remove one of the two there.")
    if seen.is_off:
        show_line("The entry is switched off, as it was before: switch it on in the host.")
    if seen.words:
        _show_money(seen)
        kept = [each.variable for each in SETTINGS if set(each.variables) & os.environ.keys() - _CARRIED]
        missing = [name for name in kept if name not in seen.variables]
        if missing:
            show_line(
                f"Set in this terminal and not written: {', '.join(missing)}. What stands in zinc.toml, in the home, "
                "holds in every host."
            )
    if seen.host.hazard:
        show_line(f"Mind: {seen.host.hazard}")


def _show_money(seen: FoundEntry) -> None:
    try:
        settings = load_settings(seen.environment(os.environ))
    except SettingsError:
        return  # the server said it when it was started
    if settings.mode == "sandbox":
        show_line("It practises: nothing is bought.")
    elif settings.mode == "test":
        show_line("It has a test key: nothing is bought with it.")
    elif settings.api_key is None and settings.wallet is None:
        show_line("It has no API key and no payment wallet yet, so it cannot buy. This says what is missing:")
        show_command("doctor")
    else:
        show_line("It can buy for real. This prints the limits that hold:")
        show_command("policy")


def in_words(seen: FoundEntry) -> str:
    """Return how a host starts the server, for a line of the list."""
    name = "" if seen.name == NAME else f" under the name {plain(seen.name, 60)}"
    if not seen.is_ours:
        return f"has a server {NAME} that is not this program"
    off = ", switched off" if seen.is_off else ""
    if seen.address:
        return f"uses the server at {plain(seen.address, 200)}{name}{off}"
    settings = ", ".join(f"{key}={value}" for key, value in _settings(seen).items())
    given = f", with {plain(settings, 300)}" if settings else ""
    return f"starts {plain(' '.join(seen.words), 300)}{name}{given}{off}"


def server_record(seen: FoundEntry) -> dict[str, object]:
    """Return how a host starts the server, for programs."""
    return {
        "name": plain(seen.name, 60),
        "file": str(seen.path),
        "is_this_program": seen.is_ours,
        "command": seen.words if seen.is_ours else None,
        "url": seen.address or None,
        "environment": _settings(seen),
        "is_off": seen.is_off,
    }


def _settings(seen: FoundEntry) -> dict[str, str]:
    """Return the variables that the entry sets, without the values of those that may be secret."""
    return {name: str(value) for name, value in shown_variables(seen.variables).items()}
