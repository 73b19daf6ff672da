"""`zinc-mcp members`: the members of a team server, their tokens, roles and identities."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click

from zinc_mcp.cli.own_journal import open_journal, open_members
from zinc_mcp.cli.owner.policy import ask_for_owners_pin
from zinc_mcp.cli.screen import need_a_terminal
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Mode
from zinc_mcp.known_settings import Role
from zinc_mcp.owner.members import (
    add_member,
    change_member,
    import_members,
    members_callers,
    no_such_member,
    read_members,
    remove_member,
    rotate_member,
)
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.owner.team.member import DEFAULT_ROLE, LOCAL, Identity, Member, name_of
from zinc_mcp.owner.team.places import FILE, Place
from zinc_mcp.text import plain

_Url = click.option("--url", default="https://zinc.example.com", show_default=True, help="The server's address.")
_Role = click.Choice(get_args(Role))


@click.group()
@click.option(
    "--members",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of members. Default: those in the journal's database on PostgreSQL, else members.json in the home.",
)
@click.pass_context
def members(context: click.Context, path: Path | None) -> None:
    """Add, change, list and remove the members of a team server."""
    context.obj = path


@members.command()
@click.argument("name")
@click.option("--role", type=_Role, default=DEFAULT_ROLE, show_default=True, help="What the member may do.")
@click.option(
    "--identity",
    "identities",
    type=(str, str),
    multiple=True,
    metavar="ISSUER SUBJECT",
    help="Who they are at the sign-in of your company: `iss` and `sub`. May be given several times.",
)
@click.option("--email", help="Shown in the list; nobody is let in by it.")
@_Url
@click.pass_obj
def add(
    path: Path | None, name: str, role: Role, identities: tuple[tuple[str, str], ...], email: str | None, url: str
) -> None:
    """Add a member and print the token, this once, and how the member's host connects with it.

    Roles: read may look, order may order as well, admin may also decide about orders of others.
    """
    named = [Identity(issuer, subject) for issuer, subject in identities]
    with open_members(path=path) as place:
        token = add_member(place, name, role=role, identities=named, email=email)
    _show(token, name, url)


@members.command()
@click.argument("name")
@_Url
@click.pass_obj
def rotate(path: Path | None, name: str, url: str) -> None:
    """Give a member another token and print it; the one before stops working at once, also in open streams."""
    with open_members(path=path) as place:
        token = rotate_member(place, name)
    _show(token, name, url)


@members.command()
@click.argument("name")
@click.option("--role", type=_Role, help="What the member may do from now on.")
@click.option(
    "--identity",
    "identities",
    type=(str, str),
    multiple=True,
    metavar="ISSUER SUBJECT",
    help="Who they are at the sign-in of your company, instead of what was there.",
)
@click.option("--no-identity", is_flag=True, help="Take every identity from them.")
@click.option("--email", help="Shown in the list.")
@click.pass_obj
def change(
    path: Path | None,
    name: str,
    role: Role | None,
    identities: tuple[tuple[str, str], ...],
    no_identity: bool,
    email: str | None,
) -> None:
    """Change the role, the identities or the e-mail address of a member. It holds at once."""
    if identities and no_identity:
        raise click.UsageError("--identity and --no-identity contradict each other.")
    named = [Identity(issuer, subject) for issuer, subject in identities]
    given = named if identities or no_identity else None
    with open_members(path=path) as place:
        changed = change_member(place, name, role=role, identities=given, email=email)
    click.echo(_line(changed))


@members.command(name="list")
@click.pass_obj
def list_(path: Path | None) -> None:
    """List the members with their roles and identities."""
    with open_members(path=path) as place:
        found = read_members(place)
    for member in found.values():
        click.echo(_line(member))
    if not found:
        click.echo("No members yet.", err=True)


@members.command()
@click.argument("name")
@click.pass_obj
def remove(path: Path | None, name: str) -> None:
    """Remove a member: the token stops working, their streams end, and a PIN of theirs is forgotten.

    Their orders stay in the journal. A later member with the same name inherits nothing from them.
    """
    with open_members(path=path) as place:
        caller = remove_member(place, name)
    if caller is None:
        raise no_such_member(name)
    click.echo(f"Removed {plain(name, 60)}.")
    with open_journal() as journal:
        journal.set_pin(None, caller)
        journal.end_visits(caller)


@members.command(name="import")
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path), required=False)
def import_(file: Path | None) -> None:
    """Take the members of a file over into the journal's database, with their tokens, roles and all else.

    FILE is members.json in the home unless it is given. The file stays as it is.
    """
    settings = load_settings()
    path = file or settings.home / FILE
    if not settings.is_shared:
        raise RefusedError(
            "Members are kept in the journal's database on PostgreSQL alone, and this journal is a file.",
            owner_step="Name the database in ZINC_MCP_JOURNAL; without one the members stay in their file.",
            code="invalid_arguments",
        )
    found = read_members(path)
    if not found:
        raise RefusedError(
            f"There are no members in {plain(str(path), 300)}.", owner_step="Give the file.", code="invalid_arguments"
        )
    with open_members(settings) as place:
        count = import_members(found, place)
    click.echo(f"{count} member{_s(count)} of {plain(str(path), 300)} now stand in the journal's database.")
    click.echo("Servers of this version read them there. Remove the file when no earlier version runs any more.")


@members.command()
@click.argument("name")
@click.pass_obj
def forget(path: Path | None, name: str) -> None:
    """Forget what is personal about a member, whom this removes: what they ordered, where it went, their name.

    Digests, keys, states and money stay in the journal. Of former members of the same name, give the one to forget as
    the list of orders names the caller. It needs a terminal, and the PIN if one is set.
    """
    need_a_terminal()
    with open_journal() as journal, open_members(path=path) as place:
        ask_for_owners_pin(journal)
        caller = _to_forget(journal, place, name)
        if click.prompt(f"Type {name} to forget them", default="", show_default=False) != name:
            click.echo("Nothing was changed.")
            sys.exit(1)
        if members_callers(place).get(name_of(caller)) == caller:
            remove_member(place, name_of(caller))
        forgotten, left = journal.forget_caller(caller)
    click.echo(f"Forgot {plain(name, 64)}, with bodies and addresses of {forgotten} order{_s(forgotten)}.")
    if left:
        click.echo(f"Their orders that are not over yet stay ({left}). Run this again when they are over.")


def _to_forget(journal: Journal, place: Place, name: str) -> str:
    """Return the caller to forget.

    Raises:
        RefusedError: there is none of this name, or there are several.
    """
    known = members_callers(place)
    if name in known:
        return known[name]
    former = {caller for mode in get_args(Mode) for caller in journal.callers(mode)}
    found = sorted({name} & former or {caller for caller in former if name_of(caller) == name and caller != LOCAL})
    if len(found) == 1 and found[0] != LOCAL:
        return found[0]
    if not found:
        raise no_such_member(name)
    raise RefusedError(
        f"There are {len(found)} former members {plain(name, 64)}.",
        owner_step=f"Give the one to forget: {', '.join(plain(each, 64) for each in found[:10])}.",
        code="invalid_arguments",
    )


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _show(token: str, name: str, url: str) -> None:
    click.echo(token)
    for line in _how_to_connect(plain(name, 60), plain(url.rstrip("/"), 200)):
        click.echo(line, err=True)


def _line(member: Member) -> str:
    parts = [plain(member.name, 60), member.role]
    if member.email is not None:
        parts.append(plain(member.email, 60))
    parts += [f"{plain(each.subject, 60)} at {plain(each.issuer, 80)}" for each in member.identities]
    return "  ".join(parts)


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
