"""`zinc-mcp policy`, `pause`, `resume` and `pin`: the limits that hold, a pause of everything, and the owner's PIN."""

import json
import sys
import time
from functools import partial

import click

from zinc_mcp.cli.own_journal import open_journal, open_members
from zinc_mcp.cli.owner.limits_on_screen import differences, limits_found, limits_record, show_limits
from zinc_mcp.cli.screen import need_a_terminal, show_command, show_line
from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.decision import FORGET_SECONDS, OWNER
from zinc_mcp.owner.addresses import saved_addresses
from zinc_mcp.owner.members import members_callers
from zinc_mcp.owner.pin import MIN_LENGTH, check_owner_pin, hashed, notice
from zinc_mcp.owner.policy import read_policy
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.owner.team.own_policy import own_policy
from zinc_mcp.text import plain

_member = click.option("--member", metavar="NAME", help="The PIN of this member of the team, instead of yours.")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_context
def policy(context: click.Context, as_json: bool) -> None:
    """Print the limits that hold and where each comes from; or publish them for all servers on the journal."""
    if context.invoked_subcommand is not None:
        return
    found = limits_found(load_settings())
    if as_json:
        click.echo(json.dumps(limits_record(found), indent=2))
    else:
        show_limits(found)


@policy.command()
def publish() -> None:
    """Make the policy that holds here the policy of all servers on the journal, which must be in PostgreSQL.

    A server whose own policy differs from it places nothing until it has the same.
    """
    settings = load_settings()
    if not settings.is_shared:
        raise RefusedError(
            "The journal is a file, which no other server shares, so there is nothing to publish.",
            owner_step="ZINC_MCP_JOURNAL names a journal in PostgreSQL.",
        )
    own = own_policy(read_policy(settings), partial(saved_addresses, settings))
    with open_journal(settings) as journal:
        before = journal.publish_policy(own)
    if before is None:
        click.echo("Published. A server with another policy places nothing from now on.")
        return
    differing = differences(own, before)
    for line in differing:
        show_line(line)
    click.echo(
        "Published. A server with the policy of before places nothing until it has this one."
        if differing
        else "This policy was published already."
    )


@click.command()
@click.argument("reason", default="paused by the owner")
def pause(reason: str) -> None:
    """Stop all placing and sending, in every process on this journal.

    Orders that Zinc already has are not cancelled; looking them up still works.
    """
    with open_journal() as journal:
        journal.pause(plain(reason))
    click.echo(f"Paused: {plain(reason)}. Nothing is placed or sent until you end it with:")
    show_command("resume")


@click.command()
def resume() -> None:
    """End a pause. If the machine's clock was uncertain, take it for right as it is now."""
    with open_journal() as journal:
        reasons = journal.pauses()
        journal.resume()
        uncertain = journal.accept_clock()
    if uncertain:
        click.echo("The clock is taken for right as it stands now.")
    click.echo(f"Resumed. It was paused: {plain('; '.join(reasons))}." if reasons else "Nothing was paused.")


@click.group()
def pin() -> None:
    """Set, remove or forget the PIN that every yes needs, on the page and in the terminal.

    While one is set, hosts' own dialogues are not used: they cannot take a PIN. Each member of a team can have one of
    their own, set here, at the owner's terminal; from a member without one the owner's is asked.
    """


@pin.command(name="set")
@_member
def set_(member: str | None) -> None:
    """Set a PIN of at least 6 characters; asks twice. Kept as a slow hash."""
    need_a_terminal()
    settings = load_settings()
    caller = _known(settings, member)
    with open_journal(settings) as journal:
        ask_for_owners_pin(journal, "Present PIN")
        chosen: str = click.prompt("New PIN", hide_input=True, confirmation_prompt="The same again")
        if len(chosen) < MIN_LENGTH:
            raise RefusedError(
                f"A PIN has at least {MIN_LENGTH} characters; nothing was changed.", owner_step="Choose another."
            )
        journal.set_pin(hashed(chosen), caller)
    whose = "Every yes" if member is None else f"Every yes of {plain(member, 60)}"
    click.echo(f"The PIN is set. {whose} needs it from now on.")


@pin.command()
@_member
def remove(member: str | None) -> None:
    """Remove the PIN."""
    need_a_terminal()
    settings = load_settings()
    # The name may be a former member's, or a caller from the time when a caller was only a name.
    caller = OWNER if member is None else _callers(settings).get(member, member)
    with open_journal(settings) as journal:
        if journal.pin(caller) is None:
            click.echo("No PIN is set.")
            return
        ask_for_owners_pin(journal, "Present PIN")
        journal.set_pin(None, caller)
    click.echo("The PIN is removed.")


@pin.command()
def forget() -> None:
    """Let a forgotten PIN end, a day from now.

    Until then every yes still needs it, and every question says when it ends, so that you notice if somebody else gave
    this command. A yes with the right PIN keeps the PIN.
    """
    need_a_terminal()
    with open_journal() as journal:
        if journal.pin() is None:
            click.echo("No PIN is set.")
            return
        if journal.pin_ends() is None:
            if click.prompt("Type forget to let the PIN end in 24 hours", default="", show_default=False) != "forget":
                click.echo("Nothing was changed.")
                sys.exit(1)
            journal.end_pin(time.time() + FORGET_SECONDS)
        show_line(notice(journal.pin_ends() or time.time(), time.time()))


def ask_for_owners_pin(journal: Journal, prompt: str = "PIN") -> None:
    """Ask for the owner's PIN if one is set. Wrong PINs count as they do for a yes.

    Raises:
        RefusedError: `approval_required`: there is no terminal, or the PIN is wrong or came too early.
    """
    if journal.pin() is None:
        return
    need_a_terminal()
    try:
        check_owner_pin(journal, click.prompt(prompt, hide_input=True), time.time())
    except RefusedError as error:
        forgotten = f"Try again. If it is forgotten: {command('pin', 'forget')} lets it end a day later."
        raise RefusedError(
            f"{error.summary} Nothing was changed.", owner_step=forgotten, code="approval_required"
        ) from None


def _known(settings: Settings, member: str | None) -> str:
    """Return the caller of a member, or the owner without a member.

    Raises:
        RefusedError: there is no such member.
        SettingsError, JournalError: the members cannot be read.
    """
    if member is None:
        return OWNER
    caller = _callers(settings).get(member)
    if caller is None:
        raise RefusedError(
            f"There is no member {plain(member, 60)}.", owner_step=f"{command('members', 'list')} prints the names."
        )
    return caller


def _callers(settings: Settings) -> dict[str, str]:
    """Return each member's caller by name."""
    with open_members(settings) as place:
        return members_callers(place)
