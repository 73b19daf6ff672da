"""`zinc-mcp members`: add, list and remove the members of a team server."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.owner.members import add_member, list_members, remove_member
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.text import plain


@click.group()
@click.option(
    "--members",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file of members; default: members.json in the home folder.",
)
@click.pass_context
def members(context: click.Context, path: Path | None) -> None:
    """Add, list and remove the members of a team server."""
    context.obj = path or load_settings().home / "members.json"


@members.command()
@click.argument("name")
@click.option("--url", default="https://zinc.example.com", show_default=True, help="The server's address.")
@click.pass_obj
def add(path: Path, name: str, url: str) -> None:
    """Add a member and print the token, this once, and how the member's host connects with it."""
    token = add_member(path, name)
    click.echo(token)
    for line in _how_to_connect(plain(name, 60), plain(url.rstrip("/"), 200)):
        click.echo(line, err=True)


def _how_to_connect(name: str, url: str) -> Iterator[str]:
    entry = {"type": "http", "url": f"{url}/mcp", "headers": {"Authorization": "Bearer TOKEN"}}
    yield f"This is the token of {name}. It is kept as a hash only and cannot be shown again."
    yield f"Their host takes it in the place of TOKEN, and the server's own address in the place of {url}:"
    yield ""
    yield f"  Streamable HTTP  {url}/mcp"
    yield f"  SSE              {url}/sse"
    yield "  header           Authorization: Bearer TOKEN"
    yield ""
    yield json.dumps({"mcpServers": {"zinc": entry}}, indent=2)
    yield ""
    yield f"With the same token {name} signs in to the approval page, {url}/approve/, which their agent tells them of."


@members.command(name="list")
@click.pass_obj
def list_(path: Path) -> None:
    """List the members."""
    names = list_members(path)
    for name in names:
        click.echo(plain(name, 60))
    if not names:
        click.echo("No members yet.", err=True)


@members.command()
@click.argument("name")
@click.pass_obj
def remove(path: Path, name: str) -> None:
    """Remove a member: the token stops working, their streams end, and a PIN of theirs is forgotten.

    Their orders stay in the journal. A later member with the same name inherits nothing from them.
    """
    caller = remove_member(path, name)
    if caller is None:
        raise RefusedError(
            f"There is no member {plain(name, 60)}.", owner_step=f"{command('members', 'list')} prints the names."
        )
    click.echo(f"Removed {plain(name, 60)}.")
    from zinc_mcp.journal.journal import Journal

    with Journal.open(load_settings().journal_url) as journal:
        journal.set_pin(None, caller)
