"""`zinc-mcp link`: the link that a host opens to add this server."""

import os

import click

from zinc_mcp.errors import RefusedError
from zinc_mcp.hosts.links import LINKS, Entry, link_for
from zinc_mcp.invocation import environment_value, is_installed, started_with
from zinc_mcp.known_settings import SETTINGS


@click.command()
@click.argument("host", type=click.Choice(list(LINKS)))
@click.option("--sandbox", is_flag=True, help="The server only practises.")
@click.option("--remote", metavar="URL", help="The address of a team's server, instead of the program on this machine.")
def link(host: str, sandbox: bool, remote: str | None) -> None:
    """Print the link that a host opens to add this server. The host asks before it adds anything.

    No key is in it: the server finds the key in its home.
    """
    if remote is not None:
        if sandbox:
            raise click.UsageError("--sandbox is about the program on this machine, and --remote is not.")
        entry = Entry(url=remote)
    else:
        program, *arguments = started_with()
        if not os.path.isabs(program) or (arguments and not is_installed()):
            raise RefusedError(
                "This program runs from a folder without being installed, so an app could not start it.",
                owner_step="Install it with pip install, and run the command that was installed.",
                code="settings_invalid",
            )
        entry = Entry(program, arguments, _environment(sandbox=sandbox))
    click.echo(link_for(host, entry))


def _environment(*, sandbox: bool) -> dict[str, str]:
    """Return the variables that the server needs to see the same home and journal as this terminal.

    Raises:
        RefusedError: a variable that may hold a password chooses the journal.
    """
    known = {each.variable: value for each in SETTINGS if (value := environment_value(os.environ, each.variable))}
    if "ZINC_MCP_JOURNAL" in known:
        raise RefusedError(
            "ZINC_MCP_JOURNAL may hold a password, so it is not put into a link; without it limits would be counted "
            "in another journal.",
            owner_step="Set journal in zinc.toml instead.",
            code="settings_invalid",
        )
    places = {each.variable for each in SETTINGS if each.part == "place"}
    moved = {name: os.path.abspath(os.path.expanduser(known[name])) for name in known.keys() & places}
    return {**dict(sorted(moved.items())), **({"ZINC_MCP_SANDBOX": "1"} if sandbox else {})}
